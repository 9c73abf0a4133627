"""What the running daemon shows of itself: metrics, and a log line now and then while the backfill goes on."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from connectors.change import Batch
from connectors.chunks import ChunkRow, ChunkState, Ledger
from connectors.kafka.consumer import Partition
from connectors.source_log import LogState
from daemon.backfill.progress import progress_of
from daemon.metrics import Metrics, Outcome
from daemon.status import phase_of
from daemon.stream.apply import Applied
from daemon.stream.buffer import Buffer

log = logging.getLogger(__name__)
GROUP = "default"
PROGRESS_EVERY_S = 5.0


class Watch:
    """Turns what happened into metrics. clock: monotonic seconds."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._began: tuple[float, float] | None = None
        self._said = 0.0
        self._rows: Counter[str] = Counter()
        self._topics: dict[Partition, str] = {}
        self._letters: set[tuple[str, str]] = set()

    def expected(self, rows: Mapping[str, int]) -> None:
        """How many rows the backfill is expected to load, by table."""
        for table, count in rows.items():
            self._metrics.backfill_rows_expected.labels(table).set(count)

    def chunks(self, tables: Collection[str], chunks: Sequence[ChunkRow]) -> None:
        """Where the backfill is."""
        self._metrics.set_phase(GROUP, phase_of(chunks))
        for table in tables:
            mine = [chunk for chunk in chunks if chunk.table == table]
            self._metrics.set_chunks(table, Counter(chunk.state.value for chunk in mine))
            rows = sum(chunk.rows for chunk in mine)
            if rows > self._rows[table]:
                self._metrics.backfill_rows_total.labels(table).inc(rows - self._rows[table])
            self._rows[table] = rows
        self._say(chunks)

    def _say(self, chunks: Sequence[ChunkRow]) -> None:
        now = self._clock()
        done = sum(chunk.state is ChunkState.DONE for chunk in chunks) / max(1, len(chunks))
        if self._began is None:
            self._began = (now, done)
        unfinished = done < 1 and bool(chunks)
        if (unfinished and now - self._said >= PROGRESS_EVERY_S) or (not unfinished and self._said > 0):
            log.info("backfill: %s", progress_of(chunks, self._began[1], now - self._began[0]))
            self._said = now if unfinished else 0.0

    def stream(self, assigned: Collection[Partition], backlog: Mapping[Partition, int], buffer: Buffer) -> None:
        """Where the stream is."""
        self._metrics.buffered_events.set(buffer.events)
        self._metrics.partitions_assigned.set(len(assigned))
        self._metrics.set_throttled(*(["held"] if buffer.held else []))
        sizes = buffer.sizes()
        behind: Counter[str] = Counter()
        for where, events in backlog.items():
            behind[self._topics.get(where, where[0])] += events + sizes.get(where, (0, 0))[0]
        for table, count in behind.items():
            self._metrics.backlog_events.labels(table).set(count)

    def paused(self, tables: Collection[str], paused: Collection[str]) -> None:
        """Which tables are paused."""
        for table in tables:
            self._metrics.paused.labels(table).set(table in paused)

    def ignored(self, columns: Mapping[str, Collection[str]]) -> None:
        """Columns that came at the source and are ignored, as the mapping says."""
        for table, names in columns.items():
            self._metrics.ignored_columns.labels(table).set(len(names))

    def forget(self, tables: Collection[str]) -> None:
        """These tables are not handled any more: what was last seen of them is not shown on."""
        for table in tables:
            metrics = self._metrics
            gone = (metrics.backlog_events, metrics.paused, metrics.backfill_rows_expected, metrics.ignored_columns)
            for gauge in gone:
                with suppress(KeyError):
                    gauge.remove(table)
            self._metrics.set_chunks(table, {})

    def log(self, state: LogState) -> None:
        """How it stands with the connector and the source's log."""
        self._metrics.slot_active.set(state.active)
        self._metrics.slot_retained_bytes.set(state.retained_bytes or 0)

    def dead_letters(self, counts: Mapping[tuple[str, str], int]) -> None:
        """How many letters are open, by (table, reason)."""
        for known in self._letters - counts.keys():
            self._metrics.set_dead_letters(*known, 0)
        for (table, reason), letters in counts.items():
            self._metrics.set_dead_letters(table, reason, letters)
        self._letters |= counts.keys()

    def batch(self, batch: Batch, applied: Applied, seconds: float) -> None:
        """A batch was committed."""
        metrics = self._metrics
        if batch.events:
            metrics.apply_latency_seconds.observe(seconds)
            metrics.batch_rows.observe(batch.events)
        for part in batch.slices:
            table = self._topics[part.topic, part.partition] = part.table or part.topic
            mine = [a for a in applied.advances if (a.topic, a.partition) == (part.topic, part.partition)]
            ledger = sum((advance.ledger for advance in mine), Ledger())
            for op, events in Counter(c.op for c in part.changes[: ledger.consumed]).items():
                metrics.count_consumed(table, op, events)
            for outcome in Outcome:
                metrics.count_outcome(table, outcome, getattr(ledger, outcome.value))
            if time_us := max((advance.source_time_us for advance in mine), default=0):
                metrics.last_applied_source_timestamp_seconds.labels(table).set(time_us / 1e6)
        for (table, reason), rows in applied.resynced.items():
            metrics.count_resync(table, reason, rows)

    def heartbeat(self, lag_s: float) -> None:
        """A heartbeat of this process came through the whole chain."""
        self._metrics.end_to_end_lag_seconds.set(lag_s)
        self._metrics.heartbeat_applied_timestamp_seconds.set(time.time())
