"""Rule 14: key fences are dropped once a barrier has passed them, so that those of a large resync do not stay for ever.

A fence decides about events that it sees and that have not come yet. None can come any more when

- every chunk of the table was done before the barrier began: without the fence its snapshot decides alone, and what
  that sees beyond the fence's was applied before the barrier;
- a snapshot taken before the sentinel sees all that the fence sees: all of it is in the log before the sentinel;
- the connector has delivered the sentinel, and every partition of the table is at or past the end that it had then;
- older copies are known by the high water, which is raised to the sentinel's position.

The last three are looked at, and the fences dropped, under the locks of the table's positions, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from connectors.chunks import ChunkState, Position
from connectors.control.store import ControlStore
from connectors.seams import Target
from connectors.snapshot import Snapshot
from connectors.source_database import SourceDatabase
from connectors.tables import MappedTable
from daemon.barrier import Barrier
from daemon.handover import Chunk, droppable, past_barrier, reached
from mappers.errors import NotReadyError, TransientError


class Fences:
    """Drops key fences that a barrier has passed. One thread only.

    ends: (topic, partition) -> end, of these topics. wait: called between looks. clock: monotonic seconds.
    """

    def __init__(
        self,
        source: SourceDatabase,
        target: Target,
        control: ControlStore,
        barrier: Barrier,
        ends: Callable[[Iterable[str]], Mapping[tuple[str, int], int]],
        wait: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._target = target
        self._control = control
        self._barrier = barrier
        self._ends = ends
        self._wait = wait
        self._clock = clock

    def drop(self, mapped: MappedTable, limit_s: float) -> int:
        """Drop the table's fences that a barrier of now passes; returns how many. Raises NotReadyError after `limit_s`.

        The reason is in the error: chunks are left, the table is paused, or nobody applies its events.
        """
        deadline = self._clock() + limit_s
        self._refuse(mapped)
        before = self._source.snapshot()
        sentinel = self._barrier.sentinel()
        self._barrier.delivered(sentinel)
        with self._target.begin() as transaction:
            topics = {p.topic for p in self._control.positions.all(transaction.control) if p.table == mapped.name}
        ends = self._ends(topics)
        while (dropped := self._try(mapped, before, sentinel, ends)) is None:
            if self._clock() >= deadline:
                raise NotReadyError(f"the stream did not pass the barrier within {limit_s:g} s", where=mapped.name)
            self._refuse(mapped)
            self._wait()
        return dropped

    def _refuse(self, mapped: MappedTable) -> None:
        with self._target.begin() as transaction:
            chunks = self._control.chunks.all(transaction.control, mapped.name)
            paused = mapped.name in self._control.tables.paused(transaction.control)
        if paused:
            raise NotReadyError("the table is paused", where=mapped.name)
        if any(chunk.state is not ChunkState.DONE for chunk in chunks):
            raise NotReadyError("its backfill is not done", where=mapped.name)

    def _try(
        self, mapped: MappedTable, before: Snapshot, sentinel: int, ends: Mapping[tuple[str, int], int]
    ) -> int | None:
        """Drop what may be dropped; None while a partition is behind the barrier."""
        with self._target.begin() as transaction:
            at = [p for p in self._control.positions.all(transaction.control) if p.table == mapped.name]
        if not reached(_offsets(at), ends):
            return None  # looked at without a lock, so that the stream is not kept waiting for this
        with self._target.begin() as transaction:
            positions = self._control.positions.lock_table(transaction.control, mapped.name)
            self._control.tables.versions(transaction.control)
            chunks = self._control.chunks.share(transaction.control, mapped.name)
            done = past_barrier((Chunk(row.state, row.snapshot) for row in chunks), before)
            if not reached(_offsets(positions), ends) or not done:
                raise TransientError("the table was set back while the barrier passed", where=mapped.name)
            fences = self._control.fences.snapshots(transaction.control, mapped.name)
            old = droppable(fences, before)
            self._control.positions.raise_water(transaction.control, mapped.name, (sentinel, 0))
            return self._control.fences.drop_read_at(transaction.control, mapped.name, old)


def _offsets(positions: Sequence[Position]) -> dict[tuple[str, int], int]:
    return {(position.topic, position.partition): position.next_offset for position in positions}
