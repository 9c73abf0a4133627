"""Everything that was found out about a pipeline before it is judged. Frozen; what could not be asked says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from connectors.control.facts import ControlState
from connectors.kafka.cluster import KafkaState, Partition
from connectors.kafka.connect_facts import ConnectFacts
from connectors.kafka.connector_check import Wanted
from connectors.kafka.topics import heartbeat_topic, table_topic
from connectors.mariadb.doctor import MariadbState
from connectors.mariadb.source_doctor import MariadbSourceState
from connectors.postgresql.doctor import CheckConstraint, Index, InexactText, Side, SourceState, TargetState
from connectors.postgresql.wire import bare_type
from connectors.shape import Shape
from connectors.sqlite.doctor import FileState
from daemon.config.model import Config
from daemon.connector.plan import keys_of
from daemon.sources import stream_of
from mappers.mapping import Entry, Table

Found = TypeVar("Found")
SOURCE, TARGET, CONNECT, KAFKA, REGISTRY, MAPPING, CONTROL = (
    "source", "target", "connect", "kafka", "registry", "mapping", "control",
)  # fmt: skip
"""What a check may need."""


@dataclass(frozen=True, slots=True)
class MappingFault:
    """A problem of the mapping. place: file:line:column: field, or the field alone. path: leads to the field."""

    place: str
    path: tuple[str | int, ...]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class MappingState:
    """The mapping against both catalogues: entries where it resolves, else what is wrong with it.

    shapes: source table -> what it is now.
    """

    entries: tuple[Entry, ...] = ()
    faults: tuple[MappingFault, ...] = ()
    shapes: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A pipeline as it was found.

    missing: side -> why it could not be asked, or was not. errors: side -> (what went wrong, what mends it).
    half_old: (topic, partition) -> the first offset whose event is younger than half of its topic's retention; -1 where
    all are older. wanted_config: what `connector apply` would set; None where the connector is not ours to set.
    """

    config: Config
    missing: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    found_source: SourceState | None = None
    found_mariadb_source: MariadbSourceState | None = None
    found_target: TargetState | MariadbState | FileState | None = None
    found_connect: ConnectFacts | None = None
    found_kafka: KafkaState | None = None
    found_mapping: MappingState | None = None
    found_control: ControlState | None = None
    registry_said: str = ""
    half_old: Mapping[Partition, int] = field(default_factory=dict)
    wanted_config: Mapping[str, str] | None = None

    @property
    def source(self) -> SourceState:
        """The source; only for checks that need it."""
        return _there(self.found_source)

    @property
    def mariadb_source(self) -> MariadbSourceState:
        """The source where it is MariaDB or MySQL; only for checks that need it."""
        return _there(self.found_mariadb_source)

    @property
    def source_tables(self) -> Mapping[str, Table]:
        """The mapped tables at the source, whatever its engine; empty where it could not be asked."""
        if self.found_mariadb_source is not None:
            return self.found_mariadb_source.tables
        return self.found_source.side.tables if self.found_source is not None else {}

    @property
    def source_indexes(self) -> Sequence[Index]:
        """The unique indexes of the mapped tables at the source."""
        if self.found_mariadb_source is not None:
            return [index for table in self.found_mariadb_source.tables.values() for index in _indexes(table)]
        return self.source.side.indexes

    @property
    def source_checks(self) -> Sequence[CheckConstraint]:
        """The source's check constraints that can be told to be the same as the target's."""
        return self.source.side.checks if self.found_source is not None else ()

    @property
    def source_texts(self) -> Sequence[InexactText]:
        """The source's columns in which texts are equal that are not the same, as the target would say it."""
        return self.source.side.texts if self.found_source is not None else ()

    @property
    def target(self) -> TargetState:
        """The target, a server; only for checks that need it."""
        return _there(self.found_target if isinstance(self.found_target, TargetState) else None)

    @property
    def mariadb(self) -> MariadbState:
        """The target, a server of that engine; only for checks that need it."""
        return _there(self.found_target if isinstance(self.found_target, MariadbState) else None)

    @property
    def file(self) -> FileState:
        """The target, a file; only for checks that need it."""
        return _there(self.found_target if isinstance(self.found_target, FileState) else None)

    @property
    def filled(self) -> frozenset[str]:
        """The target tables that have rows."""
        state = self.found_target
        return frozenset(state.filled if state is not None else ())

    @property
    def connect(self) -> ConnectFacts:
        """Kafka Connect; only for checks that need it."""
        return _there(self.found_connect)

    @property
    def kafka(self) -> KafkaState:
        """Kafka; only for checks that need it."""
        return _there(self.found_kafka)

    @property
    def mapping(self) -> MappingState:
        """The mapping; only for checks that need it."""
        return _there(self.found_mapping)

    @property
    def control(self) -> ControlState:
        """The control state; only for checks that need it."""
        return _there(self.found_control)

    @property
    def managed(self) -> bool:
        """Whether the connector is this pipeline's to make."""
        return self.config.connect is not None and self.config.connect.managed

    @property
    def source_names(self) -> dict[str, tuple[str, str]]:
        """Full name -> (schema, name) of the mapped source tables, in the file's order."""
        return {".".join(spec.source_name): spec.source_name for spec in self.config.tables}

    @property
    def target_names(self) -> dict[str, tuple[str, str]]:
        """Full name -> (schema, name) of the target tables, in the file's order."""
        return {".".join(spec.target_name): spec.target_name for spec in self.config.tables}

    @property
    def table_topics(self) -> dict[str, str]:
        """Source table -> its topic."""
        prefix = self.config.source.topic_prefix
        return {full: table_topic(prefix, *name) for full, name in self.source_names.items()}

    @property
    def topics(self) -> list[str]:
        """Every topic that the pipeline needs."""
        prefix = self.config.source.topic_prefix
        beats = [heartbeat_topic(prefix)] if self.managed else []
        messages = stream_of(self.config.source.kind).messages(prefix)
        return [*dict.fromkeys(self.table_topics.values()), messages, *beats]

    def sides(self) -> Sequence[tuple[str, Side]]:
        """The databases that were reached."""
        found = ((SOURCE, self.found_source), (TARGET, self.found_target))
        return [(name, state.side) for name, state in found if isinstance(state, SourceState | TargetState)]


