"""Targets for the conformance suite: a place of each engine, its tables, and what stands in them by the driver alone.

The rows that go in are a PostgreSQL source's: its types are the best known. The places share nothing with the product
but the URL: they are asked through a plain connection of the engine's own driver.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions

from connectors.chunks import Position
from connectors.control.pipeline import PipelineRow
from connectors.control.store import ControlStore
from connectors.mariadb.target import MariadbTarget
from connectors.postgresql.source import PostgresSource
from connectors.postgresql.target import PostgresTarget
from connectors.postgresql.wire import bare_type, wire_columns
from connectors.seams import Staged, StagedText
from connectors.shape import NO_SHAPE
from connectors.snapshot import Snapshot
from connectors.sql.target import SqlTarget
from connectors.sqlite.target import SqliteTarget
from connectors.tables import MappedTable
from daemon.prepare import checked
from mappers.mapping import Column, Table
from mappers.resolve import resolve
from mappers.spec import TableSpec
from tests.support.databases import open_url, with_database
from tests.support.stack import Stack

KINDS = ("postgresql", "mariadb", "sqlite")
_NAMES = count(1)
_PINNED = "-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1 -c bytea_output=hex"
Values = Mapping[str, Any]
_AS_TEXT = (FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.DATE, FIELD_TYPE.TIME, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP)
"""MariaDB's types that are looked at as the server writes them."""


class Place(Protocol):
    """One engine's database. types: what a column of a source's type is declared as; `key` for text in a key.

    schema: where tables are. lost: the driver's error for a connection that went away.
    """

    kind: str
    url: str
    schema: str
    types: Mapping[str, str]

    def open(self) -> SqlTarget:
        """The product's target, with connections of its own."""

    def execute(self, *statements: str) -> None:
        """Run statements, each committed. Names are in double quotes."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The committed rows of a query."""

    def lost(self) -> Exception:
        """What the driver raises when the server, or the file, went away."""

    def close(self) -> None:
        """Remove the database."""


class PostgresPlace:
    """A database of its own on the stack's target."""

    kind, schema = "postgresql", "public"
    types: Mapping[str, str] = {"key": "text"}

    def __init__(self, stack: Stack) -> None:
        self._server, self._name = stack.target_url, f"conformance_{os.getpid()}"
        self._on_server('CREATE DATABASE "{}"')
        self.url = with_database(self._server, self._name)
        self._connection = psycopg.connect(self.url, autocommit=True, options=_PINNED)

    def open(self) -> SqlTarget:
        return PostgresTarget(self.url)

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode()).fetchall()

    def lost(self) -> Exception:
        return psycopg.OperationalError("the connection is lost")

    def close(self) -> None:
        self._connection.close()
        self._on_server('DROP DATABASE "{}" WITH (FORCE)')

    def _on_server(self, statement: str) -> None:
        with open_url(self._server) as connection:
            connection.execute(statement.format(self._name).encode())


class MariadbPlace:
    """A database of its own on the stack's MariaDB. Text compares without regard to case there, as is usual."""

    kind = "mariadb"
    types: Mapping[str, str] = {
        "key": "varchar(190) COLLATE utf8mb4_nopad_bin", "text": "longtext", "integer": "int", "boolean": "tinyint(1)",
        "real": "float", "double precision": "double", "bytea": "longblob", "inet": "longtext", "jsonb": "json",
        "numeric": "longtext", "time without time zone": "time(6)", "timestamp without time zone": "datetime(6)",
        "timestamp with time zone": "datetime(6)",
    }  # fmt: skip

    def __init__(self, stack: Stack) -> None:
        assert stack.mariadb_url
        self._server, self.schema = stack.mariadb_url, f"conformance_{os.getpid()}"
        self._connection = self._connect(self._server)
        self.execute(f'CREATE DATABASE "{self.schema}" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci')
        self._connection.select_db(self.schema)
        self.url = with_database(self._server, self.schema)

    def _connect(self, url: str) -> pymysql.connections.Connection[Any]:
        parts = urlsplit(url)
        connection = pymysql.connect(
            host=parts.hostname or "", port=parts.port or 3306, user=parts.username or "",
            password=unquote(parts.password or ""), autocommit=True, charset="utf8mb4",
            conv={k: v for k, v in conversions.items() if k not in _AS_TEXT},
        )  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES', time_zone = '+00:00'")
        return connection

    def open(self) -> SqlTarget:
        return MariadbTarget(self.url, "mariadb")

    def execute(self, *statements: str) -> None:
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def lost(self) -> Exception:
        return pymysql.OperationalError(2013, "Lost connection to MySQL server during query")

    def close(self) -> None:
        self.execute(f'DROP DATABASE "{self.schema}"')
        self._connection.close()


