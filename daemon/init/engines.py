"""Both databases, whatever their engines: what `init` reads of them, and the trial of an entry as `run` would start it.

Which engines there are, `daemon.sources` and `daemon.targets` say, and the sections of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationError

from connectors.shape import Shape
from connectors.snapshot import Snapshot
from connectors.source_database import SourceDatabase
from connectors.sql.target import SqlTarget
from connectors.wire import WireColumn
from daemon.config.sections import SourceSection, TargetSection
from daemon.init.draft import Refusal
from daemon.prepare import checked
from daemon.sources import source_of
from daemon.targets import target_of
from mappers.errors import ChangeoverError, ConfigError, FatalError, Problem
from mappers.grammar import Catalog
from mappers.mapping import Column, Table
from mappers.propose.ways import Ways
from mappers.resolve import resolve
from mappers.spec import TableSpec

_SOURCES = {"postgresql": "postgresql", "postgres": "postgresql", "mariadb": "mariadb", "mysql": "mysql"}
"""Scheme of a URL -> `kind` in the configuration."""
_TARGETS = {**_SOURCES, "sqlite": "sqlite"}
_FORMS = {"postgresql": "postgresql://user@host:port/database", "mariadb": "mariadb://user@host:port/database",
          "mysql": "mysql://user@host:port/database", "sqlite": "sqlite:////absolute/path/to/file"}  # fmt: skip
_HARMLESS_S = 5
_CONTROL = "changeover"
Wires = Callable[[Table, Collection[str]], Sequence[WireColumn]]
"""Columns as they travel. Raises ConfigError with a problem for each that does not."""
_Section = TypeVar("_Section", SourceSection, TargetSection)


def source_section(url: str) -> SourceSection:
    """The source of a URL. Raises ConfigError."""
    return _section(SourceSection, "SOURCE_URL", url, _SOURCES, {"topic_prefix": "init"})


def target_section(url: str) -> TargetSection:
    """The target of a URL. Raises ConfigError."""
    return _section(TargetSection, "TARGET_URL", url, _TARGETS, {})


def _section(
    model: type[_Section], argument: str, url: str, kinds: Mapping[str, str], more: Mapping[str, str]
) -> _Section:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in kinds:
        forms = ", ".join(_FORMS[kind] for kind in dict.fromkeys(kinds.values()))
        what = f"{scheme}:// is" if scheme else "this is"
        escape = "escape @ : / # in a password as %40 %3A %2F %23"
        problem = f"{what} no database that can be introspected as a {argument.removesuffix('_URL').lower()}"
        raise ConfigError([Problem((argument,), problem, f"write one of {forms}; {escape}")])
    try:
        return model(kind=kinds[scheme], url=SecretStr(url), connect_timeout_s=_HARMLESS_S, **more)  # type: ignore[arg-type]
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ConfigError([Problem((argument,), message, f"write {_FORMS[kinds[scheme]]}")]) from None


@dataclass(frozen=True)
class Sides:
    """Both databases, open. Tables are the users' own.

    carried: source table -> column -> the type that the target gives the column as it is; of those that travel.
    """

    sections: tuple[SourceSection, TargetSection]
    source: SourceDatabase
    target: SqlTarget
    sources: dict[str, Table]
    targets: dict[str, Table]
    functions: Catalog
    read_after: Snapshot
    shapes: Mapping[str, Shape]
    refusal: Refusal
    carried: Mapping[str, Mapping[str, str]]

    @property
    def kinds(self) -> tuple[str, str]:
        """The engines as the configuration names them."""
        return self.sections[0].kind, self.sections[1].kind

    @property
    def ways(self) -> Ways:
        """How values get from one side to the other."""
        return Ways(self.target.expressions, self.carried, self.kinds != ("postgresql", "postgresql"))

    def problems(self, spec: TableSpec) -> Sequence[Problem]:
        """What `run` would say to this entry alone, before it starts; empty where it would start."""
        try:
            dialect = self.target.expressions
            entries = resolve([spec], self.sources, self.targets, self.functions, dialect=dialect)
            fire = self.target.enforces_triggers
            checked(entries, self.source, self.target, self.read_after, self.shapes, triggers_fire=fire)
        except ConfigError as error:
            return error.problems
        except FatalError as error:
            return [Problem(("tables", 0), error.what, error.hint)]
        return ()

    def occupied(self, tables: Sequence[Table]) -> frozenset[str]:
        """Those of these target tables that have rows already, by full name.

        A table that may not be read, or not in time, is not among them. Estimates of a catalogue would not do.
        """
        return frozenset(table.full_name for table in tables if self._has_rows(table))

    def _has_rows(self, table: Table) -> bool:
        try:
            with self.target.begin(reading=True) as transaction:
                return transaction.has_rows(table)
        except ChangeoverError:
            return False

    def places(self) -> tuple[str, str]:
        """user@host:port/database of both sides, or a file's URL, without passwords."""
        return _place(self.sections[0]), _place(self.sections[1])

    def names(self) -> tuple[str, str]:
        """The databases' names."""
        return _database(self.sections[0]), _database(self.sections[1])


