"""The daemon: brings tables in, keeps backfill workers going, and applies the stream until told to stop."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from connectors.change import Batch
from connectors.chunks import ChunkState
from daemon.backfill.workers import Workers
from daemon.config.reload import TAKEN, ConfigWatch, Running, difference, digest_of, note
from daemon.heartbeat import Heartbeat
from daemon.http.bucket import TokenBucket
from daemon.http.health import Health
from daemon.http.resync import endpoint
from daemon.http.server import Answer, Post, Server, serve
from daemon.logs import configure
from daemon.metrics import Metrics
from daemon.reference_tables import changed
from daemon.resync.on_demand import OnDemand
from daemon.start import check_log
from daemon.status import status_of
from daemon.stream.apply import Applied, Stream
from daemon.stream.buffer import Buffer
from daemon.stream.exchange import Exchanger
from daemon.stream.guard import ShapeGuard
from daemon.stream.journal_trim import JournalTrim
from daemon.stream.reader import Reader
from daemon.stream.writer import Writer
from daemon.verify.continuous import Continuous
from daemon.watch import Watch
from daemon.wiring import Parts
from mappers.errors import ChangeoverError, ConfigError, NotReadyError, TransientError

log = logging.getLogger(__name__)
HELD_S = 0.05
"""How long a partition whose next event waits for a chunk is put aside before it is looked at again."""
IDLE_S = 0.2
TEND_S = 0.5
LOG_S = 5.0
REFERENCE_S = 10.0
"""Between looks at the tables that lookups have read."""
GC_THRESHOLDS = (20_000, 50, 100)
"""Events make no cycles of garbage; with Python's own thresholds, looking for them costs a quarter of the CPU time."""


