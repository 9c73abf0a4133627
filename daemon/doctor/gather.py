"""Everything is asked, each side in a thread of its own, so that one that does not answer holds nobody else up."""

from __future__ import annotations

import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

from connectors.control.facts import ControlState, control_state
from connectors.control.schema import DEFAULT_SCHEMA
from connectors.control.store import ControlStore
from connectors.kafka.cluster import Cluster, Partition
from connectors.kafka.connect import Connect
from connectors.kafka.connect_facts import ConnectFacts, connect_facts
from connectors.kafka.registry import Registry
from connectors.mariadb import session as mariadb
from connectors.mariadb.doctor import MariadbState
from connectors.mariadb.doctor import target_state as mariadb_state
from connectors.mariadb.source_doctor import MariadbSourceState
from connectors.mariadb.source_doctor import source_state as mariadb_source_state
from connectors.mariadb.target import MariadbTarget
from connectors.postgresql.doctor import SourceState, TargetState, source_state, target_state
from connectors.postgresql.session import server_of, translated
from connectors.postgresql.source import PostgresSource
from connectors.postgresql.target import PostgresTarget
from connectors.source_database import SourceDatabase
from connectors.sql.target import SqlTarget
from connectors.sqlite.doctor import FileState, file_state
from daemon.config.errors import dotted
from daemon.config.model import Config
from daemon.connector.engines import engine_of
from daemon.connector.plan import plan_of
from daemon.connector.setup import wanted_config
from daemon.doctor.case import (
    CONNECT,
    CONTROL,
    KAFKA,
    MAPPING,
    REGISTRY,
    SOURCE,
    TARGET,
    Case,
    MappingFault,
    MappingState,
)
from daemon.prepare import checked, entries_of
from mappers.errors import ChangeoverError, ConfigError, Problem

Found = TypeVar("Found")
TIMEOUT_S = 5
_NAMES = {MAPPING: "what the mapping looks at", CONTROL: "the control schema"}
_PLACE = re.compile(r"(.+?:\d+:\d+): ")


@dataclass(frozen=True)
class Sides:
    """What is asked. Every session only reads. connect: None where the configuration has no such section."""

    source: SourceDatabase
    target: SqlTarget
    cluster: Cluster
    connect: Connect | None
    control: ControlStore

    def close(self) -> None:
        """Close every connection."""
        self.source.close()
        self.target.close()
        if self.connect is not None:
            self.connect.close()


def gather(config: Config, sides: Sides, old_s: float) -> Case:
    """Ask every side. old_s: from how many seconds on a transaction is called old. Never raises ChangeoverError."""
    case = Case(config)
    with ThreadPoolExecutor(6) as pool:
        source = pool.submit(_source, case, sides, old_s)
        target = pool.submit(_target, case, sides, old_s)
        control = pool.submit(_control, sides)
        kafka = pool.submit(sides.cluster.state, case.topics)
        connect = pool.submit(_connect, case, sides)
        registry = pool.submit(_registry, config)
        missing: dict[str, str] = {}
        errors: dict[str, tuple[str, str]] = {}

        def got(side: str, future: Future[Found]) -> Found | None:
            try:
                return future.result()
            except ChangeoverError as error:
                errors[side] = (str(type(error)(error.what, where=error.where)), error.hint)
                missing[side] = f"{_NAMES.get(side, side)} cannot be reached"
                return None

        found_source, found_target = got(SOURCE, source), got(TARGET, target)
        if found_source and found_target:
            mapping = got(MAPPING, pool.submit(_mapping, config, sides))
        else:
            mapping = None
            missing[MAPPING] = missing.get(SOURCE) or missing.get(TARGET, "")
        found_control = got(CONTROL, control)
        if found_target is None:
            missing[CONTROL] = missing[TARGET]
        elif found_control and found_control.version is not None and not found_control.readable:
            missing[CONTROL] = f"the control schema has version {found_control.version}"
        found_kafka, found_connect = got(KAFKA, kafka), got(CONNECT, connect)
        registry_said = got(REGISTRY, registry) or ""
    if config.connect is None:
        missing[CONNECT] = "the configuration has no section connect"
    case = replace(
        case,
        missing=missing,
        errors=errors,
        found_source=found_source if isinstance(found_source, SourceState) else None,
        found_mariadb_source=found_source if isinstance(found_source, MariadbSourceState) else None,
        found_target=found_target,
        found_control=found_control,
        found_kafka=found_kafka,
        found_connect=found_connect,
        found_mapping=mapping,
        registry_said=registry_said,
    )
    return replace(case, half_old=_half_old(case, sides), wanted_config=_wanted_config(case))


