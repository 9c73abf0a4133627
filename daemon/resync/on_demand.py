"""Rows that are moved now, because somebody asks for them: when this returns, they are in the target.

A small pool, so that any number of requests holds few connections and locks, apart from those of the stream.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence

from connectors.control.store import ControlStore
from connectors.source_database import SourceDatabase
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from daemon.metrics import Metrics
from daemon.resync.keys import Mended, Resyncer
from mappers.errors import NotReadyError, RecordError, TransientError

REASON = "request"


class _Mover:
    """One resyncer with its connection to the source, and the moment by which its request must be done."""

    def __init__(
        self,
        source: SourceDatabase,
        target: SqlTarget,
        control: ControlStore,
        clock: Callable[[], float],
        wait: Callable[[], None],
    ) -> None:
        self.source = source
        self.deadline = 0.0
        self._clock = clock
        self._wait = wait
        self._resyncer = Resyncer(source, target, control, self._look_again)

    def move(self, mapped: MappedTable, keys: Sequence[tuple[str, ...]]) -> Mended:
        """Move the rows; connections that broke since the last request are opened again, once."""
        try:
            return self._resyncer.mend(mapped, self.source.canonical(mapped.table, mapped.form, keys))
        except TransientError:
            self.source.close()
            if self._clock() >= self.deadline:
                raise
        return self._resyncer.mend(mapped, self.source.canonical(mapped.table, mapped.form, keys))

    def _look_again(self) -> None:
        if self._clock() >= self.deadline:
            raise NotReadyError("the backfill is reading the part of the table that the row is in")
        self._wait()


class OnDemand:
    """Moves rows of the mapped tables. Thread-safe.

    target: not the stream's; its statements are limited to `timeout_s`. source: makes one for each mover.
    size: movers, and so requests at the same time; as many again may wait for one. wait: called between looks while a
    chunk is being read. clock: monotonic seconds.
    """

    def __init__(
        self,
        tables: Mapping[str, MappedTable],
        source: Callable[[], SourceDatabase],
        target: SqlTarget,
        control: ControlStore,
        metrics: Metrics,
        clock: Callable[[], float],
        wait: Callable[[], None],
        *,
        size: int,
        timeout_s: float,
    ) -> None:
        self.tables = tables
        self._source = source
        self._target = target
        self._control = control
        self._metrics = metrics
        self._clock = clock
        self._wait = wait
        self._timeout_s = timeout_s
        self._admitted = threading.BoundedSemaphore(2 * size)
        self._idle: queue.LifoQueue[_Mover | None] = queue.LifoQueue()
        self._closed = False
        for _ in range(size):
            self._idle.put(None)

    def move(self, table: str, keys: Sequence[tuple[str, ...]], who: str) -> Mended:
        """Move these rows, and return when they are committed. Raises

        NotReadyError or TransientError when that cannot be within the time limit, RecordError when a key cannot be one
        of this table or the target refuses a row, FencedError when the pipeline is sealed.
        """
        deadline = self._clock() + self._timeout_s
        if not self._admitted.acquire(blocking=False):
            raise TransientError("too many requests at the same time")
        try:
            mover = self._mover()
            try:
                mover.deadline = deadline
                self._audit(table, len(keys), who)
                mended = mover.move(self.tables[table], keys)
            except RecordError:
                raise
            except BaseException:
                mover.source.close()
                raise
            finally:
                self._idle.put(mover)
                if self._closed:
                    self.close()
        finally:
            self._admitted.release()
        self._metrics.count_resync(table, REASON, len(keys))
        return mended

    def close(self) -> None:
        """Close the connections of movers at rest; one at work closes its own when it is done."""
        self._closed = True
        idle = []
        while not self._idle.empty():
            idle.append(self._idle.get())
        for mover in idle:
            if mover is not None:
                mover.source.close()
            self._idle.put(None)
        self._target.close()

    def _mover(self) -> _Mover:
        try:
            found = self._idle.get(timeout=self._timeout_s)
        except queue.Empty:
            raise TransientError("every mover is at work") from None
        return found or _Mover(self._source(), self._target, self._control, self._clock, self._wait)

    def _audit(self, table: str, keys: int, who: str) -> None:
        with self._target.begin() as transaction:
            self._control.audit.add(transaction.control, who, "resync", f"{table} by request: {keys} keys")
