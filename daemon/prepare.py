"""From the configuration to tables that can be handled; or to every reason why not, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.kafka.topics import Topics, table_topics
from connectors.seams import MissingGrant
from connectors.shape import Shape
from connectors.snapshot import Snapshot
from connectors.source_database import SourceDatabase
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from daemon.config.model import Config
from daemon.reference_tables import reader
from daemon.sources import stream_of
from mappers.errors import ConfigError, FatalError, Problem, TransientError
from mappers.mapping import NOTHING, Entry, Makers, Table
from mappers.resolve import resolve
from mappers.types import compare_types

READS = ("SELECT",)
WRITES = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the stream. topic_id: a topic that is deleted and created again does not keep it."""

    name: str
    topic_id: str
    partitions: int


def mapped_tables(config: Config, source: SourceDatabase, target: SqlTarget) -> dict[str, MappedTable]:
    """Source table -> how it is handled. Raises ConfigError with every problem of the mapping, as lines of the file."""
    try:
        read_after, shapes = source.shapes(sorted({spec.source_name for spec in config.tables}))
        entries = entries_of(config, source, target)
        _check_grants(entries, source, target)
        return checked(entries, source, target, read_after, shapes, triggers_fire=target.enforces_triggers)
    except ConfigError as error:
        raise config.locate(error) from None


def entries_of(config: Config, source: SourceDatabase, target: SqlTarget) -> tuple[Entry, ...]:
    """The mapping resolved against both catalogues. Raises ConfigError with all problems, by their path."""
    sources = source.tables(names := sorted({spec.source_name for spec in config.tables}))
    if len(sources) < len(names):
        sources = source.tables()  # all of them, to say which name was meant
    targets = target.tables(wanted := sorted({spec.target_name for spec in config.tables}))
    if len(targets) < len(wanted):
        targets = target.tables()
    dialect = target.expressions
    functions = dialect.catalog(target.functions())
    return resolve(config.tables, sources, targets, functions, reader(source), dialect)


def _check_grants(entries: Sequence[Entry], source: SourceDatabase, target: SqlTarget) -> None:
    """Raises ConfigError with every right that is missing on a mapped table, and the statement that grants it."""
    names = sorted({(entry.source.schema, entry.source.name) for entry in entries})
    lacking = {("from", grant.table): grant for grant in source.missing_grants(names, READS)}
    names = sorted({(entry.target.schema, entry.target.name) for entry in entries})
    lacking |= {("to", grant.table): grant for grant in target.missing_grants(names, WRITES)}
    problems = [
        Problem(("tables", entry.index, field), f"the role may not {_rights(grant)} {table}", grant.mend.rstrip(";"))
        for entry in entries
        for field, table in (("from", entry.source.full_name), ("to", entry.target.full_name))
        if (grant := lacking.get((field, table)))
    ]
    if problems:
        raise ConfigError(problems)


def _rights(grant: MissingGrant) -> str:
    """SELECT on, or: INSERT, UPDATE on, or: use the schema of."""
    return f"{', '.join(grant.privileges)} on" if grant.privileges else "use the schema of"


def checked(
    entries: Sequence[Entry],
    source: SourceDatabase,
    target: SqlTarget,
    read_after: Snapshot,
    shapes: Mapping[str, Shape],
    *,
    triggers_fire: bool,
) -> dict[str, MappedTable]:
    """Source table -> how it is handled. Raises ConfigError with everything that does not travel or does not fit.

    triggers_fire: the target's sessions fire triggers, so that foreign keys are refused.
    """
    problems: list[Problem] = []
    tables: dict[str, MappedTable] = {}
    for number, table in enumerate({entry.source.full_name: entry.source for entry in entries}.values()):
        mine = tuple(entry for entry in entries if entry.source.full_name == table.full_name)
        try:
            mapped = _mapped(number, table, mine, source, target, read_after, shapes)
        except ConfigError as error:
            problems += [_placed(problem, mine[0]) for problem in error.problems]
            continue
        tables[mapped.name] = mapped
        for entry in mine:
            (part,) = (part for part in mapped.parts if entry in part.entries)
            problems += (_foreign_keys(entry) if triggers_fire else []) + _types(part, entry, target)
            problems += [Problem(("tables", entry.index, "to"), *found) for found in target.obstacles(entry)]
    if problems:
        raise ConfigError(problems)
    return tables


