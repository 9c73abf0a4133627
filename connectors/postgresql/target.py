"""PostgreSQL as a target: connections with pinned settings, their transactions, and what its catalogue says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, create_engine

from connectors.postgresql.catalogue import load_functions, load_tables
from connectors.postgresql.rehearsal import Rehearsal, rehearsed
from connectors.postgresql.session import connect, target_errors
from connectors.postgresql.source import locale_of
from connectors.postgresql.transaction import TargetTransaction, committed, stage_of
from connectors.tables import MappedTable
from mappers.mapping import Entry, Table

PLANNER = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET random_page_cost = 1.1"
"""A staged batch is small beside its target table: always look rows up by the key's index."""


class PostgresTarget:
    """Connections to the target. Thread-safe: every transaction takes its own connection from the pool.

    settings: of its sessions, besides the pinned ones.
    """

    def __init__(self, url: str, *, timeout_s: int = 10, settings: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._settings = settings
        self.enforces_triggers = True
        self.engine: Engine = create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_size=2, max_overflow=4, pool_reset_on_return="rollback"
        )

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[TargetTransaction]:
        """One transaction, committed at the end of the block, rolled back on any error.

        Raises TransientError when the server goes away, also where it is unknown whether the COMMIT was carried out.
        """
        with target_errors(self.url), self.engine.connect() as connection:
            try:
                with committed(connection, self.url) as transaction:
                    yield transaction
            except BaseException:
                _drop_if_broken(connection)
                raise

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Several transactions on one database session: a chunk worker's claim ends with its session."""
        with target_errors(self.url), self.engine.connect() as connection:
            try:
                yield Session(connection, self.url)
            finally:
                _drop_if_broken(connection)

    @contextmanager
    def rehearse(self, lock_timeout_s: float, *, one_snapshot: bool = False) -> Iterator[Rehearsal]:
        """A target in which nothing lasts: one transaction, rolled back at the end of the block.

        A lock that is not had within `lock_timeout_s` is a TransientError. one_snapshot: all of it sees one state.
        """
        with target_errors(self.url), self.engine.connect() as connection:
            try:
                how = rehearsed(connection, self.url, lock_timeout_s=lock_timeout_s, one_snapshot=one_snapshot)
                with how as rehearsal:
                    yield rehearsal
            finally:
                _drop_if_broken(connection)

    def tables(self, names: Sequence[tuple[str, str]] | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""
        with self.begin() as transaction:
            return load_tables(transaction.raw, names)

    def functions(self) -> frozenset[str]:
        """Names of functions that the target's catalogue calls immutable."""
        with self.begin() as transaction:
            return load_functions(transaction.raw)

    def locale(self) -> str:
        """The database's locale, as `PostgresSource.locale` gives it."""
        with self.begin() as transaction:
            return locale_of(transaction.raw)

    def known_types(self, table: Table, columns: Sequence[str]) -> dict[str, str]:
        """Source column -> the type it is staged as: its own where the target has the same, else text."""
        with self.begin() as transaction:
            return {name: _known_type(transaction.raw, table, name) for name in columns}

    def describe(self, mapped: MappedTable, entry: Entry) -> list[tuple[str, str]]:
        """Prepare the entry's projection: (target column, type the engine gives its expression).

        Raises FatalError with the engine's words for an expression that it does not accept.
        """
        stage = stage_of(mapped)
        expressions = ", ".join(column.expression.sql for column in entry.columns)
        where = f" WHERE {entry.where.sql}" if entry.where else ""
        query = f"SELECT {expressions} FROM {stage.empty()} AS s{where}"
        with self.begin() as transaction:
            cursor = transaction.raw.execute(query.encode())
            result = cursor.pgresult
            assert result is not None
            shapes = [(result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
            oids, modifiers = [list(part) for part in zip(*shapes, strict=True)]
            names = transaction.raw.execute(
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


class Session:
    """One database session: its transactions see each other's temporary tables and share one identity."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url

    @contextmanager
    def begin(self) -> Iterator[TargetTransaction]:
        """One transaction on this session."""
        with target_errors(self._url), committed(self._connection, self._url) as transaction:
            yield transaction


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


def _drop_if_broken(connection: Connection) -> None:
    raw = connection.connection.driver_connection if not connection.invalidated else None
    if isinstance(raw, psycopg.Connection) and (raw.broken or raw.closed):
        connection.invalidate()
