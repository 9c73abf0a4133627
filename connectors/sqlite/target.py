"""SQLite as a target: sessions on one file, their transactions, and what its schema says.

One transaction writes at a time: it takes the file's write lock when it begins, and whoever comes meanwhile waits.
Those that only read see the last commit, and hold nobody up.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from connectors.seams import MissingGrant, Names
from connectors.sql.target import SqlTarget
from connectors.sqlite.catalogue import key_collations, load_functions, load_tables, triggers
from connectors.sqlite.dialect import SQLITE
from connectors.sqlite.functions import add_functions
from connectors.sqlite.session import BEGIN, Session, engine, path_of, server_of, target_errors
from connectors.sqlite.stage import COLUMNS_MAX, SqliteStage, stage_of
from connectors.sqlite.transaction import FAULTS, SqliteTransaction
from connectors.sqlite.values import decimal_digits, staged_type
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.dialects import SQLITE as EXPRESSIONS
from mappers.dialects.sqlite.affinity import ANY
from mappers.dialects.sqlite.storage import UNKNOWN, staged_classes, storage_class
from mappers.errors import FatalError, TransientError
from mappers.expressions import plain_column
from mappers.mapping import Entry, Expression, Table


class SqliteTarget(SqlTarget):
    """Sessions on the target's file. timeout_s: how long a transaction waits for the one that writes.

    read_only: sessions that cannot write.
    """

    dialect = SQLITE
    expressions = EXPRESSIONS

    def __init__(self, url: str, *, timeout_s: float = 10, read_only: bool = False) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self.enforces_triggers = False  # foreign keys are off; tables with triggers are refused (`obstacles`)
        self.engine = engine(url, timeout_s=timeout_s, settings={"query_only": 1} if read_only else None)
        if read_only:
            self.engine = self.engine.execution_options(**{BEGIN: "DEFERRED"})
        event.listen(self.engine, "connect", _add_functions)
        event.listen(self.engine, "checkout", self._set_wait)

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"target {server_of(self.url)}"

    def stage_of(self, mapped: MappedTable) -> SqliteStage:
        """The SQL of a mapped table's staging tables."""
        return stage_of(mapped)

    def transaction(self, connection: Connection) -> SqliteTransaction:
        """The transaction on this connection, before it begins."""
        return SqliteTransaction(connection, self.url)

    @contextmanager
    def raw(self) -> Iterator[sqlite3.Connection]:
        """The driver's connection, in one transaction that reads."""
        with self.begin(reading=True) as transaction:
            assert isinstance(transaction, SqliteTransaction)
            yield transaction.raw

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns the driver's errors into the error tree; says who is in the way of a write."""
        try:
            with target_errors(self.url):
                yield
        except TransientError as error:
            if "locked" not in error.what:
                raise
            what = f"database is locked: another process has been writing for {self._timeout_s:g} s"
            hint = "end what else writes to the file, or make backfill.chunk_rows smaller"
            raise TransientError(what, where=self.where, hint=hint) from error

    def broken(self, connection: Connection) -> bool:
        """Whether the connection has been closed."""
        raw = connection.connection.driver_connection
        try:
            return isinstance(raw, sqlite3.Connection) and raw.total_changes < 0
        except sqlite3.ProgrammingError:
            return True

    def reading(self, connection: Connection) -> None:
        """The next transaction takes no write lock; staging tables are not in the file."""
        connection.execution_options(**{BEGIN: "DEFERRED"})

    def one_snapshot(self, connection: Connection) -> None:
        """Every transaction sees one state."""

    def hurried(self, connection: Connection, lock_timeout_s: float) -> None:
        """The only lock that a transaction waits for is the one at its begin."""
        raw = connection.connection.driver_connection
        assert isinstance(raw, Session)
        raw.wait_at_most(lock_timeout_s)

    def patience(self, connection: Connection, lock_timeout_s: float) -> None:
        """Nothing is waited for within a transaction."""

    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The records of these tables, or of all of them; an unknown one is absent."""
        with self.raw() as raw:
            return load_tables(raw, names)

    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the user may not do with the file, for each table."""
        path = path_of(self.url, "target")
        if all(os.access(place, os.R_OK | os.W_OK) for place in (path, path.absolute().parent)):
            return []
        mend = f"give the user write access to {path} and to its directory, where SQLite keeps its log"
        return [MissingGrant(f"{schema}.{name}", tuple(rights), False, mend) for schema, name in names]

    def functions(self) -> frozenset[str]:
        """Names of built-in functions that depend on their arguments alone."""
        with self.raw() as raw:
            return load_functions(raw)

    def locale(self) -> str:
        """SQLite knows ASCII's case and no locale."""
        return "BINARY"

    def known_types(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> its storage class."""
        if len(wires) > COLUMNS_MAX:
            what = f"{len(wires)} columns are mapped, and SQLite can stage {COLUMNS_MAX}"
            raise FatalError(what, where=table.full_name, hint="leave some out")
        return {wire.name: staged_type(wire) for wire in wires}

    def carried(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> the storage class of its values; of a numeric column its digits too."""
        classes = staged_classes(table, self.known_types(table, wires))
        return {name: decimal_digits(table.column(name).type) or kind for name, kind in classes.items()}

    def describe(self, mapped: MappedTable, entry: Entry) -> list[tuple[str, str]]:
        """Prepare the entry's projection: (target column, staged type of its expression)."""
        expressions = ", ".join(column.expression.sql for column in entry.columns)
        where = f" WHERE {entry.where.sql}" if entry.where else ""
        try:
            with self.raw() as raw:
                raw.execute(f"EXPLAIN SELECT {expressions} FROM {stage_of(mapped).empty()} AS s{where}").fetchall()
        except sqlite3.Error as error:
            raise FatalError(str(error), where=self.where) from error
        return [(column.name, _made(mapped, column.expression)) for column in entry.columns]

    def obstacles(self, entry: Entry) -> list[tuple[str, str]]:
        """Triggers, which SQLite fires for every session; keys that do not tell all values apart."""
        with self.raw() as raw:
            return [*_triggers(raw, entry), *_loose_keys(raw, entry)]

    def _set_wait(self, raw: Session, record: Any, proxy: Any) -> None:
        raw.wait_at_most(self._timeout_s)


def _add_functions(raw: sqlite3.Connection, record: Any) -> None:
    record.info[FAULTS] = add_functions(raw)


def _made(mapped: MappedTable, expression: Expression) -> str:
    """The storage class of what the expression makes; of a numeric column as it is, its digits too."""
    source, table = plain_column(expression), mapped.makers.extended(mapped.table)
    digits = decimal_digits(table.column(source).type) if source is not None else None
    if digits is not None:
        return digits
    return storage_class(expression, staged_classes(table, mapped.types)) or UNKNOWN


def _triggers(raw: sqlite3.Connection, entry: Entry) -> Iterator[tuple[str, str]]:
    if found := triggers(raw, entry.target):
        what = f"{entry.target.full_name} has triggers ({', '.join(found)}), which SQLite would fire for every row"
        yield what, f"{'; '.join(f'DROP TRIGGER {name}' for name in found)}, and create them again after the cutover"


def _loose_keys(raw: sqlite3.Connection, entry: Entry) -> Iterator[tuple[str, str]]:
    """A key must compare by all of a value: two source rows would become one target row."""
    for name in entry.key:
        declared = entry.target.column(name).type
        if declared == ANY:
            yield f"{entry.target.full_name}.{name} identifies a row and has no type", "declare it, as TEXT or INTEGER"
    loose = sorted(key_collations(raw, entry.target, entry.key) - {"BINARY"})
    if loose:
        what = f"the key {', '.join(entry.key)} of {entry.target.full_name} compares by {', '.join(loose)}"
        yield what, "declare its columns without COLLATE: two source keys could be one there"
