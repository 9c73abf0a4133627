"""The change stream's consumer on a real broker: where it begins to read, and what it does when that cannot be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.change import Change
from connectors.kafka.consumer import ChangeConsumer, Partition, settings
from mappers.errors import TransientError
from tests.support.polling import until
from tests.support.stack import Stack

PARTITIONS = 2
EVENTS = 5
"""In each partition."""


@pytest.fixture
def topic(stack: Stack) -> Iterator[str]:
    name = f"consumer-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    producer = Producer({"bootstrap.servers": stack.kafka})
    for number in range(EVENTS * PARTITIONS):
        producer.produce(name, b"event", partition=number % PARTITIONS)
    producer.flush(30)
    yield name
    admin.delete_topics([name])[name].result(30)


def decode(value: bytes | None, offset: int) -> Change:
    return Change("u", (offset,), (value,), frozenset(), 1, None, offset, 0)


def test_an_assignment_whose_positions_cannot_be_read_is_tried_again(stack: Stack, topic: str) -> None:
    tried: list[int] = []

    def assigned(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        tried.append(len(partitions))
        if len(tried) <= 3:
            raise TransientError("the target is away")
        return dict.fromkeys(partitions, 2)

    found: dict[int, list[int]] = {}
    consumer = ChangeConsumer(
        settings(stack.kafka, f"group-{topic}", {}), {topic: ("public.t", decode)}, assigned, lambda partitions: None
    )

    def everything() -> bool:
        try:
            for part in consumer.poll(100, 0.1):
                found.setdefault(part.partition, []).extend(change.offset for change in part.changes)
        except TransientError:
            assert not consumer.partitions
        return sum(map(len, found.values())) == PARTITIONS * (EVENTS - 2)

    try:
        until(everything, 60, "every event from the positions on")
    finally:
        consumer.close()
    assert found == {partition: [2, 3, 4] for partition in range(PARTITIONS)}
    assert len(tried) >= 4
