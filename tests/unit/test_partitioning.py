"""Kafka's default partitioner, and keys learned from a topic's own messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.partitioning import learn, murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_what_kafkas_own_tests_expect(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected & 0xFFFFFFFF


def message(key: dict[str, object], schema: bool = False) -> bytes:
    plain = json.dumps(key, separators=(",", ":"), ensure_ascii=False)
    return (f'{{"schema":{{"type":"struct"}},"payload":{plain}}}' if schema else plain).encode()


@given(st.lists(st.integers(), min_size=1, max_size=20), st.text(), st.integers(1, 12), st.booleans())
def test_a_key_is_written_as_the_samples_are(ids: list[int], text: str, partitions: int, schema: bool) -> None:
    text = "".join(char for char in text if char.isprintable())
    samples = [message({"b": text, "a": number}, schema) for number in ids]
    form = learn([(raw, partition_of(raw, partitions)) for raw in samples], ["a", "b"], partitions)
    assert form is not None
    assert form.of({"a": ids[0], "b": text}) == samples[0]


def test_names_that_the_connector_escapes() -> None:
    raw = message({"Id_u0020x": 1, "a_u005fb": "t"})
    form = learn([(raw, partition_of(raw, 4))], ["a_b", "Id x"], 4)
    assert form is not None
    assert form.of({"Id x": 1, "a_b": "t"}) == raw


def test_nothing_is_assumed() -> None:
    raw = message({"id": 1})
    there = partition_of(raw, 4)
    assert learn([], ["id"], 4) is None
    assert learn([(raw, there)], ["id"], 4) is not None
    assert learn([(raw, (there + 1) % 4)], ["id"], 4) is None, "another partitioner"
    assert learn([(raw, there)], ["id", "tenant"], 4) is None, "other columns"
    assert learn([(b'{"id": 1}', partition_of(b'{"id": 1}', 4))], ["id"], 4) is None, "another writer's blanks"
    assert learn([(b"\0\0\0\0\1\2", partition_of(b"\0\0\0\0\1\2", 4))], ["id"], 4) is None, "a registry's binary form"
