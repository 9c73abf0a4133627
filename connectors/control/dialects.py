"""What the engines say differently, in one place: clocks, sessions, upserts and lists. The statements stay the same.

An engine goes by the name of its SQLAlchemy dialect: postgresql, mysql (MariaDB too) or sqlite.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from connectors.control.types import MYSQL, UtcDateTime

POSTGRESQL, MARIADB, SQLITE = "postgresql", "mysql", "sqlite"
Query = TypeVar("Query", bound=Select[Any])


class now(FunctionElement[datetime]):
    """The moment of the transaction, or on MariaDB and SQLite of the statement."""

    type = UtcDateTime()
    inherit_cache = True


class clock(FunctionElement[datetime]):
    """The moment of the statement, by the target's clock."""

    type = UtcDateTime()
    inherit_cache = True


class ago(FunctionElement[datetime]):
    """So many seconds before now."""

    type = UtcDateTime()
    inherit_cache = True


class session_name(FunctionElement[str]):
    """Names the database session that runs the statement; no other session ever has that name.

    PostgreSQL knows its sessions. On MariaDB a session holds a user lock of a name of its own; on SQLite it is a file
    lock beside the database. The lock ends with the session, however that ends.
    """

    type = Text()
    inherit_cache = True


class session_gone(FunctionElement[bool]):
    """Whether the database session of this name has ended."""

    type = Boolean()
    inherit_cache = True


class snapshot_end(FunctionElement[int]):
    """The xmax of a snapshot in its text form."""

    type = BigInteger()
    inherit_cache = True


@compiles(now)
def _(element: now, compiler: SQLCompiler, **options: Any) -> str:
    return "now()"


@compiles(clock)
def _(element: clock, compiler: SQLCompiler, **options: Any) -> str:
    return "clock_timestamp()"


@compiles(now, *MYSQL)
@compiles(clock, *MYSQL)
def _(element: now | clock, compiler: SQLCompiler, **options: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(now, SQLITE)
@compiles(clock, SQLITE)
def _(element: now | clock, compiler: SQLCompiler, **options: Any) -> str:
    return "changeover_clock()"


@compiles(ago)
def _(element: ago, compiler: SQLCompiler, **options: Any) -> str:
    return f"now() - make_interval(secs => {compiler.process(element.clauses, **options)})"


@compiles(ago, *MYSQL)
def _(element: ago, compiler: SQLCompiler, **options: Any) -> str:
    return f"UTC_TIMESTAMP(6) - INTERVAL {compiler.process(element.clauses, **options)} SECOND"


@compiles(ago, SQLITE)
def _(element: ago, compiler: SQLCompiler, **options: Any) -> str:
    return f"changeover_clock(-({compiler.process(element.clauses, **options)}))"


@compiles(session_name)
def _(element: session_name, compiler: SQLCompiler, **options: Any) -> str:
    return "(SELECT pid || '@' || backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"


@compiles(session_name, *MYSQL)
def _(element: session_name, compiler: SQLCompiler, **options: Any) -> str:
    return "@changeover_session"


@compiles(session_name, SQLITE)
def _(element: session_name, compiler: SQLCompiler, **options: Any) -> str:
    return "changeover_session()"


@compiles(session_gone)
def _(element: session_gone, compiler: SQLCompiler, **options: Any) -> str:
    name = compiler.process(element.clauses, **options)
    return f"NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid || '@' || backend_start = {name})"


@compiles(session_gone, *MYSQL)
def _(element: session_gone, compiler: SQLCompiler, **options: Any) -> str:
    return f"(IS_USED_LOCK({compiler.process(element.clauses, **options)}) IS NULL)"


@compiles(session_gone, SQLITE)
def _(element: session_gone, compiler: SQLCompiler, **options: Any) -> str:
    return f"changeover_session_gone({compiler.process(element.clauses, **options)})"


@compiles(snapshot_end)
def _(element: snapshot_end, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(split_part({compiler.process(element.clauses, **options)}, ':', 2) AS BIGINT)"


@compiles(snapshot_end, *MYSQL)
def _(element: snapshot_end, compiler: SQLCompiler, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return f"CAST(SUBSTRING_INDEX(SUBSTRING_INDEX({text}, ':', 2), ':', -1) AS SIGNED)"


@compiles(snapshot_end, SQLITE)
def _(element: snapshot_end, compiler: SQLCompiler, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return f"CAST(substr({text}, instr({text}, ':') + 1) AS INTEGER)"


def engine_of(connection: Connection) -> str:
    """POSTGRESQL, MARIADB or SQLITE."""
    return MARIADB if connection.dialect.name in MYSQL else connection.dialect.name


def upsert(engine: str, table: Table, *columns: str, **expressions: ColumnElement[Any]) -> Insert:
    """An INSERT that changes the row which has the key already: these columns to the new row's values, and others to
    expressions."""
    if engine == MARIADB:
        theirs = mysql.insert(table)
        changed = {name: theirs.inserted[name] for name in columns} | expressions
        return theirs.on_duplicate_key_update(changed)
    made = postgresql.insert(table) if engine == POSTGRESQL else sqlite.insert(table)
    changed = {name: made.excluded[name] for name in columns} | expressions
    return made.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)


def among(engine: str, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Whether the column has one of these values, however many they are."""
    if engine == POSTGRESQL:
        return column == func.any(bindparam("among", list(values), unique=True))
    if engine == SQLITE:
        texts = func.json_each(json.dumps(list(values), ensure_ascii=False)).table_valued("value")
        return column.in_(select(texts.c.value))
    return column.in_(list(values))


def by_key(query: Query, table: Table) -> Query:
    """The same query, by the table's key also where it has few rows: InnoDB locks what it reads, not what it finds."""
    return query.with_hint(table, "FORCE INDEX (PRIMARY)", "mysql")
