"""Where commands look and what they work with: parts of their own, beside those of `run` (`daemon.wiring`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from connectors.kafka.cluster import Cluster
from connectors.kafka.connect import Connect
from connectors.kafka.topics import admin_client, table_topics
from connectors.tables import MappedTable
from daemon.doctor.gather import Sides as DoctorSides
from daemon.explain.gather import Sides
from daemon.plan.batch import BatchBench
from daemon.plan.gather import Bench
from daemon.resync.extras import Extras
from daemon.resync.fences import Fences
from daemon.resync.table import TableResync
from daemon.sources import source_of
from daemon.stream.decoders import decoders, table_decoder
from daemon.targets import target_of
from daemon.wiring import Parts
from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.errors import ChangeoverError, TransientError

GATE_LIMIT_S = 10.0
"""How long `plan --batch` waits until the source shows the transactions of the batch."""
DELIVERY_LIMIT_S = 10.0
"""How long `explain` waits for the connector to deliver what the source had when it was read."""
HARMLESS_S = 5


def harmless(parts: Parts) -> DoctorSides:
    """Everything that `doctor` asks, through sessions that cannot write and that wait for nothing for long."""
    source, kafka = parts.config.source, parts.config.kafka
    connect = parts.config.connect
    return DoctorSides(
        source_of(source, timeout_s=HARMLESS_S, read_only=True),
        target_of(parts.config.target, timeout_s=HARMLESS_S, read_only=True),
        Cluster(admin_client(kafka.bootstrap_servers, kafka.settings), kafka.bootstrap_servers, HARMLESS_S),
        Connect(connect.url, timeout_s=HARMLESS_S) if connect else None,
        parts.control,
    )


def table_resync(parts: Parts, mapped: MappedTable, batch: int) -> TableResync:
    """Resyncs many keys of one table."""
    resyncer = parts.resyncer()
    return TableResync(
        mapped, parts.source(), parts.target, parts.control, resyncer, parts.backoff, time.monotonic, batch
    )


def extras(parts: Parts, batch: int) -> Extras:
    """Removes target rows whose source row is gone."""
    return Extras(parts.source(), parts.target, parts.control, batch, parts.stop.is_set)


def fences(parts: Parts, limit_s: float) -> Fences:
    """Drops key fences that a barrier has passed."""
    ends, wait = parts.broker.end_offsets, parts.wait_or_stop
    return Fences(parts.source(), parts.target, parts.control, parts.barrier(limit_s), ends, wait, time.monotonic)


def source_functions(parts: Parts) -> FunctionCatalog:
    """The functions that a predicate over the source may call."""
    source = parts.source()
    try:
        return FunctionCatalog(source.functions())
    finally:
        source.close()


def sides(parts: Parts) -> Sides:
    """Where `explain` looks."""
    return Sides(
        parts.config.pipeline,
        parts.source(),
        parts.target,
        parts.control,
        parts.log_reader,
        partial(table_decoder, stream=parts.stream, schemas=parts.schemas),
        lambda: parts.barrier(DELIVERY_LIMIT_S),
    )


def plan_bench(parts: Parts, tables: Mapping[str, MappedTable]) -> Bench:
    """Where `plan` tries its samples. Where the broker does not tell, topics count as they will be made."""
    topics = table_topics(parts.config.source.topic_prefix, {(m.table.schema, m.table.name) for m in tables.values()})
    try:
        counts = parts.broker.partition_counts(topics.values())
    except ChangeoverError:
        counts = {}
    named = {name: topics[mapped.table.schema, mapped.table.name] for name, mapped in tables.items()}
    partitions = {name: counts.get(topic, parts.config.kafka.partitions) for name, topic in named.items()}
    return Bench(parts.source(), parts.target, parts.control, partitions)


def batch_bench(parts: Parts, tables: Mapping[str, MappedTable]) -> BatchBench:
    """What `plan --batch` tries a batch with."""
    made = decoders(tables, *parts.topics(tables), parts.stream, parts.shapes(), parts.schemas)
    wait = limited_wait(parts, GATE_LIMIT_S)
    source, guard = parts.source(), parts.guard(tables, parts.source(), lambda table, stored, doubts: None)
    return BatchBench(tables, source, parts.target, parts.control, parts.desk, parts.log_reader, made, guard, wait)


def limited_wait(parts: Parts, limit_s: float) -> Callable[[], None]:
    """Between looks, for so long in all; then a TransientError."""
    deadline = time.monotonic() + limit_s

    def wait() -> None:
        if time.monotonic() > deadline:
            raise TransientError("a transaction of the batch is not visible at the source yet", hint="try again")
        parts.wait_or_stop()

    return wait