class SqlitePlace:
    """A file."""

    kind, schema = "sqlite", "main"
    types: Mapping[str, str] = {
        **dict.fromkeys(("smallint", "integer", "bigint", "boolean"), "INTEGER"),
        **dict.fromkeys(("real", "double precision"), "REAL"),
        "bytea": "BLOB",
    }

    def __init__(self, directory: Path) -> None:
        self._path = directory / "target.db"
        self.url = f"sqlite:///{self._path}"
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=20)
        self._connection.execute("PRAGMA journal_mode = WAL")

    def open(self) -> SqlTarget:
        return SqliteTarget(self.url)

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def lost(self) -> Exception:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR"
        return error

    def close(self) -> None:
        self._connection.close()


@contextmanager
def place_of(kind: str, stack: Callable[[], Stack], directory: Path) -> Iterator[Place]:
    """A place of this kind, removed at the end of the block."""
    servers: Mapping[str, Callable[[Stack], Place]] = {"postgresql": PostgresPlace, "mariadb": MariadbPlace}
    made: Place = servers[kind](stack()) if kind in servers else SqlitePlace(directory)
    try:
        yield made
    finally:
        made.close()


def declared(place: Place, source_type: str, *, key: bool = False) -> str:
    """What a target column for values of a source type is declared as."""
    if key and bare_type(source_type) in ("text", "character varying"):
        return place.types.get("key", "TEXT")
    plain = bare_type(source_type)
    if place.kind == "sqlite":
        return "TEXT" if source_type.endswith("[]") else place.types.get(plain, "TEXT")
    if place.kind == "mariadb":
        return _of_mariadb(place, source_type, plain)
    return place.types.get(plain, source_type)


def _of_mariadb(place: Place, source_type: str, plain: str) -> str:
    if source_type.endswith("[]"):
        return "json"
    sized = source_type.replace("character varying", "varchar").replace("character", "char")
    return sized.replace("numeric", "decimal") if "(" in source_type else place.types.get(plain, sized)


def name_of(stem: str) -> str:
    """A table name that no other test has."""
    return f"{stem}_{next(_NAMES)}"


