"""PostgreSQL as a target: connections with pinned settings, their transactions, and what its catalogue says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, create_engine, text

from connectors.postgresql.catalogue import load_functions, load_tables, locale_of, table_grants
from connectors.postgresql.dialect import POSTGRESQL
from connectors.postgresql.session import connect, server_of, target_errors
from connectors.postgresql.stage import PostgresStage, stage_of
from connectors.postgresql.transaction import PostgresTransaction
from connectors.seams import MissingGrant, Names
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.dialects import POSTGRESQL as EXPRESSIONS
from mappers.mapping import Entry, Table

IDLE_S = 30
"""How long the server lets a rehearsal sit idle, should this process be stopped or cut off with it."""
PLANNER = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET random_page_cost = 1.1"
"""A staged batch is small beside its target table: always look rows up by the key's index."""


class PostgresTarget(SqlTarget):
    """Connections to the target. settings: of its sessions, besides the pinned ones."""

    dialect = POSTGRESQL
    expressions = EXPRESSIONS

    def __init__(self, url: str, *, timeout_s: int = 10, settings: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._settings = settings
        self.enforces_triggers = True
        self.engine: Engine = create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_size=2, max_overflow=4, pool_reset_on_return="rollback"
        )

    @property
    def where(self) -> str:
        """The server, for messages."""
        return f"target {server_of(self.url)}"

    def stage_of(self, mapped: MappedTable) -> PostgresStage:
        """The SQL of a mapped table's staging tables."""
        return stage_of(mapped)

    def transaction(self, connection: Connection) -> PostgresTransaction:
        """The transaction on this connection, before it begins."""
        return PostgresTransaction(connection, self.url)

    @contextmanager
    def raw(self) -> Iterator[psycopg.Connection]:
        """The driver's connection, in one transaction."""
        with self.begin() as transaction:
            assert isinstance(transaction, PostgresTransaction)
            yield transaction.raw

    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""
        return target_errors(self.url)

    def broken(self, connection: Connection) -> bool:
        """Whether the connection is of no use any more."""
        raw = connection.connection.driver_connection
        return isinstance(raw, psycopg.Connection) and (raw.broken or raw.closed)

    def one_snapshot(self, connection: Connection) -> None:
        """Let the connection's next transaction see one state."""
        connection.execution_options(isolation_level="REPEATABLE READ")

    def patience(self, connection: Connection, lock_timeout_s: float) -> None:
        """Within the transaction: limits for locks, and for a session that was cut off with it."""
        connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_timeout_s * 1000)}"))
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'"))

    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""
        with self.raw() as raw:
            return load_tables(raw, names)

    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the role may not do with these tables."""
        with self.raw() as raw:
            return table_grants(raw, names, rights)

    def functions(self) -> frozenset[str]:
        """Names of functions that the target's catalogue calls immutable."""
        with self.raw() as raw:
            return load_functions(raw)

    def locale(self) -> str:
        """The database's locale, as `PostgresSource.locale` gives it."""
        with self.raw() as raw:
            return locale_of(raw)

    def known_types(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> the type it is staged as: its own where the target has the same, else text."""
        with self.raw() as raw:
            return {wire.name: _known_type(raw, table, wire.name) for wire in wires}

    def carried(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> its own type; one that is not known here is text, but nothing holds it then either way."""
        return {wire.name: table.column(wire.name).type for wire in wires}

    def describe(self, mapped: MappedTable, entry: Entry) -> list[tuple[str, str]]:
        """Prepare the entry's projection: (target column, type the engine gives its expression).

        Raises FatalError with the engine's words for an expression that it does not accept.
        """
        stage = stage_of(mapped)
        expressions = ", ".join(column.expression.sql for column in entry.columns)
        where = f" WHERE {entry.where.sql}" if entry.where else ""
        query = f"SELECT {expressions} FROM {stage.empty()} AS s{where}"
        with self.raw() as raw:
            cursor = raw.execute(query.encode())
            result = cursor.pgresult
            assert result is not None
            shapes = [(result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
            oids, modifiers = [list(part) for part in zip(*shapes, strict=True)]
            names = raw.execute(
                "SELECT format_type(o, m) FROM unnest(%s::oid[], %s::int[]) AS x(o, m)", (oids, modifiers)
            )
            return [(column.name, row[0]) for column, row in zip(entry.columns, names, strict=True)]

    def _connect(self) -> psycopg.Connection:
        connection = connect(self.url, "target", timeout_s=self._timeout_s, settings=self._settings)
        connection.execute(PLANNER.encode())
        try:
            connection.execute("SET session_replication_role = replica")
            self.enforces_triggers = False
        except pg.InsufficientPrivilege:
            self.enforces_triggers = True
        connection.autocommit = False
        return connection


def _known_type(connection: psycopg.Connection, table: Table, name: str) -> str:
    column = table.column(name)
    row = connection.execute(
        "SELECT t.oid, ARRAY(SELECT enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY enumsortorder)"
        " FROM (SELECT to_regtype(%s) AS oid) t",
        (column.type,),
    ).fetchone()
    if row is None or row[0] is None or tuple(row[1]) != column.labels:
        return "text"
    return column.type
