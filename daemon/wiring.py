"""From a configuration to the parts that run. Which engine the target is, `daemon.targets` knows."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.chunks import ChunkRow, Position
from connectors.control.shapes import Stored
from connectors.control.store import ControlStore
from connectors.kafka.avro_converters import nulls_travel
from connectors.kafka.consumer import ChangeConsumer, Decode, Partition, settings
from connectors.kafka.log import LogReader
from connectors.kafka.topics import Topics, admin_client
from connectors.seams import Pushdown
from connectors.source_database import SourceDatabase
from connectors.source_log import SourceLog
from connectors.sql.sides import Reader
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from daemon.barrier import Barrier
from daemon.config.model import Config
from daemon.http.health import Health
from daemon.metrics import Metrics
from daemon.prepare import Topic, mapped_tables, topics_of
from daemon.resync.keys import Resyncer
from daemon.resync.on_demand import OnDemand
from daemon.retry import Backoff, delays_s
from daemon.sources import Stream, log_of, source_of, stream_of
from daemon.start import Start
from daemon.status import Facts
from daemon.stream.dead_letters import DeadLetterDesk, DeadLetterPolicy
from daemon.stream.decoders import decoders
from daemon.stream.guard import Keep, ShapeGuard
from daemon.stream.reader import Assigned, Revoked
from daemon.targets import target_of
from daemon.verify.continuous import Continuous, Duties
from daemon.verify.mask import Mask
from daemon.verify.repair import Repairer
from daemon.verify.restarts import suspect
from daemon.verify.sweep import Manner
from daemon.verify.verifier import Around, Verifier
from mappers.errors import ChangeoverError, TransientError

if TYPE_CHECKING:
    from connectors.kafka.avro import Schemas

RETRY_FIRST_S, RETRY_LIMIT_S, RETRY_FACTOR = 0.2, 10.0, 2.0
LOOK_S = 0.02
"""Between looks at a condition that another process or the source brings about."""


@dataclass(frozen=True)
class Parts:
    """The parts of one process. stop: set once, when the process is to end."""

    config: Config
    path: Path
    stop: threading.Event

    @cached_property
    def target(self) -> SqlTarget:
        """The new store; thread-safe."""
        return target_of(self.config.target)

    @cached_property
    def control(self) -> ControlStore:
        """The pipeline's durable state."""
        return ControlStore(self.config.pipeline)

    @cached_property
    def broker(self) -> Topics:
        """Questions about topics."""
        kafka = self.config.kafka
        return Topics(admin_client(kafka.bootstrap_servers, kafka.settings), kafka.bootstrap_servers)

    @cached_property
    def schemas(self) -> Schemas | None:
        """Where the schemas of events in Avro come from; None where no registry is configured."""
        url = self.config.kafka.schema_registry
        if url is None:
            return None
        from connectors.kafka.avro import Schemas
        from connectors.kafka.registry import Registry

        return Schemas(Registry(url).schema, self._nulls_travel)

    def _nulls_travel(self) -> bool:
        """What the connector's converter does with NULL; the worse, where Kafka Connect does not tell."""
        from connectors.kafka.connect import Connect

        section = self.config.connect
        if section is None:
            return False
        try:
            with Connect(section.url) as connect:
                return nulls_travel(connect.config(section.connector) or {})
        except ChangeoverError:
            return False

    def source(self) -> SourceDatabase:
        """A new reader of the old database: each thread has its own."""
        return source_of(self.config.source)

    def log(self) -> SourceLog:
        """The old database's log, with connections of its own."""
        return log_of(self.config)

    @property
    def stream(self) -> Stream:
        """How the source's stream reads."""
        return stream_of(self.config.source.kind)

    def guard(self, tables: Mapping[str, MappedTable], source: SourceDatabase, keep: Keep | None = None) -> ShapeGuard:
        """Notices that tables are altered at the source. keep: where that is not the control state's to remember."""
        return ShapeGuard(tables, source, self.shapes(), keep or self._keep_shape)

    def shapes(self) -> dict[str, Stored]:
        """Table -> what it was when its rows were made; nothing before the first start."""
        with self.target.begin(reading=True) as transaction:
            exists = self.control.exists(transaction.control)
            return self.control.shapes.all(transaction.control) if exists else {}

    def _keep_shape(self, table: str, stored: Stored, doubts: Collection[str]) -> None:
        with self.target.begin() as transaction:
            self.control.shapes.put(transaction.control, table, stored)
            for doubt in doubts:
                suspect(self.control, transaction.control, doubt, None)

    def check_connector(self, tables: Mapping[str, MappedTable]) -> None:
        """Look at the settings of a connector that somebody else runs. Raises FatalError where they do harm."""
        if self.config.connect is not None and not self.config.connect.managed:
            from daemon.connector.foreign import check_foreign

            check_foreign(self.config, tables)

    def wait(self) -> None:
        """Between looks; ends early when the process is to stop."""
        self.stop.wait(LOOK_S)

    def wait_or_stop(self) -> None:
        """The same where only an error leads out: raises TransientError when the process is to stop."""
        if self.stop.wait(LOOK_S):
            raise TransientError("the process is stopping")

    def backoff(self, limit_s: float = RETRY_LIMIT_S) -> Backoff:
        """How this process waits before it tries again."""

        def delays() -> Iterator[float]:
            return delays_s(RETRY_FIRST_S, limit_s, RETRY_FACTOR, random.random)

        return Backoff(delays, self.stop.wait, self.stop.is_set)

    def barrier(self, limit_s: float) -> Barrier:
        """A barrier with its own connection to the source."""
        return Barrier(self.log(), self.wait, time.monotonic, limit_s, self.stop.is_set)

    @cached_property
    def desk(self) -> DeadLetterDesk:
        """Sets refused rows aside."""
        section = self.config.dead_letters
        policy = DeadLetterPolicy(section.max, section.per_minute_max, frozenset(section.mask))
        return DeadLetterDesk(self.control, policy)

    def resyncer(self) -> Resyncer:
        """Re-reads keys; with its own connection to the source."""
        return Resyncer(self.source(), self.target, self.control, self.wait_or_stop)

    def on_demand(self, tables: Mapping[str, MappedTable], metrics: Metrics) -> OnDemand:
        """Moves rows when somebody asks for them; on connections of its own."""
        http, limit_s = self.config.http, self.config.http.resync_timeout_s

        def source() -> SourceDatabase:
            return source_of(self.config.source, limit_s=limit_s)

        target = target_of(self.config.target, limit_s=limit_s)
        size, clock, wait = http.resync_workers, time.monotonic, self.wait_or_stop
        return OnDemand(tables, source, target, self.control, metrics, clock, wait, size=size, timeout_s=limit_s)

    def tables(self) -> dict[str, MappedTable]:
        """The mapping against both catalogues. Raises ConfigError with all problems.

        The mapping's Python functions may be in modules beside the configuration.
        """
        if (beside := str(self.path.resolve().parent)) not in sys.path:
            sys.path.append(beside)
        source = self.source()
        try:
            return mapped_tables(self.config, source, self.target)
        finally:
            source.close()

    def topics(self, tables: Mapping[str, MappedTable]) -> tuple[dict[str, Topic], Topic]:
        """Source table -> topic, and the topic of logical messages."""
        return topics_of(self.config, tables, self.broker)

    def start(self, limit_s: float = 10) -> Start:
        """Brings the control state up to the configuration."""
        chunk_rows = self.config.backfill.chunk_rows
        barrier, ends = self.barrier(limit_s), self.broker.end_offsets
        return Start(self.source(), self.log(), self.target, self.control, barrier, ends, chunk_rows)

    def reader(self) -> Reader:
        """Reads both sides for verification, with connections of its own."""
        return Reader(self.source(), target_of(self.config.target))

    def verifier(
        self,
        tables: Mapping[str, MappedTable],
        manner: Manner,
        stopping: Callable[[], bool],
        limit_s: float | None = None,
        told: Callable[[str, int], None] = lambda table, rows: None,
    ) -> Verifier:
        """Compares both sides. limit_s: how long a barrier may take; the configuration's unless given."""
        topics, messages = self.topics(tables)

        def ends(wanted: Collection[str]) -> dict[tuple[str, int], int]:
            return self.broker.end_offsets([messages.name, *(topics[name].name for name in wanted)])

        def ended() -> bool:
            return self.stop.is_set() or stopping()

        limit_s = limit_s or self.config.verify.timeout_s
        around = Around(
            target=self.target,
            control=self.control,
            make_reader=self.reader,
            barrier=Barrier(self.log(), self.wait, time.monotonic, limit_s, ended),
            ends=ends,
            progress=self.progress,
            repairer=lambda: Repairer(self.resyncer(), self.reader()),
            mask=Mask(self.config.verify.mask),
        )
        return Verifier(self.pushdowns(tables), around, manner, stopping, told)

    def continuous(
        self,
        tables: Mapping[str, MappedTable],
        metrics: Metrics,
        health: Health,
        owner: Callable[[], bool],
    ) -> Continuous:
        """The thread that verifies while `run` streams."""
        section = self.config.verify

        def make(rows_per_second: int | None, stopping: Callable[[], bool]) -> Verifier:
            workers = 1 if rows_per_second else section.workers
            manner = Manner(workers, section.slice_rows, rows_per_second, 0, self.stop.wait)
            return self.verifier(
                tables, manner, stopping, told=lambda t, n: metrics.verification_rows_total.labels(t).inc(n)
            )

        entries = [entry.name for mapped in tables.values() for entry in mapped.entries]
        return Continuous(Duties(make, owner, entries, self.log(), self.target, self.control, section, metrics, health))

    def pushdowns(self, tables: Mapping[str, MappedTable]) -> dict[str, tuple[MappedTable, Pushdown]]:
        """Source table -> how it is handled and whether the source can run its projection."""
        source, locale = self.source(), self.target.locale()
        try:
            return {n: (m, source.pushdown(m, self.target.dialect, locale)) for n, m in tables.items()}
        finally:
            source.close()

    def consumer(
        self, tables: Mapping[str, MappedTable], topics: Mapping[str, Topic], messages: Topic
    ) -> Callable[[Assigned, Revoked], ChangeConsumer]:
        """Makes the consumer of the change stream, once its thread has the callbacks."""
        kafka = self.config.kafka
        stored, stream = self.shapes(), self.stream
        made: dict[str, tuple[str | None, Decode]] = decoders(tables, topics, messages, stream, stored, self.schemas)

        def make(assigned: Assigned, revoked: Revoked) -> ChangeConsumer:
            asked = settings(kafka.bootstrap_servers, kafka.group, kafka.settings)
            return ChangeConsumer(asked, made, self.broker.end_offsets, assigned, revoked)

        return make

    def log_reader(self) -> LogReader:
        """Reads the log without any effect on the consumer group."""
        kafka = self.config.kafka
        return LogReader(settings(kafka.bootstrap_servers, kafka.group, kafka.settings, client_id="changeover-look"))

    def positions(self) -> list[Position]:
        """Where the target stands."""
        with self.target.begin(reading=True) as transaction:
            return self.control.positions.all(transaction.control)

    def next_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The target's positions of these partitions; one that it does not have is left out, and so not read."""
        at = {(p.topic, p.partition): p.next_offset for p in self.positions()}
        return {where: at[where] for where in partitions if where in at}

    def progress(self) -> tuple[list[Position], list[ChunkRow]]:
        """Positions and chunks, in one transaction; both empty before the first start."""
        with self.target.begin(reading=True) as transaction:
            if not self.control.exists(transaction.control):
                return [], []
            return self.control.positions.all(transaction.control), self.control.chunks.all(transaction.control)

    def rows_expected(self) -> dict[str, int]:
        """Table -> the source's row count when it joined."""
        with self.target.begin(reading=True) as transaction:
            return self.control.tables.rows_expected(transaction.control)

    def paused(self) -> frozenset[str]:
        """The tables that are paused; none before the first start."""
        with self.target.begin(reading=True) as transaction:
            exists = self.control.exists(transaction.control)
            return self.control.tables.paused(transaction.control) if exists else frozenset()

    def facts(self) -> Facts:
        """Everything `status` shows. What cannot be reached is left out, not guessed."""
        positions, chunks = self.progress()
        expected: dict[str, int] = {}
        letters: dict[tuple[str, str], int] = {}
        pace, paused = None, frozenset[str]()
        verification: dict[str, Any] = {}
        if chunks:
            with self.target.begin(reading=True) as transaction:
                expected = self.control.tables.rows_expected(transaction.control)
                letters = self.control.dead_letters.counts(transaction.control)
                paused = self.control.tables.paused(transaction.control)
                pace = self.control.pipeline.pace(transaction.control)
                verification = {
                    "sweeps": self.control.verifications.sweeps(transaction.control),
                    "findings": self.control.findings.open_counts(transaction.control),
                    "ignored": {t: s.ignored for t, s in self.control.shapes.all(transaction.control).items()},
                    "suspicion": self.control.pipeline.suspicion(transaction.control),
                }
        log = self.log()
        try:
            state = log.state()
        finally:
            log.close()
        try:
            ends = self.broker.end_offsets({position.topic for position in positions})
        except ChangeoverError:
            ends = {}
        mapped = frozenset(".".join(spec.source_name) for spec in self.config.tables)
        pace = (self.config.backfill.rows_per_second or 0) if pace is None else pace
        given = (self.config.pipeline, positions, chunks, expected, ends, state, letters, paused, mapped, pace)
        return Facts(*given, **verification, notes=self.target.notes())