class Rig:
    """One source table, the target tables that it feeds, and rows between them.

    columns: source column -> its type; those that end in ` not null` are. key: the source key. specs: the entries, as
    in `tables:`, without `from`; the target is made of the same columns, unless `create` has it already.
    """

    def __init__(
        self,
        place: Place,
        columns: Mapping[str, str],
        key: Sequence[str] = ("id",),
        *,
        name: str = "",
        specs: Sequence[Mapping[str, Any]] = ({},),
        unique: Sequence[str] = (),
        create: Sequence[str] = (),
    ) -> None:
        self.place = place
        self.name = name or name_of("t")
        self.source = _source(self.name, columns, key)
        self.target = place.open()
        place.execute(*(create or [self._create(unique)]))
        self.mapped = self._mapped(specs)
        self._texts = texts_of(self.source)

    def _create(self, unique: Sequence[str]) -> str:
        keys = {*self.source.key, *unique}
        columns = [
            f"{quoted(c.name)} {declared(self.place, c.type, key=c.name in keys)}{'' if c.nullable else ' NOT NULL'}"
            for c in self.source.columns
        ]
        constraints = [f"PRIMARY KEY ({', '.join(map(quoted, self.source.key))})"]
        constraints += [f"UNIQUE ({quoted(name)})" for name in unique]
        return f"CREATE TABLE {quoted(self.name)} ({', '.join([*columns, *constraints])})"

    def _mapped(self, specs: Sequence[Mapping[str, Any]]) -> MappedTable:
        made = [TableSpec.model_validate({"from": f"public.{quoted(self.name)}", **spec}) for spec in specs]
        for spec in made:
            spec.place("public", self.place.schema)
        targets = self.target.tables([spec.target_name for spec in made])
        dialect = self.target.expressions
        functions = dialect.catalog(self.target.functions())
        entries = resolve(made, {self.source.full_name: self.source}, targets, functions, dialect=dialect)
        name, shapes = self.source.full_name, {self.source.full_name: NO_SHAPE}
        source = PostgresSource("postgresql://unasked")
        return checked(entries, source, self.target, Snapshot(1, 1), shapes, triggers_fire=False)[name]

    # -- rows ------------------------------------------------------------------------------------------------------

    def wire(self, values: Values) -> tuple[Any, ...]:
        """A row of the stream; columns that are not given are NULL."""
        return tuple(values.get(name) for name in self.mapped.columns)

    def text(self, values: Values) -> tuple[str | None, ...]:
        """The same row as the source's text, for values whose text is plain."""
        return tuple(None if values.get(n) is None else self._texts[n](values[n]) for n in self.mapped.columns)

    def staged(self, *rows: Values, gone: Sequence[Values] = ()) -> list[Staged]:
        """Rows of the stream that travelled whole, and then keys that are gone."""
        live: list[Staged] = [(n, False, 0, self.wire(row)) for n, row in enumerate(rows)]
        return live + [(n, True, 0, self.wire(row)) for n, row in enumerate(gone, len(rows))]

    def staged_text(self, *rows: Values, gone: Sequence[Values] = ()) -> list[StagedText]:
        """The same in text form."""
        live: list[StagedText] = [(n, False, self.text(row)) for n, row in enumerate(rows)]
        return live + [(n, True, self.text(row)) for n, row in enumerate(gone, len(rows))]

    def put(self, *rows: Values, gone: Sequence[Values] = ()) -> list[int]:
        """Merge rows of the stream in a transaction of their own; returns the ordinals that are filtered out."""
        with self.target.begin() as transaction:
            return transaction.merge(self.mapped, self.staged(*rows, gone=gone), ())

    def load(self, *rows: Values) -> None:
        """Insert rows as a chunk does, in a transaction of their own."""
        with self.target.begin() as transaction:
            transaction.stage_texts(self.mapped, [[self.text(row) for row in rows]], lambda size: None)
            transaction.insert_staged(self.mapped)

    # -- what stands there -----------------------------------------------------------------------------------------

    def content(self, *columns: str, table: str = "") -> list[tuple[Any, ...]]:
        """The target's rows, sorted by the columns."""
        names = ", ".join(map(quoted, columns or [c.name for c in self.source.columns]))
        return self.place.rows(f"SELECT {names} FROM {quoted(table or self.name)} ORDER BY {names}")

    def close(self) -> None:
        """Close the product's sessions."""
        self.target.close()


Make = Callable[..., Rig]


def quoted(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _source(name: str, columns: Mapping[str, str], key: Sequence[str]) -> Table:
    made = [
        Column(n, kind.removesuffix(" not null"), n not in key and not kind.endswith(" not null"), collation_c=True)
        for n, kind in columns.items()
    ]
    return Table("public", name, tuple(made), tuple(key), replica_identity="f")


def texts_of(source: Table) -> Mapping[str, Callable[[Any], str]]:
    """Column -> its text form, for kinds whose neutral value says it."""
    kinds = {wire.name: wire.kind.value for wire in wire_columns(source, [c.name for c in source.columns])}
    forms: Mapping[str, Callable[[Any], str]] = {
        "bool": lambda value: "true" if value else "false",
        "bytes": lambda value: "\\x" + value.hex(),
        "float": repr,
    }
    return {name: forms.get(kind, str) for name, kind in kinds.items()}


def started(target: SqlTarget, name: str, *tables: str) -> ControlStore:
    """A pipeline's control state, with one partition of topic `t` at offset 10."""
    control = ControlStore(name)
    with target.begin() as transaction:
        control.ensure(transaction.control)
    with target.begin() as transaction:
        row = PipelineRow("source", "stream", 7, sealed=False, phase="streaming")
        control.pipeline.put(transaction.control, row)
        for table in tables:
            control.tables.add(transaction.control, table, 0)
        control.positions.add(transaction.control, [Position("t", 0, tables[0], 10, (0, 0), "id")])
    return control
