"""The backfill's heart: claim a chunk, read it at a recorded snapshot, write it and `done` in one transaction.

Any number of workers, in any number of processes, share the chunk table. A chunk whose worker died goes back to where
it was claimed from as soon as its database session has ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from connectors.chunks import ChunkRow, ChunkState, Range
from connectors.control.dead_letters import NewLetter
from connectors.control.store import ControlStore
from connectors.keys import within
from connectors.seams import Pushdown, Reading, Sessions, Source, Target, TargetTransaction
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from connectors.transfer import copy_text, load
from daemon.backfill.claims import release_abandoned
from daemon.backfill.pace import Pace
from daemon.handover import claimed, expired, may_start
from daemon.resync.keys import make_room
from daemon.stream.dead_letters import DeadLetterDesk
from daemon.stream.isolate import isolate
from mappers.errors import ConflictError, FatalError, FencedError, RecordError, TransientError

log = logging.getLogger(__name__)
MEND = "mend the value at the source, the mapping or the target's table, then start again; finished chunks are kept"
LOOKS_PAUSED = 25


class Worker:
    """Loads chunks until none is left.

    tables: source table -> how it is handled, and whether the source runs its projection. wait: called between looks
    while other workers hold the last chunks, or the source is not yet past the noted transaction.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[MappedTable, Pushdown]],
        source: Source,
        target: Sessions,
        control: ControlStore,
        desk: DeadLetterDesk,
        pace: Pace,
        wait: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._tables = tables
        self._source = source
        self._target = target
        self._control = control
        self._desk = desk
        self._pace = pace
        self._wait = wait
        self._stopping = stopping

    def run(self) -> int:
        """Load every chunk that can be claimed; returns how many. Ends when all are done or the process stops."""
        loaded = 0
        with self._target.session() as session:
            self._await_start(self._noted_xid(session))
            while not self._stopping():
                chunk = self._claim(session)
                if chunk is None:
                    left = self._unfinished(session)
                    if not left:
                        break
                    self._look_again(session, left)
                    continue
                loaded += self._load(session, chunk)
        return loaded

    def _noted_xid(self, session: Target) -> int:
        with session.begin() as transaction:
            row = self._control.pipeline.get(transaction.control)
        if row is None:
            raise FatalError("the pipeline has not been started", hint="run `changeover run` once")
        return row.noted_xid

    def _await_start(self, noted: int) -> None:
        """Rule 1: nothing is read before every transaction up to the noted one has ended."""
        said = False
        while not self._stopping() and not may_start(self._source.snapshot(), noted):
            if not said:
                log.info("waiting for transactions at the source that began before %d, the start", noted)
                said = True
            self._wait()

    def _claim(self, session: Target) -> ChunkRow | None:
        """Commit the claim of one chunk: the snapshot is taken after it, never before (rule 5)."""
        with session.begin() as transaction:
            release_abandoned(self._control, transaction.control)
            chunk = self._control.chunks.next(transaction.control, self._tables, [ChunkState.PENDING])
            if chunk is None:
                return None
            state = claimed(chunk.state)
            assert state is not None
            mine = replace(chunk, state=state, attempt=chunk.attempt + 1, snapshot=None)
            self._control.chunks.move(transaction.control, chunk, state, attempt=mine.attempt, claim=True)
            return mine

    def _unfinished(self, session: Target) -> set[str]:
        """The tables that have chunks which are not done."""
        with session.begin() as transaction:
            chunks = self._control.chunks.all(transaction.control)
        return {chunk.table for chunk in chunks if chunk.state is not ChunkState.DONE} & self._tables.keys()

    def _look_again(self, session: Target, left: set[str]) -> None:
        """Wait for other workers' chunks; longer where only paused tables are left, which somebody has to resume."""
        with session.begin() as transaction:
            paused = left <= self._control.tables.paused(transaction.control)
        for _ in range(LOOKS_PAUSED if paused else 1):
            if not self._stopping():
                self._wait()

    def _follow_pace(self, session: Target) -> None:
        with session.begin() as transaction:
            self._pace.follow(self._control.pipeline.pace(transaction.control))

    def _load(self, session: Target, chunk: ChunkRow) -> bool:
        """Read and write one chunk; False where it went to another worker, or has to be read again."""
        mapped, pushdown = self._tables[chunk.table]
        try:
            rows = self._copy_or_mend(session, chunk, mapped, pushdown)
        except FencedError:
            return False
        except TransientError:
            self._give_back(session, chunk)
            raise
        except RecordError as error:
            where = f"{error.where}, chunk {chunk.number} of {chunk.table}"
            raise RecordError(error.what, where=where, hint=error.hint or MEND) from error
        self._follow_pace(session)
        self._pace.spend(rows, lambda: self._follow_pace(session))
        return True

    def _copy_or_mend(self, session: Target, chunk: ChunkRow, mapped: MappedTable, pushdown: Pushdown) -> int:
        try:
            return self._copy(session, chunk, mapped, pushdown)
        except ConflictError:
            return self._load_row_by_row(session, chunk, mapped)
        except RecordError:
            if self._desk.closed:
                raise
            return self._load_row_by_row(session, chunk, mapped)

    def _copy(self, session: Target, chunk: ChunkRow, mapped: MappedTable, pushdown: Pushdown) -> int:
        with self._source.reading(mapped.table) as reading:
            with session.begin() as transaction:
                self._record(transaction.control, chunk, reading.snapshot)
                fenced = self._fenced(transaction, chunk)
            with session.begin() as transaction:
                sizes: list[int] = []
                rows = load(reading, transaction, mapped, _range(chunk), fenced, pushdown, sizes.append)
                self._finish(transaction, chunk, reading.snapshot, rows, sum(sizes))
        log.debug("chunk loaded", extra={"table": chunk.table, "chunk": chunk.number, "rows": rows})
        return rows

    def _load_row_by_row(self, session: Target, chunk: ChunkRow, mapped: MappedTable) -> int:
        """Load a chunk with rows that the target refuses, or whose unique values other rows still hold there.

        The table's positions and chunks are locked before the snapshot is taken, so that nothing in the target is newer
        than it, and the holders make room (`make_room`); what is refused by itself is set aside. One transaction.
        """
        with session.begin() as transaction:
            self._control.positions.lock_table(transaction.control, chunk.table)
            self._control.chunks.share(transaction.control, chunk.table)
            with self._source.reading(mapped.table) as reading:
                fenced = self._fenced(transaction, chunk)
                sizes: list[int] = []
                rows = copy_text(reading, transaction, mapped, _range(chunk), fenced, sizes.append)
                letters = self._insert_isolated(transaction, chunk, mapped, reading, rows)
                self._finish(transaction, chunk, reading.snapshot, rows, sum(sizes))
        log.info("chunk loaded row by row", extra={"table": chunk.table, "chunk": chunk.number, "set_aside": letters})
        return rows

    def _insert_isolated(
        self, transaction: TargetTransaction, chunk: ChunkRow, mapped: MappedTable, reading: Reading, rows: int
    ) -> int:
        """Insert the staged rows; returns how many were set aside as dead letters."""
        letters: list[NewLetter] = []

        def attempt(numbers: Sequence[int]) -> None:
            span = (numbers[0], numbers[-1])
            try:
                with transaction.savepoint():
                    holders = transaction.conflicting_staged(mapped, span)
                    make_room(transaction, mapped, reading, holders, span)
                    transaction.insert_staged(mapped, span)
            except ConflictError as error:
                raise RecordError(error.what, where=error.where, reason=error.reason) from error

        def refuse(number: int, error: RecordError) -> None:
            row = transaction.staged_text(mapped, number)
            letters.append(self._desk.of_chunk(mapped, chunk.number, row, error))
            self._desk.admit(transaction.control, letters, error)

        isolate(range(rows), attempt, refuse)
        self._desk.put(transaction.control, letters)
        return len(letters)

    def _fenced(self, transaction: TargetTransaction, chunk: ChunkRow) -> list[tuple[str, ...]]:
        keys = [tuple(json.loads(key)) for key in self._control.fences.keys(transaction.control, chunk.table)]
        return within(self._tables[chunk.table][0].form, chunk.lower, chunk.upper, keys)

    def _finish(
        self, transaction: TargetTransaction, chunk: ChunkRow, snapshot: Snapshot, rows: int, size_bytes: int
    ) -> None:
        """Mark the chunk done at this snapshot, if it is still this worker's. Raises FencedError."""
        done = self._control.chunks.move(
            transaction.control,
            chunk,
            ChunkState.DONE,
            attempt=chunk.attempt,
            snapshot=snapshot,
            rows=rows,
            size_bytes=size_bytes,
        )
        if not done:
            raise FencedError("the chunk went to another worker", where=f"{chunk.table} #{chunk.number}")

    def _record(self, connection: Connection, chunk: ChunkRow, snapshot: Snapshot) -> None:
        if not self._control.chunks.move(connection, chunk, chunk.state, attempt=chunk.attempt, snapshot=snapshot):
            raise FencedError("the chunk went to another worker", where=f"{chunk.table} #{chunk.number}")

    def _give_back(self, session: Target, chunk: ChunkRow) -> None:
        with session.begin() as transaction:
            self._control.chunks.move(transaction.control, chunk, expired(chunk.state), attempt=chunk.attempt)


def _range(chunk: ChunkRow) -> Range:
    return Range(chunk.lower, chunk.upper)
