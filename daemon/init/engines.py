"""Which engine a URL is of, and what `init` asks of it. A new engine is one more case in each function here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from connectors.postgresql.doctor import READ_ONLY
from connectors.postgresql.occupied import occupied
from connectors.postgresql.session import role_of, server_of
from connectors.postgresql.source import PostgresSource
from connectors.postgresql.target import PostgresTarget
from connectors.postgresql.wire import wire_columns
from connectors.shape import Shape
from connectors.snapshot import Snapshot
from daemon.prepare import checked
from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.errors import ConfigError, Problem
from mappers.mapping import Column, Table
from mappers.resolve import resolve
from mappers.spec import TableSpec

_KINDS = {"postgresql": "postgresql", "postgres": "postgresql"}
_HARMLESS_S = 5
_CONTROL = "changeover"


def kind_of(url: str, argument: str) -> str:
    """The engine of a URL by its scheme, as `kind` names it. Raises ConfigError; argument: which one it is."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in _KINDS:
        shown = f"{scheme}://" if scheme else "this"
        hint = "write postgresql://user@host:port/database; escape @ : / # in a password as %40 %3A %2F %23"
        raise ConfigError([Problem((argument,), f"{shown} is no database that can be introspected", hint)])
    return _KINDS[scheme]


@dataclass(frozen=True)
class Sides:
    """Both databases, open. Tables are without those of the control schema."""

    source: PostgresSource
    target: PostgresTarget
    sources: dict[str, Table]
    targets: dict[str, Table]
    functions: FunctionCatalog
    read_after: Snapshot
    shapes: Mapping[str, Shape]

    def problems(self, spec: TableSpec) -> Sequence[Problem]:
        """What `run` would say to this entry alone, before it starts; empty where it would start."""
        try:
            entries = resolve([spec], self.sources, self.targets, self.functions)
            fire = self.target.enforces_triggers
            checked(entries, self.source, self.target, self.read_after, self.shapes, triggers_fire=fire)
        except ConfigError as error:
            return error.problems
        return ()

    def occupied(self, tables: Sequence[Table]) -> frozenset[str]:
        """Those of these target tables that have rows already, by full name."""
        with self.target.raw() as raw:
            return occupied(raw, tables)

    def places(self) -> tuple[str, str]:
        """role@host:port/database of both sides, without passwords."""
        return _place(self.source.url), _place(self.target.url)


def refusal(table: Table, column: Column) -> str:
    """Why the source column does not travel, and what mends it; empty where it does."""
    try:
        wire_columns(table, [column.name])
    except ConfigError as error:
        problem = error.problems[0]
        return f"{problem.message.removeprefix(f'{table.full_name}.{column.name}: ')}; {problem.hint}"
    return ""


@contextmanager
def opened(source_url: str, target_url: str) -> Iterator[Sides]:
    """Both sides through sessions that cannot write, with their tables. Raises FatalError, TransientError."""
    source = PostgresSource(source_url, timeout_s=_HARMLESS_S, settings=READ_ONLY)
    target = PostgresTarget(target_url, timeout_s=_HARMLESS_S, settings=READ_ONLY)
    try:
        sources = source.tables()
        targets, functions = target.tables(), FunctionCatalog(target.functions())
        mine = _users(sources)
        read_after, shapes = source.shapes([(table.schema, table.name) for table in mine.values()])
        yield Sides(source, target, mine, _users(targets), functions, read_after, shapes)
    finally:
        source.close()
        target.close()


def _users(tables: dict[str, Table]) -> dict[str, Table]:
    return {name: table for name, table in tables.items() if table.schema != _CONTROL}


def _place(url: str) -> str:
    role = role_of(url)
    return f"{role}@{server_of(url)}" if role else server_of(url)
