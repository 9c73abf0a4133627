"""The backfill's heart: claim a chunk, read it at a recorded snapshot, write it and `done` in one transaction.

Any number of workers, in any number of processes, share the chunk table. A chunk whose worker died goes back to where
it was claimed from as soon as its database session has ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from connectors.chunks import ChunkRow, ChunkState
from connectors.control import ControlStore
from connectors.postgresql.chunk_copy import Pushdown, copy_text, load
from connectors.postgresql.source import PostgresSource
from connectors.postgresql.target import PostgresTarget, Session
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.claims import release_abandoned
from daemon.handover import claimed, expired, may_start
from daemon.pace import Pace
from daemon.resync import Resyncer
from mappers.errors import ConflictError, FatalError, FencedError, TransientError

log = logging.getLogger(__name__)
CONFLICTS_MAX = 20
"""How often one chunk may meet rows that hold its unique values before the conflict is called the data's own."""


class Worker:
    """Loads chunks until none is left.

    tables: source table -> how it is handled, and whether the source runs its projection. wait: called between looks
    while other workers hold the last chunks, or the source is not yet past the noted transaction.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[MappedTable, Pushdown]],
        source: PostgresSource,
        target: PostgresTarget,
        control: ControlStore,
        resyncer: Resyncer,
        pace: Pace,
        wait: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._tables = tables
        self._source = source
        self._target = target
        self._control = control
        self._resyncer = resyncer
        self._pace = pace
        self._wait = wait
        self._stopping = stopping
        self._conflicts = 0

    def run(self) -> int:
        """Load every chunk that can be claimed; returns how many. Ends when all are done or the process stops."""
        loaded = 0
        with self._target.session() as session:
            self._await_start(self._noted_xid(session))
            while not self._stopping():
                chunk = self._claim(session)
                if chunk is None:
                    if not self._unfinished(session):
                        break
                    self._wait()
                    continue
                loaded += self._load(session, chunk)
        return loaded

    def _noted_xid(self, session: Session) -> int:
        with session.begin() as transaction:
            row = self._control.pipeline(transaction.control)
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

    def _claim(self, session: Session) -> ChunkRow | None:
        """Commit the claim of one chunk: the snapshot is taken after it, never before (rule 5)."""
        with session.begin() as transaction:
            release_abandoned(self._control, transaction.control)
            chunk = self._control.next_chunk(transaction.control, self._tables, [ChunkState.PENDING])
            if chunk is None:
                return None
            state = claimed(chunk.state)
            assert state is not None
            mine = replace(chunk, state=state, attempt=chunk.attempt + 1, snapshot=None)
            self._control.set_chunk(transaction.control, chunk, state, attempt=mine.attempt, claim=True)
            return mine

    def _unfinished(self, session: Session) -> bool:
        with session.begin() as transaction:
            chunks = self._control.chunks(transaction.control)
        return any(chunk.state is not ChunkState.DONE for chunk in chunks if chunk.table in self._tables)

    def _load(self, session: Session, chunk: ChunkRow) -> bool:
        """Read and write one chunk; False where it went to another worker, or has to be read again."""
        mapped, pushdown = self._tables[chunk.table]
        try:
            rows = self._copy(session, chunk, mapped, pushdown)
        except ConflictError as error:
            self._give_back(session, chunk)
            self._untangle(chunk, mapped, error)
            return False
        except FencedError:
            return False
        except TransientError:
            self._give_back(session, chunk)
            raise
        self._conflicts = 0
        self._pace.spend(rows)
        return True

    def _copy(self, session: Session, chunk: ChunkRow, mapped: MappedTable, pushdown: Pushdown) -> int:
        with self._source.reading([mapped.table]) as (source, snapshot):
            with session.begin() as transaction:
                self._record(transaction.control, chunk, snapshot)
                fenced = [tuple(json.loads(k)) for k in self._control.fenced_keys(transaction.control, chunk.table)]
            with session.begin() as transaction:
                sizes: list[int] = []
                rows = load(source, transaction, mapped, chunk, fenced, pushdown, sizes.append)
                mine = replace(chunk, snapshot=snapshot)
                done = self._control.set_chunk(
                    transaction.control,
                    mine,
                    ChunkState.DONE,
                    attempt=chunk.attempt,
                    snapshot=snapshot,
                    rows=rows,
                    size_bytes=sum(sizes),
                )
                if not done:
                    raise FencedError("the chunk went to another worker", where=f"{chunk.table} #{chunk.number}")
        log.debug("chunk loaded", extra={"table": chunk.table, "chunk": chunk.number, "rows": rows})
        return rows

    def _record(self, connection: Connection, chunk: ChunkRow, snapshot: Snapshot) -> None:
        if not self._control.set_chunk(connection, chunk, chunk.state, attempt=chunk.attempt, snapshot=snapshot):
            raise FencedError("the chunk went to another worker", where=f"{chunk.table} #{chunk.number}")

    def _give_back(self, session: Session, chunk: ChunkRow) -> None:
        with session.begin() as transaction:
            self._control.set_chunk(transaction.control, chunk, expired(chunk.state), attempt=chunk.attempt)

    def _untangle(self, chunk: ChunkRow, mapped: MappedTable, error: ConflictError) -> None:
        """A row of the chunk needs a unique value that a target row still holds: read that row again, then retry."""
        self._conflicts += 1
        if self._conflicts > CONFLICTS_MAX:
            raise FatalError(
                error.what,
                where=f"{error.where}, chunk {chunk.number} of {chunk.table}",
                hint="two source rows map to one unique value, or the target had rows: mend the mapping or the data",
            ) from error
        holders = self._holders(chunk, mapped)
        if holders:
            self._resyncer.resync(mapped, holders, exchange=True)

    def _holders(self, chunk: ChunkRow, mapped: MappedTable) -> set[tuple[str, ...]]:
        with self._source.reading([mapped.table]) as (source, _), self._target.begin() as transaction:
            transaction.raw.execute("SELECT")
            copy_text(source, transaction, mapped, chunk, (), _uncounted)
            found = transaction.conflicting_staged(mapped)
        return {tuple(str(value) for value in key) for key in found}


def _uncounted(passed_bytes: int) -> None:
    """These bytes are read to find a conflict, not to load them."""