class Daemon:
    """One process of a pipeline. `run` returns when `parts.stop` is set, or raises what stopped it."""

    def __init__(self, parts: Parts, metrics: Metrics, health: Health, *, backfill: bool) -> None:
        self._parts = parts
        self._digest = digest_of(parts.path)
        self._metrics = metrics
        self._health = health
        self._backfill = backfill
        self._buffer = Buffer(time.monotonic)
        self._server: Server | None = None
        self._waiting_for = "start"
        self._tended = self._log_seen = self._references_seen = 0.0
        self._log = parts.log()
        self._source = parts.source()
        self._heartbeat: Heartbeat | None = None
        self._watch = Watch(metrics, time.monotonic)
        self._config: ConfigWatch | None = None
        self._guard: ShapeGuard | None = None
        self._on_demand: OnDemand | None = None
        self._verification: Continuous | None = None
        self._resync: Post = self._endpoint()
        stream = parts.config.stream
        self._journal = JournalTrim(
            parts.control, parts.target, time.monotonic, hours=stream.journal_h, rows=stream.journal_rows_max
        )

    def run(self, *, rebackfill: Sequence[str] = (), accept: Sequence[str] = (), anew: bool = False) -> None:
        """Start, stream, stop. rebackfill, accept, anew: what the user decided about rows that are there already."""
        decided = {"rebackfill": rebackfill, "accept": accept, "anew": anew}
        self._serve()
        self._health.started()
        try:
            running: Running | None = self._parts.backoff().call(lambda: self._start(decided), self._failed)
            note(self._parts, self._digest, f"{TAKEN}: started")
            while running is not None:
                running = self._run(running)
        except ChangeoverError as error:
            if self._parts.stop.is_set() and isinstance(error, TransientError):
                return
            self._health.fail(error.what)
            raise
        finally:
            if self._server is not None:
                self._server.close()
            self._parts.target.close()

    def look_at_config(self) -> None:
        """Take the configuration file anew, now."""
        if self._config is not None:
            self._config.look()

    def status(self) -> dict[str, Any]:
        """For /status: the pipeline's facts, and what this process waits for."""
        try:
            facts = status_of(self._parts.facts())
        except ChangeoverError as error:
            facts = {"error": str(error)}
        return {**facts, "waiting_for": self._waiting_for, "lag_s": self._heartbeat_lag()}

    def _start(self, decided: Mapping[str, Any]) -> Running:
        self._health.beat()
        tables = self._parts.tables()
        self._parts.check_connector(tables)
        topics, messages = self._parts.topics(tables)
        start = self._parts.start()
        try:
            start.run(tables, topics, messages, **decided)
        except ConfigError as error:
            raise self._parts.config.locate(error) from None
        except NotReadyError as error:
            hint = "see `changeover connector status`"
            raise TransientError(error.what, where=error.where, hint=hint) from error
        finally:
            start.close()
        self._watch.expected(self._parts.rows_expected())
        return Running(self._parts, tables, topics, messages, self._digest)

    def _run(self, running: Running) -> Running | None:
        """Stream with one configuration, until the process is to stop, or there is a new one to go on with."""
        parts = running.parts
        self._tables, self._topics = running.tables, running.topics
        watch = self._config = ConfigWatch(running, os.environ)
        with ExitStack() as stack:
            self._on_demand = parts.on_demand(running.tables, self._metrics)
            stack.callback(self._on_demand.close)
            stack.callback(watch.stop)
            watch.start()
            self._stream(running, stack)
        if self._parts.stop.is_set() or watch.ready is None:
            return None
        self._take(running, watch.ready)
        return watch.ready

    def _take(self, old: Running, new: Running) -> None:
        """Go on with another configuration. What the old one made has ended."""
        said = difference(old.tables, new.tables)
        self._parts, self._buffer = new.parts, Buffer(time.monotonic)
        self._log.close()
        self._log = new.parts.log()
        self._resync = self._endpoint()
        self._watch.forget(old.tables.keys() - new.tables.keys())
        configure(new.parts.config.log.level, new.parts.config.log.format)
        log.info("new configuration taken: %s", said)
        with suppress(ChangeoverError):
            self._watch.expected(new.parts.rows_expected())
        note(new.parts, new.digest, f"{TAKEN}: {said}")
        old.parts.target.close()

    def _stream(self, running: Running, stack: ExitStack) -> None:
        parts, config = running.parts, running.parts.config
        reader = Reader(
            parts.consumer(running.tables, running.topics, running.messages),
            parts.next_offsets,
            self._buffer,
            config.stream.buffer_rows_max,
            config.stream.buffer_bytes_max,
            config.stream.shutdown_deadline_s,
            self._kafka_trouble,
        )
        heartbeat = self._heartbeat = Heartbeat(
            parts.log(),
            config.heartbeat.interval_s,
            time.monotonic,
            lambda: (running.messages.name, 0) in reader.partitions,
            self._failed,
        )
        partitions = {name: topic.partitions for name, topic in running.topics.items()}
        source, resyncer, desk = parts.source(), parts.resyncer(), parts.desk
        stack.callback(source.close)
        stack.callback(resyncer.close)
        guard = self._guard = parts.guard(running.tables, source)
        given = (running.tables, partitions, source, parts.target, parts.control, desk, guard, parts.wait_or_stop)
        stream = Stream(*given)

        def counted(table: str, rows: int) -> None:
            self._metrics.count_resync(table, "conflict", rows)

        exchange = Exchanger(running.tables, parts.target, parts.control, resyncer, desk, counted)
        writer = Writer(stream, parts.positions, exchange, parts.backoff, self._failed)
        workers = Workers(parts.path, config.backfill.workers if self._backfill else 0, parts.backoff().wait)
        verification = self._verification = parts.continuous(
            running.tables, self._metrics, self._health, lambda: (running.messages.name, 0) in reader.partitions
        )
        reader.start()
        heartbeat.start()
        verification.start()
        try:
            self._loop(reader, writer, workers)
        finally:
            heartbeat.stop()
            verification.stop()
            workers.stop(config.stream.shutdown_deadline_s)
            reader.stop()
            reader.join(config.stream.shutdown_deadline_s)
            verification.join(config.stream.shutdown_deadline_s)

    def _loop(self, reader: Reader, writer: Writer, workers: Workers) -> None:
        section = self._parts.config.stream
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        while not self._parts.stop.is_set() and not (self._config and self._config.ready):
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
            if self._verification is not None:
                self._parts.backoff().call(partial(self._verification.notice, batch), self._failed)
            applied = writer.write(batch)
            if applied is None:
                return
            for rest in applied.rest:
                self._buffer.put_back(rest, time.monotonic() + HELD_S)
        finally:
            self._buffer.finished()
        reader.committed({(a.topic, a.partition): a.end for a in applied.advances})
        self._observe(batch, applied, time.monotonic() - began)

    # -- around the loop -------------------------------------------------------------------------------------------

    def _tend(self, reader: Reader, workers: Workers) -> None:
        now = time.monotonic()
        if now - self._tended < TEND_S:
            return
        self._tended = now
        try:
            _, chunks = self._parts.progress()
            paused = self._parts.paused() & self._tables.keys()
            self._journal.tend(reader.partitions)
        except TransientError as error:
            self._failed(error)
            return
        chunks = [chunk for chunk in chunks if chunk.table in self._tables]
        unfinished = [chunk for chunk in chunks if chunk.state is not ChunkState.DONE]
        workers.tend(sum(chunk.table not in paused for chunk in unfinished))
        self._waiting_for = f"{len(unfinished)} chunks" if unfinished else ""
        reader.paused = frozenset(self._topics[name].name for name in paused)
        self._buffer.pause(reader.paused)
        self._watch.chunks(self._tables, chunks)
        self._watch.paused(self._tables, paused)
        self._watch.stream(reader.partitions, reader.backlog, self._buffer)
        self._look_at_log(now)

    def _look_at_log(self, now: float) -> None:
        if now - self._log_seen < LOG_S:
            return
        self._log_seen = now
        self._look_at_letters()
        self._look_at_references(now)
        try:
            state = self._log.state()
            self._watch.log(state)
            check_log(state, self._log.where)
            self._look_at_tables()
        except TransientError as error:
            self._log.close()
            self._failed(error)

    def _look_at_references(self, now: float) -> None:
        entries = [entry for mapped in self._tables.values() for entry in mapped.entries if entry.makers.functions]
        if not entries or now - self._references_seen < REFERENCE_S:
            return
        self._references_seen = now
        try:
            changed(self._parts.config, entries, self._source)
        except TransientError as error:
            self._source.close()
            self._failed(error)

    def _look_at_tables(self) -> None:
        if self._guard is not None:
            self._guard.examine(self._tables)
            self._watch.ignored(self._guard.ignored)

    def _look_at_letters(self) -> None:
        control = self._parts.control.dead_letters
        try:
            with self._parts.target.begin() as transaction:
                control.trim(transaction.control, self._parts.config.dead_letters.retention_h)
                self._watch.dead_letters(control.counts(transaction.control))
        except TransientError as error:
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

    def _endpoint(self) -> Post:
        """What answers POST /resync under the configuration of now."""
        section = self._parts.config.http
        token = section.token.get_secret_value() if section.token else ""
        return endpoint(token, TokenBucket(section.resyncs_per_second, time.monotonic), lambda: self._on_demand)

    def _serve(self) -> None:
        def resync(body: bytes, authorization: str, remote: str) -> Answer:
            return self._resync(body, authorization, remote)

        section = self._parts.config.http
        if section.port:
            self._server = serve(
                section.host,
                section.port,
                self._metrics.registry,
                self._health,
                self.status,
                {"/resync": resync},
            )
