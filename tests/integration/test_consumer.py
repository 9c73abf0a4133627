"""The change stream's consumer on a real broker: where it begins to read, and what it does when that cannot be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.change import Change
from connectors.kafka.consumer import ChangeConsumer, Decode, Ends, Partition, settings
from connectors.kafka.topics import Topics, admin_client
from mappers.errors import TransientError
from tests.support.polling import until
from tests.support.stack import Stack

PARTITIONS = 2
EVENTS = 5
"""In each partition."""
Assigned = Callable[[Sequence[Partition]], Mapping[Partition, int]]


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


def ends(stack: Stack) -> Ends:
    return Topics(admin_client(stack.kafka, {}), stack.kafka).end_offsets


def decode(value: bytes | None, offset: int) -> Change:
    return Change("u", (offset,), (value,), frozenset(), 1, None, offset, 0)


def consuming(stack: Stack, topic: str, assigned: Assigned, decoder: Decode = decode) -> ChangeConsumer:
    group = settings(stack.kafka, f"group-{topic}", {})
    return ChangeConsumer(group, {topic: ("public.t", decoder)}, ends(stack), assigned, lambda partitions: None)


def test_an_assignment_whose_positions_cannot_be_read_is_tried_again(stack: Stack, topic: str) -> None:
    tried: list[int] = []

    def assigned(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        tried.append(len(partitions))
        if len(tried) <= 3:
            raise TransientError("the target is away")
        return dict.fromkeys(partitions, 2)

    found: dict[int, list[int]] = {}
    consumer = consuming(stack, topic, assigned)

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


def test_events_that_cannot_be_decoded_yet_are_read_again(stack: Stack, topic: str) -> None:
    """As while the registry is away: nothing is passed over, in this partition or in the others of the same poll."""
    tries: list[int] = []

    def late(value: bytes | None, offset: int) -> Change:
        tries.append(offset)
        if len(tries) % 2:
            raise TransientError("the registry is away")
        return decode(value, offset)

    found: dict[int, list[int]] = {}
    consumer = consuming(stack, topic, lambda partitions: dict.fromkeys(partitions, 0), late)

    def everything() -> bool:
        try:
            for part in consumer.poll(100, 0.1):
                found.setdefault(part.partition, []).extend(change.offset for change in part.changes)
        except TransientError:
            assert len(consumer.partitions) == PARTITIONS or not tries
        return sum(map(len, found.values())) == PARTITIONS * EVENTS

    try:
        until(everything, 60, "every event")
    finally:
        consumer.close()
    assert found == {partition: list(range(EVENTS)) for partition in range(PARTITIONS)}


def test_a_table_may_join_while_a_transaction_is_open(stack: Stack, topic: str) -> None:
    """Its position is the log's end, and so beyond what a consumer of committed events is told to be the end."""
    producer = Producer({"bootstrap.servers": stack.kafka, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"before", partition=0)
    producer.flush(30)
    at = ends(stack)([topic])
    found: list[tuple[int, object]] = []

    def assigned(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {where: at[where] for where in partitions}

    consumer = consuming(stack, topic, assigned)

    def placed() -> bool:
        assert not [change for part in consumer.poll(100, 0.1) for change in part.changes]
        return len(consumer.partitions) == PARTITIONS

    def arrived() -> bool:
        found.extend((c.offset, c.row) for part in consumer.poll(100, 0.1) for c in part.changes)
        return bool(found)

    try:
        until(placed, 60, "both partitions are read")
        producer.produce(topic, b"after", partition=0)
        producer.commit_transaction(30)
        until(arrived, 60, "the event behind the position")
    finally:
        consumer.close()
    assert at[topic, 0] == EVENTS + 1
    assert found == [(EVENTS + 1, (b"after",))]
