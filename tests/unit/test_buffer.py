"""The buffer between reader and writer: order, contiguity, holding, dropping."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from connectors.change import Change, Slice
from daemon.stream.buffer import Buffer, split

MANY = 1 << 30
EACH = 100
"""Bytes of one event."""


def change(offset: int) -> Change:
    return Change("u", (offset,), (offset,), frozenset(), 1, None, offset, 0)


def part(start: int, end: int, topic: str = "t", partition: int = 0) -> Slice:
    changes = [change(offset) for offset in range(start, end)]
    return Slice(topic, partition, "public.t", start, end, changes, EACH * (end - start))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.integers(1, 30), min_size=1, max_size=10), st.integers(1, 40), st.integers(1, 5000))
def test_slices_come_out_whole_in_order_and_contiguous(sizes: list[int], events_max: int, bytes_max: int) -> None:
    buffer, at = Buffer(Clock()), 0
    for size in sizes:
        buffer.put([part(at, at + size)])
        at += size
    seen, expected = [], 0
    while (batch := buffer.take(events_max, bytes_max, 0)) is not None:
        (only,) = batch.slices
        assert only.start == expected
        assert len(only.changes) <= events_max
        assert only.size == len(only.changes) * EACH
        assert only.size <= max(bytes_max, EACH)
        seen += [each.offset for each in only.changes]
        expected = only.end
        buffer.finished()
    assert seen == list(range(at))
    assert expected == at
    assert buffer.events == 0


def test_a_held_partition_does_not_hold_up_the_others() -> None:
    clock = Clock()
    buffer = Buffer(clock)
    buffer.put([part(0, 3, "a"), part(0, 3, "b")])
    first = buffer.take(100, MANY, 0)
    assert first is not None
    buffer.put_back(first.slices[0], held_until=5.0)
    buffer.finished()
    buffer.put([part(3, 5, "b")])
    second = buffer.take(100, MANY, 0)
    assert second is not None
    assert [each.topic for each in second.slices] == ["b"]
    assert buffer.held == {("a", 0)}
    clock.now = 6.0
    third = buffer.take(100, MANY, 0)
    assert third is not None
    assert [(each.topic, each.start, each.end) for each in third.slices] == [("a", 0, 3)]
    assert not buffer.held


def test_the_rest_of_a_dropped_partition_is_forgotten() -> None:
    buffer = Buffer(Clock())
    buffer.put([part(0, 3)])
    batch = buffer.take(100, MANY, 0)
    assert batch is not None
    buffer.finished()
    buffer.drop([("t", 0)], 0)
    buffer.put_back(batch.slices[0], 0)
    assert buffer.take(100, MANY, 0) is None
    assert buffer.events == 0


def test_dropping_waits_for_the_batch_in_hand() -> None:
    buffer = Buffer(Clock())
    buffer.put([part(0, 3)])
    assert buffer.take(100, MANY, 0) is not None
    dropped = threading.Event()

    def drop() -> None:
        buffer.drop([("t", 0)], 30)
        dropped.set()

    thread = threading.Thread(target=drop)
    thread.start()
    assert not dropped.is_set()
    buffer.finished()
    assert dropped.wait(10)
    thread.join()


def test_a_closed_buffer_gives_what_is_left_and_then_nothing() -> None:
    buffer = Buffer(Clock())
    buffer.put([part(0, 1)])
    buffer.close()
    assert buffer.take(10, MANY, 1000) is not None
    assert buffer.take(10, MANY, 1000) is None


def test_a_slice_is_split_at_an_event() -> None:
    whole = Slice("t", 0, "public.t", 4, 20, [change(5), change(9), change(12)])
    head, rest = split(whole, 2)
    assert (head.start, head.end, len(head.changes)) == (4, 12, 2)
    assert (rest.start, rest.end, len(rest.changes)) == (12, 20, 1)


def test_a_paused_topic_is_left_alone_and_keeps_nobody_waiting() -> None:
    clock = Clock()
    buffer = Buffer(clock)
    buffer.put([part(0, 1, "a"), part(0, 2, "b")])
    buffer.pause(frozenset(("a",)))
    batch = buffer.take(10, 1 << 20, 0)
    assert batch is not None
    assert [each.topic for each in batch.slices] == ["b"]
    buffer.finished()
    assert buffer.take(10, 1 << 20, 0) is None
    buffer.pause(frozenset())
    batch = buffer.take(10, 1 << 20, 0)
    assert batch is not None
    assert [each.topic for each in batch.slices] == ["a"]