def _mapped(
    number: int,
    table: Table,
    entries: tuple[Entry, ...],
    source: SourceDatabase,
    target: SqlTarget,
    read_after: Snapshot,
    shapes: Mapping[str, Shape],
) -> MappedTable:
    if table.full_name not in shapes:
        raise TransientError(f"the table {table.full_name} came while the catalogue was read", where="source")
    wanted = frozenset().union(*(entry.inputs for entry in entries))
    wires = source.wires(table, wanted)
    try:
        form = source.key_form(table, entries[0].source_key, wires)
    except ValueError as error:
        problem = f"a key of type {error} cannot be followed: its text form is not exact"
        raise ConfigError([Problem((), problem, "use a key of integers, text, uuid, dates or numeric")]) from None
    types = target.known_types(table, wires)
    mapped = MappedTable(number, table, entries, wires, types, form, read_after, shapes[table.full_name])
    ways = list(dict.fromkeys(entry.makers for entry in entries))
    if ways == [NOTHING]:
        return mapped
    return replace(mapped, divided=tuple(_part(mapped, place, makers, target) for place, makers in enumerate(ways, 1)))


PART = 1_000_000
"""Parts are numbered beyond all tables: their staging tables have names of their own."""


def _part(mapped: MappedTable, place: int, makers: Makers, target: SqlTarget) -> MappedTable:
    """The entries for which the same is made of a row."""
    mine = tuple(entry for entry in mapped.entries if entry.makers == makers)
    part = replace(mapped, number=mapped.number + place * PART, entries=mine, makers=makers)
    made = target.known_types(makers.extended(mapped.table), part.made)
    return replace(part, types={**mapped.types, **made})


def _placed(problem: Problem, entry: Entry) -> Problem:
    if problem.path[:1] == ("tables",):
        return problem
    return Problem(("tables", entry.index, "from"), problem.message, problem.hint)


def _foreign_keys(entry: Entry) -> list[Problem]:
    if not entry.target.foreign_keys:
        return []
    return [
        Problem(
            ("tables", entry.index, "to"),
            f"{entry.target.full_name} has foreign keys ({', '.join(entry.target.foreign_keys)}), "
            "and tables arrive in no mutual order",
            "GRANT SET ON PARAMETER session_replication_role TO the target's role, or drop them until the cutover",
        )
    ]


def _types(mapped: MappedTable, entry: Entry, target: SqlTarget) -> list[Problem]:
    try:
        return compare_types(entry, target.describe(mapped, entry))
    except FatalError as error:
        return [Problem(("tables", entry.index, "columns"), f"the target refuses the projection: {error.what}")]


def fingerprint_problems(tables: Mapping[str, MappedTable], stored: Mapping[str, str]) -> list[Problem]:
    """Entries whose mapping is not the one that made the rows in the target."""
    return [
        Problem(
            ("tables", entry.index),
            f"the mapping of {entry.name} changed since its rows were made",
            f"run with --rebackfill {entry.target.full_name} to make them anew, or --accept-mapping "
            f"{entry.target.full_name} to keep them",
        )
        for mapped in tables.values()
        for entry in mapped.entries
        if stored.get(entry.name, entry.fingerprint) != entry.fingerprint
    ]


def topics_of(config: Config, tables: Mapping[str, MappedTable], broker: Topics) -> tuple[dict[str, Topic], Topic]:
    """Source table -> its topic, and the topic of logical messages. Raises FatalError where one is not there."""
    prefix = config.source.topic_prefix
    names = table_topics(prefix, {(mapped.table.schema, mapped.table.name) for mapped in tables.values()})
    wanted = {name: names[mapped.table.schema, mapped.table.name] for name, mapped in tables.items()}
    messages = stream_of(config.source.kind).messages(prefix)
    everything = {*wanted.values(), messages}
    ids, counts = broker.ids(everything), broker.partition_counts(everything)
    absent = sorted(everything - (ids.keys() & counts.keys()))
    if absent:
        raise FatalError(
            f"no topic {', '.join(absent)}",
            where=f"kafka {config.kafka.bootstrap_servers}",
            hint="run `changeover connector apply`, or set source.topic_prefix to the connector's topic.prefix",
        )
    made = {topic: Topic(topic, ids[topic], counts[topic]) for topic in everything}
    return {name: made[topic] for name, topic in wanted.items()}, made[messages]
