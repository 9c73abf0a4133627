"""Topics are named as Debezium names them, and two tables never share one."""

from __future__ import annotations

import pytest

from connectors.kafka.topics import heartbeat_topic, message_topic, stream_topics, table_topic, table_topics
from mappers.errors import ConfigError


@pytest.mark.parametrize(
    ("schema", "table", "topic"),
    [
        ("public", "users", "p.public.users"),
        ("Odd.Schema", "Tab-le é 1", "p.Odd.Schema.Tab-le___1"),  # as seen from Debezium 3.7
        ("s", "a$b", "p.s.a_b"),
        ("s", "😀", "p.s.__"),
        ("s", "ⅷ٣", "p.s.__"),
    ],
)
def test_odd_characters_become_underscores(schema: str, table: str, topic: str) -> None:
    assert table_topic("p", schema, table) == topic


def test_every_topic_of_a_stream() -> None:
    topics = stream_topics("legacy", [("public", "users"), ("public", "orders")], 4)
    assert topics == {
        "legacy.public.users": 4,
        "legacy.public.orders": 4,
        message_topic("legacy"): 1,
        heartbeat_topic("legacy"): 1,
    }
    assert heartbeat_topic("legacy") == "__debezium-heartbeat.legacy"


def test_shared_topics_are_refused_all_at_once() -> None:
    tables = [("a.b", "c"), ("a", "b.c"), ("s", "x y"), ("s", "x_y"), ("s", "ok")]
    with pytest.raises(ConfigError) as raised:
        table_topics("p", tables)
    assert [problem.message for problem in raised.value.problems] == [
        "a.b.c and a.b.c would share the topic p.a.b.c",
        "s.x y and s.x_y would share the topic p.s.x_y",
    ]


def test_topics_that_differ_in_a_dot_only_are_refused() -> None:
    with pytest.raises(ConfigError, match="would share"):
        table_topics("p", [("s", "a.b"), ("s", "a_b")])


def test_a_name_too_long_for_kafka_is_refused() -> None:
    with pytest.raises(ConfigError, match="249"):
        table_topics("p" * 200, [("s" * 40, "t" * 40)])