def wanted_of(config: Config, entries: Sequence[Entry]) -> Wanted:
    """What the pipeline needs of its connector. entries: empty where the mapping could not be resolved."""
    columns: dict[tuple[str, str], frozenset[str]] = {}
    types: set[str] = set()
    for entry in entries:
        name = (entry.source.schema, entry.source.name)
        columns[name] = columns.get(name, frozenset()) | entry.inputs
        types |= {bare_type(entry.source.column(column).type) for column in entry.inputs}
    return Wanted(
        slot=config.source.slot,
        publication=config.source.publication,
        topic_prefix=config.source.topic_prefix,
        tables=keys_of(config),
        columns=columns,
        types=frozenset(types) if entries else None,
        registry=config.kafka.schema_registry is not None,
        kind=config.source.kind,
    )


def _indexes(table: Table) -> list[Index]:
    """The table's key and unique constraints as indexes."""
    named = [("PRIMARY", table.key, False), *((u.name, u.columns, u.partial) for u in table.uniques)]
    return [
        Index(
            table=table.full_name,
            name=name,
            is_primary=name == "PRIMARY",
            is_unique=True,
            is_exclusion=False,
            arbiter=not partial,
            deferrable=False,
            columns=columns,
            partial=partial,
            definition=name,
            drop="",
        )
        for name, columns, partial in named
        if columns
    ]


def _there(found: Found | None) -> Found:
    if found is None:
        raise LookupError("the check looks at what it does not need")
    return found
