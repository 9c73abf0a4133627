"""What `connector apply | status | delete` do, against the real PostgreSQL, Kafka and Connect."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Consumer

from connectors.kafka.connect import Connect
from connectors.kafka.topics import Topics, admin_client, table_topic
from connectors.postgresql.publication import ensure_publication
from connectors.postgresql.slots import drop_slot, read_slot
from connectors.waiting import Patience
from daemon.connector import setup as stream_setup
from daemon.connector.plan import StreamPlan
from mappers.errors import ConfigError, FatalError, NotReadyError, TransientError

PATIENCE = Patience(60)
ODD = "Tab-le é, 1;x:y [z]"


@pytest.fixture
def source(stack: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(stack.source_url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def plan(stack: Any, source: psycopg.Connection[Any]) -> Iterator[StreamPlan]:
    """A stream of three tables in a schema of their own, removed again with everything that was made for it."""
    name = f"t{uuid4().hex[:8]}"
    source.execute(
        f"CREATE SCHEMA {name}; CREATE TABLE {name}.users (id bigint PRIMARY KEY, name text, big text);"
        f'CREATE TABLE {name}."{ODD}" ("Id, 1;x:y [z]" int, note text);'
        f'ALTER TABLE {name}."{ODD}" REPLICA IDENTITY FULL;'
        f"CREATE TABLE {name}.parted (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);"
        f"CREATE TABLE {name}.parted_1 PARTITION OF {name}.parted FOR VALUES FROM (0) TO (10);"
    )
    made = StreamPlan(
        pipeline=name,
        source_url=stack.source_url,
        database_url=stack.source_url,
        slot=f"changeover_{name}",
        publication=f"changeover_{name}",
        topic_prefix=name,
        tables={(name, "users"): (), (name, ODD): ("Id, 1;x:y [z]",), (name, "parted"): ()},
        bootstrap_servers=stack.kafka,
        connect_url=stack.connect_url,
        connector=f"changeover-{name}",
        partitions=2,
    )
    yield made
    stream_setup.delete(made, PATIENCE, topics=True)
    source.execute(f"DROP SCHEMA {name} CASCADE")


def events(plan: StreamPlan, count: int) -> dict[str, list[tuple[Any, Any]]]:
    """The first `count` events of the stream by topic: (key, value), committed ones only."""
    topics = [topic for topic in plan.topics if "heartbeat" not in topic]
    group = {"group.id": str(uuid4()), "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": plan.bootstrap_servers, **group})
    consumer.subscribe(topics)
    found: dict[str, list[tuple[Any, Any]]] = {topic: [] for topic in topics}
    until = time.monotonic() + 30
    while sum(map(len, found.values())) < count and time.monotonic() < until:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            key, value = (json.loads(part) if part else None for part in (message.key(), message.value()))
            found[message.topic() or ""].append((key, value))
    consumer.close()
    return found


def test_apply_streams_and_delete_leaves_nothing(plan: StreamPlan, source: psycopg.Connection[Any]) -> None:
    schema = plan.topic_prefix
    said: list[str] = []
    made = stream_setup.apply(plan, replace(PATIENCE, say=said.append))
    assert (made["publication"], made["connector"], made["exactly_once"]) == ("created", "created", True)
    assert set(made["topics_created"]) == set(plan.topics)
    assert made["slot"]["active"]
    assert said  # it told what it waited for

    source.execute(f"INSERT INTO {schema}.users VALUES (1, 'Ada', NULL)")
    source.execute(f"UPDATE {schema}.users SET name = 'Ada L.'")
    source.execute(f"DELETE FROM {schema}.users")
    source.execute(f'INSERT INTO {schema}."{ODD}" VALUES (7, %s)', ("n",))
    source.execute(f"INSERT INTO {schema}.parted VALUES (3, 'p')")
    source.execute(f"TRUNCATE {schema}.users")
    source.execute(
        "SELECT pg_logical_emit_message(true, 'changeover', 'token'), pg_logical_emit_message(true, 'x', 'y')"
    )
    got = events(plan, 7)

    users = {value["op"]: (key, value) for key, value in got[table_topic(schema, schema, "users")]}
    assert [users[op][0] for op in "cudt"] == [{"id": 1}, {"id": 1}, {"id": 1}, None]
    assert users["c"][1]["after"] == {"id": 1, "name": "Ada", "big": None}
    assert users["u"][1]["after"]["name"] == "Ada L."
    assert users["d"][1]["after"] is None
    assert (users["t"][1]["source"]["schema"], users["t"][1]["source"]["table"]) == (schema, "users")
    ((key, odd),) = got[table_topic(schema, schema, ODD)]
    assert key == {"Id, 1;x:y [z]": 7}
    assert odd["after"] == {"Id, 1;x:y [z]": 7, "note": "n"}
    ((_, parted),) = got[table_topic(schema, schema, "parted")]
    assert parted["source"]["table"] == "parted"  # as its root, not as the partition
    ((_, message),) = got[f"{schema}.message"]
    assert (message["op"], message["message"]["prefix"]) == ("m", "changeover")

    again = stream_setup.apply(plan, PATIENCE)
    assert (again["topics_created"], again["publication"], again["connector"]) == ([], "unchanged", "unchanged")

    status = stream_setup.status(plan)
    json.dumps(status)
    assert status["connector"]["running"]
    assert status["source"]["publication"]["tables_missing"] == []
    assert status["topics"][f"{schema}.message"]["partitions"] == 1

    removed = stream_setup.delete(plan, PATIENCE, topics=True)
    assert (removed["connector"], removed["slot"], removed["publication"]) == (True, True, True)
    assert set(removed["topics"]) == set(plan.topics)
    assert read_slot(source, plan.slot) is None
    assert source.execute("SELECT FROM pg_publication WHERE pubname = %s", (plan.publication,)).fetchone() is None
    nothing = stream_setup.delete(plan, PATIENCE)
    assert (nothing["connector"], nothing["slot"], nothing["publication"]) == (False, False, False)
    assert stream_setup.apply(plan, PATIENCE)["connector"] == "created"  # its old offsets are forgotten


def test_apply_follows_a_changed_plan(plan: StreamPlan, source: psycopg.Connection[Any]) -> None:
    schema = plan.topic_prefix
    fewer = replace(plan, tables={(schema, "users"): ()})
    stream_setup.apply(fewer, PATIENCE)
    grown = stream_setup.apply(plan, PATIENCE)
    assert (grown["publication"], grown["connector"]) == ("altered", "altered")
    with Connect(plan.connect_url) as connect:
        connect.stop(plan.connector)
        connect.wait_stopped(plan.connector, PATIENCE)
    assert stream_setup.apply(plan, PATIENCE)["connector"] == "resumed"
    source.execute(f"INSERT INTO {schema}.parted VALUES (3, 'p')")
    assert len(events(plan, 1)[table_topic(schema, schema, "parted")]) == 1


def test_what_is_someone_elses_is_left_alone(plan: StreamPlan, source: psycopg.Connection[Any]) -> None:
    source.execute(f"CREATE PUBLICATION {plan.publication}")
    with pytest.raises(FatalError, match="not made by Changeover"):
        stream_setup.apply(plan, PATIENCE)
    source.execute(f"DROP PUBLICATION {plan.publication}")
    stream_setup.apply(plan, PATIENCE)
    other = replace(plan, pipeline="other")
    with pytest.raises(FatalError, match=f"belongs to pipeline {plan.pipeline}"):
        stream_setup.apply(other, PATIENCE)
    with pytest.raises(FatalError, match=f"belongs to pipeline {plan.pipeline}"):
        stream_setup.delete(other, PATIENCE)
    with pytest.raises(FatalError, match=f"belongs to pipeline {plan.pipeline}"):
        ensure_publication(source, plan.publication, plan.tables, "other")


def test_a_lost_slot_is_loud(plan: StreamPlan, source: psycopg.Connection[Any]) -> None:
    stream_setup.apply(plan, PATIENCE)
    with Connect(plan.connect_url) as connect:
        source.execute(f"INSERT INTO {plan.topic_prefix}.users VALUES (1)")
        PATIENCE.until(lambda: "" if connect.offsets(plan.connector) else "no offsets yet")
        with pytest.raises(NotReadyError, match="in use by process"):
            drop_slot(source, plan.slot, Patience(0.3))
        connect.stop(plan.connector)
        connect.wait_stopped(plan.connector, PATIENCE)
    drop_slot(source, plan.slot, PATIENCE)
    with pytest.raises(FatalError, match="changes were lost"):
        stream_setup.apply(plan, PATIENCE)


def test_problems_come_all_at_once(plan: StreamPlan, source: psycopg.Connection[Any]) -> None:
    schema = plan.topic_prefix
    source.execute(f"CREATE TABLE {schema}.nokey (a int, v numeric[])")
    tables = {(schema, "nokey"): (), (schema, "missing"): (), (schema, "users"): ("name",)}
    with pytest.raises(ConfigError) as raised:
        stream_setup.apply(replace(plan, tables=tables), PATIENCE)
    text = str(raised.value)
    for part in ("no primary key", "v (numeric[])", "no such table", "does not carry name", "REPLICA IDENTITY FULL"):
        assert part in text
    assert source.execute("SELECT FROM pg_publication WHERE pubname = %s", (plan.publication,)).fetchone() is None


def test_topics_that_do_not_fit_are_reported(plan: StreamPlan) -> None:
    topics = Topics(admin_client(plan.bootstrap_servers, {}), plan.bootstrap_servers)
    topics.ensure(plan.topics, 1, 60_000)
    with pytest.raises(ConfigError) as raised:
        topics.ensure(dict.fromkeys(plan.topics, 3), 1, 120_000)
    assert len(raised.value.problems) == 2 * len(plan.topics)
    ids = topics.ids(plan.topics)
    assert ids.keys() == plan.topics.keys()
    assert len(set(ids.values())) == len(ids)
    assert set(topics.end_offsets(plan.topics).values()) == {0}


def test_apply_waits_for_a_worker_that_does_not_answer(plan: StreamPlan) -> None:
    said: list[str] = []
    with pytest.raises(NotReadyError, match=r"http://127\.0\.0\.1:1: it does not answer"):
        stream_setup.apply(replace(plan, connect_url="http://127.0.0.1:1"), Patience(0.5, say=said.append))
    assert len(said) == 1


def test_the_unreachable_is_named(plan: StreamPlan) -> None:
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1\b"):
        Topics(admin_client("127.0.0.1:1", {}), "127.0.0.1:1", timeout_s=1).partition_counts(["x"])
    with pytest.raises(TransientError, match=r"http://127\.0\.0\.1:1:"), Connect("http://127.0.0.1:1") as connect:
        connect.version()
    assert time.monotonic() - began < 10
    assert "error" in stream_setup.status(replace(plan, connect_url="http://127.0.0.1:1"))["connector"]
