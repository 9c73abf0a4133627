"""The daemon: brings tables in, keeps backfill workers going, and applies the stream until told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from connectors.change import Batch
from connectors.chunks import ChunkState
from connectors.tables import MappedTable
from daemon.buffer import Buffer
from daemon.health import Health
from daemon.heartbeat import Heartbeat
from daemon.http import Server, serve
from daemon.metrics import Metrics, Outcome
from daemon.prepare import Topic
from daemon.reader import Reader
from daemon.status import phase_of, status_of
from daemon.stream import Applied, Stream
from daemon.wiring import Parts
from daemon.workers import Workers
from daemon.writer import Writer
from mappers.errors import ChangeoverError, ConflictError, TransientError

log = logging.getLogger(__name__)
HELD_S = 0.05
"""How long a partition whose next event waits for a chunk is put aside before it is looked at again."""
IDLE_S = 0.2
TEND_S = 0.5
GAUGES_S = 2.0


class Daemon:
    """One process of a pipeline. `run` returns when `parts.stop` is set, or raises what stopped it."""

    def __init__(self, parts: Parts, metrics: Metrics, health: Health, *, backfill: bool) -> None:
        self._parts = parts
        self._metrics = metrics
        self._health = health
        self._backfill = backfill
        self._buffer = Buffer(time.monotonic)
        self._server: Server | None = None
        self._waiting_for = "start"
        self._tended = self._gauged = 0.0

    def run(self, *, rebackfill: Sequence[str] = (), accept: Sequence[str] = ()) -> None:
        """Start, stream, stop."""
        self._serve()
        self._health.started()
        try:
            tables, topics, messages = self._parts.backoff().call(lambda: self._start(rebackfill, accept), self._failed)
            self._stream(tables, topics, messages)
        except ChangeoverError as error:
            if self._parts.stop.is_set() and isinstance(error, TransientError):
                return
            self._health.fail(error.what)
            raise
        finally:
            if self._server is not None:
                self._server.close()
            self._parts.target.close()

    def status(self) -> dict[str, Any]:
        """For /status: the pipeline's facts, and what this process waits for."""
        facts = status_of(self._parts.facts())
        return {**facts, "waiting_for": self._waiting_for, "lag_s": self._heartbeat_lag()}

    def _start(
        self, rebackfill: Sequence[str], accept: Sequence[str]
    ) -> tuple[dict[str, MappedTable], dict[str, Topic], Topic]:
        self._health.beat()
        tables = self._parts.tables()
        topics, messages = self._parts.topics(tables)
        self._parts.start().run(tables, topics, messages, rebackfill=rebackfill, accept=accept)
        return tables, topics, messages

    def _stream(self, tables: dict[str, MappedTable], topics: dict[str, Topic], messages: Topic) -> None:
        config = self._parts.config
        reader = Reader(
            self._parts.consumer(tables, topics, messages),
            self._parts.next_offsets,
            self._buffer,
            config.stream.buffer_rows_max,
            config.stream.shutdown_deadline_s,
            self._kafka_trouble,
        )
        self._heartbeat = Heartbeat(
            self._parts.source(),
            config.heartbeat.interval_s,
            time.monotonic,
            lambda: (messages.name, 0) in reader.partitions,
            self._failed,
        )
        partitions = {name: topic.partitions for name, topic in topics.items()}
        stream = Stream(
            tables, partitions, self._parts.source(), self._parts.target, self._parts.control, self._parts.wait
        )
        self._tables = tables
        writer = Writer(stream, self._parts.positions, self._exchange(stream), self._parts.backoff, self._failed)
        workers = Workers(
            self._parts.path, config.backfill.workers if self._backfill else 0, self._parts.backoff().wait
        )
        reader.start()
        self._heartbeat.start()
        try:
            self._loop(reader, writer, workers)
        finally:
            self._heartbeat.stop()
            workers.stop(config.stream.shutdown_deadline_s)
            reader.stop()
            reader.join(config.stream.shutdown_deadline_s)

    def _loop(self, reader: Reader, writer: Writer, workers: Workers) -> None:
        rows_max = self._parts.config.stream.batch_rows_max
        while not self._parts.stop.is_set():
            self._health.beat()
            self._tend(reader, workers)
            batch = self._buffer.take(rows_max, IDLE_S)
            if batch is None:
                if reader.failure is not None:
                    raise reader.failure
                continue
            self._write(reader, writer, batch)

    def _write(self, reader: Reader, writer: Writer, batch: Batch) -> None:
        began = time.monotonic()
        try:
            applied = writer.write(batch)
            if applied is None:
                return
            for rest in applied.rest:
                self._buffer.put_back(rest, time.monotonic() + HELD_S)
        finally:
            self._buffer.finished()
        reader.committed({(a.topic, a.partition): a.end for a in applied.advances})
        self._observe(batch, applied, time.monotonic() - began)

    def _exchange(self, stream: Stream):  # type: ignore[no-untyped-def]
        resyncer = self._parts.resyncer()

        def exchange(batch: Batch, error: ConflictError) -> None:
            for name, keys in stream.keys(batch, error.table).items():
                mapped = self._tables[name]
                resyncer.resync(mapped, [mapped.form.texts(key) for key in keys], exchange=True)
                self._metrics.count_resync(name, "conflict", len(keys))

        return exchange

    # -- around the loop -------------------------------------------------------------------------------------------

    def _tend(self, reader: Reader, workers: Workers) -> None:
        now = time.monotonic()
        if now - self._tended < TEND_S:
            return
        self._tended = now
        try:
            _, chunks = self._parts.progress()
        except TransientError as error:
            self._failed(error)
            return
        unfinished = sum(chunk.state is not ChunkState.DONE for chunk in chunks)
        workers.tend(unfinished)
        phase = phase_of(chunks)
        self._metrics.set_phase("default", phase)
        self._waiting_for = f"{unfinished} chunks" if unfinished else ""
        for name in self._tables:
            mine = [chunk for chunk in chunks if chunk.table == name]
            states = [chunk.state.value for chunk in mine]
            self._metrics.set_chunks(name, {state: states.count(state) for state in set(states)})
        self._gauges(reader)

    def _gauges(self, reader: Reader) -> None:
        metrics = self._metrics
        metrics.buffered_events.set(self._buffer.events)
        metrics.partitions_assigned.set(len(reader.partitions))
        sizes = self._buffer.sizes()
        held = self._buffer.held
        metrics.set_throttled(*(["held"] if held else []))
        behind: dict[str, int] = {}
        for where, events in reader.backlog.items():
            behind[where[0]] = behind.get(where[0], 0) + events + sizes.get(where, 0)
        for topic, events in behind.items():
            metrics.backlog_events.labels(topic).set(events)

    def _observe(self, batch: Batch, applied: Applied, seconds: float) -> None:
        metrics = self._metrics
        if batch.events:
            metrics.apply_latency_seconds.observe(seconds)
            metrics.batch_rows.observe(batch.events)
        tables = {(part.topic, part.partition): part.table or part.topic for part in batch.slices}
        for advance in applied.advances:
            table = tables[advance.topic, advance.partition]
            for outcome in Outcome:
                metrics.count_outcome(table, outcome, getattr(advance.ledger, outcome.value))
            if advance.source_time_us:
                metrics.last_applied_source_timestamp_seconds.labels(table).set(advance.source_time_us / 1e6)
        for (table, reason), rows in applied.resynced.items():
            metrics.count_resync(table, reason, rows)
        for part in batch.slices:
            if part.table is None and (lag := self._heartbeat.applied(part.changes)) is not None:
                metrics.end_to_end_lag_seconds.set(lag)
                metrics.heartbeat_applied_timestamp_seconds.set(time.time())

    def _heartbeat_lag(self) -> float | None:
        heartbeat = getattr(self, "_heartbeat", None)
        return heartbeat.lag_s if heartbeat is not None else None

    def _failed(self, error: ChangeoverError) -> None:
        if str(error) != self._waiting_for:
            log.warning("trying again: %s", error)
        self._waiting_for = str(error)
        self._health.beat()
        self._metrics.count_transient_error(error.where.split(" ")[0])

    def _kafka_trouble(self, text: str) -> None:
        if text and text != self._waiting_for:
            log.warning("kafka: %s", text)
            self._waiting_for = text

    def _serve(self) -> None:
        section = self._parts.config.http
        if section.port:
            self._server = serve(section.host, section.port, self._metrics.registry, self._health, self.status)