def _source(case: Case, sides: Sides, old_s: float) -> SourceState | MariadbSourceState:
    section, url, source = case.config.source, sides.source.url, sides.source
    if not isinstance(source, PostgresSource):
        return _mariadb(case, url, old_s)
    with translated("source", url):
        names = case.source_names.values()
        conn = source.connection()
        return source_state(conn, server_of(url), names, section.slot, section.publication, old_s)


def _mariadb(case: Case, url: str, old_s: float) -> MariadbSourceState:
    names = list(case.source_names.values())
    with mariadb.translated("source", url), closing(mariadb.connect(url, "source", timeout_s=TIMEOUT_S)) as raw:
        return mariadb_source_state(raw, mariadb.server_of(url), names, case.config.pipeline, old_s)


def _target(case: Case, sides: Sides, old_s: float) -> TargetState | MariadbState | FileState:
    target, names = sides.target, case.target_names.values()
    if isinstance(target, PostgresTarget):
        with target.raw() as raw:
            return target_state(raw, server_of(target.url), names, DEFAULT_SCHEMA, old_s)
    if isinstance(target, MariadbTarget):
        with target.raw() as ours:
            return mariadb_state(ours, target.where.removeprefix("target "), names, DEFAULT_SCHEMA)
    return file_state(target.url, names)


def _control(sides: Sides) -> ControlState:
    with sides.target.begin(reading=True) as transaction:
        return control_state(transaction.control, sides.control)


def _connect(case: Case, sides: Sides) -> ConnectFacts | None:
    if sides.connect is None or case.config.connect is None:
        return None
    plugin = engine_of(case.config.source.kind).plugin.java_class
    return connect_facts(sides.connect, case.config.connect.connector, plugin)


def _registry(config: Config) -> str:
    url = config.kafka.schema_registry
    return Registry(url).answers() if url else ""


def _mapping(config: Config, sides: Sides) -> MappingState:
    """The mapping as `run` would take it, without the rights, which are checks of their own."""
    try:
        read_after, shapes = sides.source.shapes(sorted({spec.source_name for spec in config.tables}))
        entries = entries_of(config, sides.source, sides.target)
    except ConfigError as error:
        return MappingState(faults=_faults(config, error))
    try:
        checked(entries, sides.source, sides.target, read_after, shapes, triggers_fire=False)
    except ConfigError as error:
        return MappingState(entries, _faults(config, error))
    return MappingState(entries, shapes=shapes)


def _faults(config: Config, error: ConfigError) -> tuple[MappingFault, ...]:
    return tuple(
        MappingFault(_place(config, problem), problem.path, problem.message, problem.hint) for problem in error.problems
    )


def _place(config: Config, problem: Problem) -> str:
    found = _PLACE.match(config.locate(ConfigError([problem])).lines[0])
    return f"{found[1]}: {dotted(problem.path)}" if found else dotted(problem.path)


def _half_old(case: Case, sides: Sides) -> dict[Partition, int]:
    """Where the younger half of what is kept begins, in the partitions that have unread events."""
    if case.found_kafka is None or case.found_control is None:
        return {}
    now_ms, times = time.time_ns() // 1_000_000, {}
    for position in case.found_control.positions:
        where, topic = (position.topic, position.partition), case.found_kafka.topics.get(position.topic)
        kept = (topic.settings.get("retention.ms") if topic else None) or "-1"
        if kept.isdigit() and position.next_offset < case.found_kafka.high.get(where, 0):
            times[where] = now_ms - int(kept) // 2
    try:
        return sides.cluster.first_since(times)
    except ChangeoverError:
        return {}


def _wanted_config(case: Case) -> dict[str, str] | None:
    if not case.managed or case.found_connect is None:
        return None
    try:
        plan, found = plan_of(case.config), case.found_connect
        return wanted_config(plan, plan.exactly_once != "off" and found.exactly_once, found.converters)
    except ConfigError:
        return None
