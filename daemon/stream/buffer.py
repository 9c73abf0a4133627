"""What was read and is not yet applied: between the thread that reads and the thread that writes. Bounded by its user.

Slices of one partition stay in order and contiguous. A partition whose next event waits for a chunk is put aside until
`held_until`, without holding up the others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from connectors.change import Batch, Slice

Partition = tuple[str, int]


class Buffer:
    """Thread-safe. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._queues: dict[Partition, deque[Slice]] = {}
        self._held_until: dict[Partition, float] = {}
        self._in_flight: frozenset[Partition] = frozenset()
        self._paused: frozenset[str] = frozenset()
        self._events = 0
        self._closed = False

    @property
    def events(self) -> int:
        """Events waiting."""
        return self._events

    @property
    def held(self) -> frozenset[Partition]:
        """Partitions whose next event waits for a chunk."""
        with self._changed:
            return frozenset(where for where in self._held_until if where[0] not in self._paused)

    def pause(self, topics: frozenset[str]) -> None:
        """Give out nothing of these topics, and of all others again."""
        with self._changed:
            if topics != self._paused:
                self._paused = topics
                self._changed.notify_all()

    def sizes(self) -> dict[Partition, tuple[int, int]]:
        """What waits, by partition: (events, bytes as they travelled)."""
        with self._changed:
            return {
                where: (sum(len(part.changes) for part in queue), sum(part.size for part in queue))
                for where, queue in self._queues.items()
            }

    def put(self, slices: Iterable[Slice]) -> None:
        """Append what was read."""
        with self._changed:
            for part in slices:
                self._queues.setdefault((part.topic, part.partition), deque()).append(part)
                self._events += len(part.changes)
            self._changed.notify_all()

    def put_back(self, part: Slice, held_until: float) -> None:
        """Return the rest of a slice to the front of its partition, not to be taken before `held_until`."""
        where = (part.topic, part.partition)
        with self._changed:
            if where in self._queues:
                self._queues[where].appendleft(part)
                self._held_until[where] = held_until
                self._events += len(part.changes)
            self._changed.notify_all()

    def finished(self) -> None:
        """The batch last taken has been committed, put back or given up."""
        with self._changed:
            self._in_flight = frozenset()
            self._changed.notify_all()

    def drop(self, partitions: Collection[Partition], timeout_s: float) -> None:
        """Forget partitions that are taken away, and wait until none of them is in the batch being written.

        So the next owner finds the position that this process left behind.
        """
        with self._changed:
            for where in partitions:
                self._events -= sum(len(part.changes) for part in self._queues.pop(where, ()))
                self._held_until.pop(where, None)
            self._changed.wait_for(lambda: self._in_flight.isdisjoint(partitions), timeout_s)
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will come: `take` returns what is left, then None at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wake(self) -> None:
        """Make a waiting `take` look again (the chunk it waits for may be done)."""
        with self._changed:
            self._held_until = dict.fromkeys(self._held_until, 0.0)
            self._changed.notify_all()

    def take(self, events_max: int, bytes_max: int, timeout_s: float) -> Batch | None:
        """The next batch: at most one slice a partition, `events_max` events and about `bytes_max` bytes of them.

        None after `timeout_s`.

        A partition stays registered, so that the rest of its slice can be put back, until it is dropped.
        """
        deadline = self._clock() + timeout_s
        with self._changed:
            while True:
                batch = self._collect(events_max, bytes_max)
                if batch is not None:
                    return batch
                left = min([deadline, *self._held()]) - self._clock()
                if self._closed or self._clock() >= deadline:
                    return None
                self._changed.wait(max(0.001, left))

    def _held(self) -> list[float]:
        return [until for where, until in self._held_until.items() if where[0] not in self._paused]

    def _collect(self, events_max: int, bytes_max: int) -> Batch | None:
        now = self._clock()
        taken: list[Slice] = []
        room, bytes_room = events_max, bytes_max
        for where in sorted(self._queues):
            if (
                where[0] in self._paused
                or self._held_until.get(where, now) > now
                or min(room, bytes_room) <= 0
                or not self._queues[where]
            ):
                continue
            self._held_until.pop(where, None)
            part = _joined(self._queues[where], room, bytes_room)
            taken.append(part)
            room, bytes_room = room - len(part.changes), bytes_room - part.size
        self._events -= sum(len(part.changes) for part in taken)
        self._in_flight = frozenset((part.topic, part.partition) for part in taken)
        return Batch(tuple(taken)) if taken else None


def _joined(queue: deque[Slice], events_max: int, bytes_max: int) -> Slice:
    """Take slices from the front and join them into one of at most `events_max` events and about `bytes_max` bytes."""
    parts = [queue.popleft()]
    first, count, size = parts[0], len(parts[0].changes), parts[0].size
    while queue and count + len(queue[0].changes) <= events_max and size + queue[0].size <= bytes_max:
        parts.append(queue.popleft())
        count, size = count + len(parts[-1].changes), size + parts[-1].size
    if len(parts) > 1:
        changes = [change for part in parts for change in part.changes]
        return replace(first, end=parts[-1].end, changes=changes, size=size)
    fits = min(events_max, max(1, count * bytes_max // max(1, size)))
    if count <= fits:
        return first
    head, rest = split(first, fits)
    queue.appendleft(rest)
    return head


def split(part: Slice, taken: int) -> tuple[Slice, Slice]:
    """Cut a slice before its change number `taken` (below len): the positions meet at that change's offset."""
    cut = part.changes[taken].offset
    size = part.size * taken // len(part.changes)
    head = replace(part, end=cut, changes=part.changes[:taken], size=size)
    return head, replace(part, start=cut, changes=part.changes[taken:], size=part.size - size)