def refusal_by(wires: Wires) -> Refusal:
    """Why a source column does not travel, and what mends it; empty where it does. Asked once a table."""
    known: dict[str, Mapping[str, str]] = {}

    def refusal(table: Table, column: Column) -> str:
        if table.full_name not in known:
            known[table.full_name] = _refusals(wires, table)
        return known[table.full_name].get(column.name, "")

    return refusal


def _refusals(wires: Wires, table: Table) -> Mapping[str, str]:
    names = [column.name for column in table.columns]
    try:
        wires(table, names)
    except ConfigError as error:
        return {str(problem.path[-1]): _told(table, problem) for problem in error.problems}
    return {}


def _told(table: Table, problem: Problem) -> str:
    return f"{problem.message.removeprefix(f'{table.full_name}.{problem.path[-1]}: ')}; {problem.hint}"


@contextmanager
def opened(sections: tuple[SourceSection, TargetSection], schemas: Collection[str] = ()) -> Iterator[Sides]:
    """Both sides through sessions that cannot write, with their tables. Raises FatalError, TransientError.

    schemas: those of the source; without them all of the URL's database.
    """
    source = source_of(sections[0], read_only=True)
    target = target_of(sections[1], read_only=True)
    try:
        sources = _users(source.tables(), schemas or _home(sections[0]))
        targets, functions = target.tables(), target.expressions.catalog(target.functions())
        names = [(table.schema, table.name) for table in sources.values()]
        read_after, shapes = source.shapes(names) if names else (source.snapshot(), {})
        refusal = refusal_by(source.wires)
        carried = {name: _carried(table, source, target, refusal) for name, table in sources.items()}
        targets = _users(targets, _home(sections[1]))
        yield Sides(sections, source, target, sources, targets, functions, read_after, shapes, refusal, carried)
    finally:
        source.close()
        target.close()


def _carried(table: Table, source: SourceDatabase, target: SqlTarget, refusal: Refusal) -> Mapping[str, str]:
    """A table that is too wide for staging is refused when it is tried."""
    names = [column.name for column in table.columns if not refusal(table, column)]
    try:
        return target.carried(table, source.wires(table, names))
    except FatalError:
        return {}


def _home(section: SourceSection | TargetSection) -> Collection[str]:
    """The schemas that are the URL's database: every one of PostgreSQL, where a database has many."""
    return () if section.kind == "postgresql" else (section.default_schema,)


def _users(tables: Mapping[str, Table], schemas: Collection[str]) -> dict[str, Table]:
    return {
        name: table
        for name, table in tables.items()
        if table.schema != _CONTROL and (not schemas or table.schema in schemas)
    }


def _place(section: SourceSection | TargetSection) -> str:
    url = section.url.get_secret_value()
    if section.kind == "sqlite":
        return url
    if section.kind == "postgresql":
        from connectors.postgresql.session import role_of, server_of

        role, server = role_of(url), server_of(url)
    else:
        from connectors.mariadb.session import server_of as place_of

        role, server = unquote(urlsplit(url).username or ""), place_of(url)
    return f"{role}@{server}" if role else server


def _database(section: SourceSection | TargetSection) -> str:
    name = _place(section).rpartition("/")[2]
    return name.partition(".")[0] if section.kind == "sqlite" else name
