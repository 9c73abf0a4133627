"""The daemon: brings tables in, keeps backfill workers going, and applies the stream until told to stop."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.change import Batch
from connectors.chunks import ChunkState
from connectors.postgresql.session import server_of
from connectors.tables import MappedTable
from daemon.buffer import Buffer
from daemon.health import Health
from daemon.heartbeat import Heartbeat
from daemon.http import Server, serve
from daemon.metrics import Metrics
from daemon.prepare import Topic
from daemon.reader import Reader
from daemon.start import check_slot
from daemon.status import status_of
from daemon.stream import Applied, Stream
from daemon.watch import Watch
from daemon.wiring import Parts
from daemon.workers import Workers
from daemon.writer import Exchange, Writer
from mappers.errors import ChangeoverError, ConfigError, ConflictError, NotReadyError, TransientError

log = logging.getLogger(__name__)
HELD_S = 0.05
"""How long a partition whose next event waits for a chunk is put aside before it is looked at again."""
IDLE_S = 0.2
TEND_S = 0.5
SLOT_S = 5.0
GC_THRESHOLDS = (20_000, 50, 100)
"""Events make no cycles of garbage; with Python's own thresholds, looking for them costs a quarter of the CPU time."""


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
        self._tended = self._slot_seen = 0.0
        self._source = parts.source()
        self._heartbeat: Heartbeat | None = None
        self._watch = Watch(metrics, time.monotonic)

    def run(self, *, rebackfill: Sequence[str] = (), accept: Sequence[str] = (), anew: bool = False) -> None:
        """Start, stream, stop. rebackfill, accept, anew: what the user decided about rows that are there already."""
        decided = {"rebackfill": rebackfill, "accept": accept, "anew": anew}
        self._serve()
        self._health.started()
        try:
            tables, topics, messages = self._parts.backoff().call(lambda: self._start(decided), self._failed)
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
        try:
            facts = status_of(self._parts.facts())
        except ChangeoverError as error:
            facts = {"error": str(error)}
        return {**facts, "waiting_for": self._waiting_for, "lag_s": self._heartbeat_lag()}

    def _start(self, decided: Mapping[str, Any]) -> tuple[dict[str, MappedTable], dict[str, Topic], Topic]:
        self._health.beat()
        tables = self._parts.tables()
        topics, messages = self._parts.topics(tables)
        try:
            self._parts.start().run(tables, topics, messages, **decided)
        except ConfigError as error:
            raise self._parts.config.locate(error) from None
        except NotReadyError as error:
            hint = "see `changeover connector status`"
            raise TransientError(error.what, where=error.where, hint=hint) from error
        self._watch.expected(self._parts.facts().rows_expected)
        return tables, topics, messages

    def _stream(self, tables: dict[str, MappedTable], topics: dict[str, Topic], messages: Topic) -> None:
        config = self._parts.config
        reader = Reader(
            self._parts.consumer(tables, topics, messages),
            self._parts.next_offsets,
            self._buffer,
            config.stream.buffer_rows_max,
            config.stream.buffer_bytes_max,
            config.stream.shutdown_deadline_s,
            self._kafka_trouble,
        )
        heartbeat = self._heartbeat = Heartbeat(
            self._parts.source(),
            config.heartbeat.interval_s,
            time.monotonic,
            lambda: (messages.name, 0) in reader.partitions,
            self._failed,
        )
        partitions = {name: topic.partitions for name, topic in topics.items()}
        stream = Stream(
            tables, partitions, self._parts.source(), self._parts.target, self._parts.control, self._parts.wait_or_stop
        )
        self._tables = tables
        writer = Writer(stream, self._parts.positions, self._exchange(stream), self._parts.backoff, self._failed)
        workers = Workers(
            self._parts.path, config.backfill.workers if self._backfill else 0, self._parts.backoff().wait
        )
        self._verification = self._parts.continuous(
            tables, self._metrics, self._health, lambda: (messages.name, 0) in reader.partitions, self._failed
        )
        reader.start()
        heartbeat.start()
        self._verification.start()
        try:
            self._loop(reader, writer, workers)
        finally:
            heartbeat.stop()
            self._verification.stop()
            workers.stop(config.stream.shutdown_deadline_s)
            reader.stop()
            reader.join(config.stream.shutdown_deadline_s)
            self._verification.join(config.stream.shutdown_deadline_s)

    def _loop(self, reader: Reader, writer: Writer, workers: Workers) -> None:
        section = self._parts.config.stream
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        while not self._parts.stop.is_set():
            self._health.beat()
            self._tend(reader, workers)
            batch = self._buffer.take(section.batch_rows_max, section.batch_bytes_max, IDLE_S)
            if batch is None:
                if reader.failure is not None:
                    raise reader.failure
                continue
            self._write(reader, writer, batch)

    def _write(self, reader: Reader, writer: Writer, batch: Batch) -> None:
        began = time.monotonic()
        try:
            self._parts.backoff().call(lambda: self._verification.notice(batch), self._failed)
            applied = writer.write(batch)
            if applied is None:
                return
            for rest in applied.rest:
                self._buffer.put_back(rest, time.monotonic() + HELD_S)
        finally:
            self._buffer.finished()
        reader.committed({(a.topic, a.partition): a.end for a in applied.advances})
        self._observe(batch, applied, time.monotonic() - began)

    def _exchange(self, stream: Stream) -> Exchange:
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
        self._waiting_for = f"{unfinished} chunks" if unfinished else ""
        self._watch.chunks(self._tables, chunks)
        self._watch.stream(reader.partitions, reader.backlog, self._buffer)
        self._look_at_slot(now)

    def _look_at_slot(self, now: float) -> None:
        if now - self._slot_seen < SLOT_S:
            return
        self._slot_seen = now
        try:
            slot = self._source.slot(self._parts.config.source.slot)
            self._watch.slot(slot)
            check_slot(slot, self._parts.config.source.slot, f"source {server_of(self._source.url)}")
        except TransientError as error:
            self._source.close()
            self._failed(error)

    def _observe(self, batch: Batch, applied: Applied, seconds: float) -> None:
        self._watch.batch(batch, applied, seconds)
        for part in batch.slices:
            if part.table is None and self._heartbeat and (lag := self._heartbeat.applied(part.changes)) is not None:
                self._watch.heartbeat(lag)

    def _heartbeat_lag(self) -> float | None:
        return self._heartbeat.lag_s if self._heartbeat else None

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
