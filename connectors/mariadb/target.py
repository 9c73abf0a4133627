"""MariaDB and MySQL as a target: sessions with pinned settings, their transactions, and what the catalogue says.

Not run against MySQL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pymysql
from sqlalchemy import Connection, event

from connectors.mariadb import forms
from connectors.mariadb.catalogue import load_functions, load_tables, spelled
from connectors.mariadb.dialect import MARIADB, MYSQL
from connectors.mariadb.grants import missing_grants, ticked
from connectors.mariadb.infile import Connection as Raw
from connectors.mariadb.probe import prepare, uuid_type
from connectors.mariadb.session import Value, engine, server_of, target_errors, version_of
from connectors.mariadb.stage import COLUMNS_MAX, MariadbStage, stage_of
from connectors.mariadb.transaction import MariadbTransaction, table_options
from connectors.seams import MissingGrant, Names
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.dialects import MARIADB as EXPRESSIONS
from mappers.errors import FatalError
from mappers.expressions import plain_column
from mappers.mapping import Entry, Table

IDLE_S = 30
"""How long the server lets a rehearsal sit idle, should this process be stopped or cut off with it."""
DOCTOR_WAITS_S = 1
"""How long a statement of `doctor` waits for a lock, on a server that is in use."""
IMPATIENT = "changeover_impatient"
"""Where a pooled connection remembers the settings that a rehearsal changed."""


class MariadbTarget(SqlTarget):
    """Connections to the target. settings: of its sessions, besides the pinned ones. kind: mariadb or mysql."""

    def __init__(
        self, url: str, kind: str, *, timeout_s: int = 10, settings: Mapping[str, Value] | None = None
    ) -> None:
        self.url = url
        self.expressions = EXPRESSIONS
        self.dialect = MARIADB if kind == "mariadb" else MYSQL
        self.enforces_triggers = False  # foreign keys are off; tables with triggers are refused (`obstacles`)
        self._kind = kind
        self.engine = engine(
            url, timeout_s=timeout_s, settings={"foreign_key_checks": 0, **(settings or {})}, local_infile=True
        )
        event.listen(self.engine, "connect", self._connected)
        event.listen(self.engine, "checkin", _calm)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return f"target {server_of(self.url)}"

    def stage_of(self, mapped: MappedTable) -> MariadbStage:
        """The SQL of a mapped table's staging tables."""
        with self.raw() as raw:
            return stage_of(mapped, table_options(raw))

    def transaction(self, connection: Connection) -> MariadbTransaction:
        """The transaction on this connection, before it begins."""
        return MariadbTransaction(connection, self.url)

    @contextmanager
    def raw(self) -> Iterator[Raw]:
        """The driver's connection, in one transaction."""
        with self.begin(reading=True) as transaction:
            assert isinstance(transaction, MariadbTransaction)
            yield transaction.raw

    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""
        return target_errors(self.url)

    def broken(self, connection: Connection) -> bool:
        """Whether the connection is of no use any more."""
        raw = connection.connection.driver_connection
        return isinstance(raw, Raw) and not raw.open

    def one_snapshot(self, connection: Connection) -> None:
        """The connection's next transaction begins here and now, with its snapshot."""
        connection.execution_options(isolation_level="REPEATABLE READ")
        raw = connection.connection.driver_connection
        assert isinstance(raw, Raw)
        raw.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")

    def patience(self, connection: Connection, lock_timeout_s: float) -> None:
        """Within the transaction: limits for locks, and for a session that was cut off with it; until it is pooled."""
        limits: dict[str, Value] = lock_limit(lock_timeout_s)
        if self._kind == "mariadb":
            limits["idle_transaction_timeout"] = IDLE_S
        found = connection.exec_driver_sql(f"SELECT {', '.join(f'@@{name}' for name in limits)}").one()
        connection.info[IMPATIENT] = dict(zip(limits, found, strict=True))
        connection.exec_driver_sql(_assignment(limits), tuple(limits.values()))

    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""
        with self.raw() as raw:
            return load_tables(raw, names)

    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the account may not do with these tables."""
        with self.raw() as raw:
            return missing_grants(raw, names, rights)

    def functions(self) -> frozenset[str]:
        """Names of the server's own functions."""
        with self.raw() as raw:
            return load_functions(raw)

    def locale(self) -> str:
        """Server, and how its sessions compare: two of them agree on lower() and on order."""
        with self.raw() as raw:
            return f"{self._kind} {version_of(raw).split('-')[0]} {self.dialect.engine}"

    def notes(self) -> list[str]:
        """How rows get into staging tables."""
        with self.raw() as raw:
            way = "LOAD DATA LOCAL" if raw.can_load else "statements of many rows (local_infile is off at the server)"
            return [f"rows are staged by {way}"]

    def known_types(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> the type it is staged as: its own where the target has the same values, else longtext."""
        if len(wires) > COLUMNS_MAX:
            what = f"{len(wires)} columns are mapped, and {COLUMNS_MAX} can be staged"
            raise FatalError(what, where=table.full_name, hint="leave some out")
        with self.raw() as raw:
            uuid = uuid_type(raw)
        return {wire.name: forms.staged_type(wire, table.column(wire.name), uuid=uuid) for wire in wires}

    def describe(self, mapped: MappedTable, entry: Entry) -> list[tuple[str, str]]:
        """Prepare the entry's projection: (target column, type the engine gives its expression).

        A column alone has its staged type. Raises FatalError with the engine's words for what it does not accept.
        """
        staged = {column.name: _staged(mapped, entry, column.name) for column in entry.columns}
        asked = {name: entry.expression(name).sql for name, kind in staged.items() if kind is None}
        with self.raw() as raw:
            try:
                made = _made(raw, mapped, entry, asked) if asked or entry.where else {}
            except pymysql.Error as error:
                raise FatalError(str(error.args[-1]), where=self.where) from error
        return [(name, kind or made[name]) for name, kind in staged.items()]

    def obstacles(self, entry: Entry) -> list[tuple[str, str]]:
        """Triggers, which fire for every session, and tables that a rollback does not take back."""
        table, found = entry.target, []
        if table.triggers:
            drops = "; ".join(f"DROP TRIGGER {ticked(table.schema, name)}" for name in table.triggers)
            what = f"{table.full_name} has triggers ({', '.join(table.triggers)}), which fire for every row"
            found.append((what, f"{drops}, and create them again after the cutover"))
        if table.storage and table.storage.lower() != "innodb":
            what = f"{table.full_name} is a table of {table.storage}, which has no transactions"
            found.append((what, f"ALTER TABLE {ticked(table.schema, table.name)} ENGINE = InnoDB"))
        return found

    def _connected(self, raw: Raw, record: Any) -> None:
        with target_errors(self.url):
            prepare(raw, self._kind, self.where)


def lock_limit(limit_s: float) -> dict[str, Value]:
    """The settings that let a statement wait for a lock only so many seconds."""
    seconds = max(1, math.ceil(limit_s))
    return {"innodb_lock_wait_timeout": seconds, "lock_wait_timeout": seconds}


def _made(raw: Raw, mapped: MappedTable, entry: Entry, asked: Mapping[str, str]) -> dict[str, str]:
    """Name -> the type of a column that is made of the expression, over a table of the staged types."""
    stage = stage_of(mapped, table_options(raw))
    described = "changeover_described"
    for name in (stage.shape_name, described):
        raw.query(f"DROP TEMPORARY TABLE IF EXISTS {name}")
    raw.query(stage.shape())
    found = {}
    try:
        for column, sql in {**asked, "": "1"}.items():
            query = f"SELECT {sql} AS x FROM {stage.empty()} AS s"
            query += f" WHERE {entry.where.sql}" if entry.where else ""
            raw.query(f"CREATE TEMPORARY TABLE {described} {table_options(raw)} {query}")
            with raw.cursor() as cursor:
                cursor.execute(f"SHOW FULL COLUMNS FROM {described}")
                row = cursor.fetchone()
            assert row is not None
            found[column] = _known(spelled(row[1], row[2] or ""), sql)
            raw.query(f"DROP TEMPORARY TABLE {described}")
    finally:
        raw.query(f"DROP TEMPORARY TABLE {stage.shape_name}")
    return found


def _known(kind: str, sql: str) -> str:
    """The server takes unhex() of a long text for a value of no length, and would make it empty."""
    if kind == "binary(0)" and "unhex" in sql.lower():
        hint = "write unhex(cast(x as char(16000)))"
        raise FatalError("unhex() of a text without a length", hint=hint)
    return kind


def _staged(mapped: MappedTable, entry: Entry, name: str) -> str | None:
    source = plain_column(entry.expression(name))
    return mapped.types[source] if source is not None else None


def _assignment(settings: Mapping[str, Value]) -> str:
    return "SET " + ", ".join(f"SESSION {name} = %s" for name in settings)


def _calm(raw: Raw | None, record: Any) -> None:
    """Give a connection its settings back before somebody else has it."""
    settings: Mapping[str, Value] | None = record.info.pop(IMPATIENT, None)
    if raw is not None and raw.open and settings:
        with raw.cursor() as cursor:
            cursor.execute(_assignment(settings), tuple(settings.values()))
