"""PostgreSQL as a source: snapshots and visibility, chunk bounds, rows by key, logical messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from connectors.chunks import Bound
from connectors.postgresql.keys import KeyForm
from connectors.postgresql.session import connect, translated
from connectors.seams import TextRow
from connectors.snapshot import Snapshot
from mappers.mapping import Table

SAMPLE_ABOVE_ROWS = 3_000_000
"""Above this many rows chunk bounds come from a sample of pages instead of a walk over the whole key index."""
SAMPLE_PER_CHUNK = 60


@dataclass(frozen=True, slots=True)
class SlotPosition:
    """A replication slot: the log position confirmed by its connector, whether one is connected, bytes retained."""

    confirmed: int
    active: bool
    retained_bytes: int
    wal_status: str


def locale_of(connection: psycopg.Connection) -> str:
    """Provider, collation and character type of the database, as one text."""
    query = (
        "SELECT concat_ws('/', d->>'encoding', d->>'datlocprovider', d->>'datcollate', d->>'datctype',"
        " d->>'datlocale', d->>'daticulocale', d->>'datcollversion')"
        " FROM (SELECT to_jsonb(x) AS d FROM pg_database x WHERE datname = current_database()) y"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


class PostgresSource:
    """One connection for questions that are asked once a batch; readers of chunks and rows open their own.

    Not for several threads at once: each thread makes its own.
    """

    def __init__(self, url: str, *, timeout_s: int = 10) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._connection: psycopg.Connection | None = None
        self._reader: psycopg.Connection | None = None

    def close(self) -> None:
        """Close the connections; the next call opens another."""
        for connection in (self._connection, self._reader):
            if connection is not None:
                connection.close()
        self._connection = self._reader = None

    def connection(self) -> psycopg.Connection:
        """The shared autocommit connection, opened when needed."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url, "source", timeout_s=self._timeout_s)
        return self._connection

    def snapshot(self) -> Snapshot:
        """What a new snapshot of the source sees now."""
        return Snapshot.parse(self._value("SELECT pg_current_snapshot()::text"))

    def new_xid(self) -> int:
        """A transaction id taken now, 64 bits wide: rule 1's N."""
        return int(self._value("SELECT pg_current_xact_id()::text"))

    def clock_us(self) -> int:
        """The source's own clock, microseconds since 1970."""
        return int(self._value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text"))

    def system_id(self) -> str:
        """Tells this database from a restored or another one: cluster identifier and database."""
        query = "SELECT system_identifier || '/' || current_database() FROM pg_control_system()"
        return self._value(query)

    def slot(self, name: str) -> SlotPosition | None:
        """How far the connector has confirmed, and what its slot retains; None where there is no such slot."""
        query = (
            "SELECT coalesce(confirmed_flush_lsn - '0/0', 0)::bigint, active,"
            " coalesce(pg_current_wal_lsn() - restart_lsn, 0)::bigint, coalesce(wal_status, '')"
            " FROM pg_replication_slots WHERE slot_name = %s"
        )
        with translated("source", self.url):
            row = self.connection().execute(query, (name,)).fetchone()
        return SlotPosition(*row) if row else None

    def publication_id(self, name: str) -> str:
        """Tells a publication from one of the same name that was made anew; empty where there is none."""
        with translated("source", self.url):
            row = (
                self.connection().execute("SELECT oid::text FROM pg_publication WHERE pubname = %s", (name,)).fetchone()
            )
        return str(row[0]) if row else ""

    def rows_estimate(self, table: Table) -> int:
        """How many rows the table has: counted where that is quick, else as the planner believes."""
        if table.rows_estimate > SAMPLE_ABOVE_ROWS:
            return table.rows_estimate
        with translated("source", self.url):
            query = sql.SQL("SELECT count(*) FROM {}").format(_table(table))
            row = self.connection().execute(query).fetchone()
        return int(row[0]) if row else 0

    def locale(self) -> str:
        """The database's locale; two databases with the same one agree on lower(), on order and on patterns."""
        return locale_of(self.connection())

    def log_position(self) -> int:
        """The current end of the log."""
        return int(self._value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint::text"))

    def emit(self, prefix: str, content: str) -> int:
        """Write a transactional logical message into the log. Returns a position at or past the message's own."""
        with translated("source", self.url):
            connection = self.connection()
            connection.execute("SELECT pg_logical_emit_message(true, %s, %s)", (prefix, content))
            return self.log_position()

    def _value(self, query: str) -> str:
        with translated("source", self.url):
            row = self.connection().execute(query.encode()).fetchone()
            assert row is not None
            return str(row[0])

    # -- chunks --------------------------------------------------------------------------------------------------

    def bounds(self, table: Table, key: Sequence[str], chunk_rows: int) -> list[Bound]:
        """Where to cut the table's key space so that a chunk has about `chunk_rows` rows, ascending.

        Exact for small tables (a walk over the key's index), from a sample of pages for large ones.
        """
        with translated("source", self.url):
            if table.rows_estimate > SAMPLE_ABOVE_ROWS:
                return self._sampled_bounds(table, key, chunk_rows)
            return self._walked_bounds(table, key, chunk_rows)

    def _walked_bounds(self, table: Table, key: Sequence[str], chunk_rows: int) -> list[Bound]:
        columns = _idents(key)
        query = sql.SQL(
            'SELECT {texts} FROM (SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS "row.n" FROM {table})'
            ' t WHERE "row.n" % {rows} = 1 AND "row.n" > 1 ORDER BY "row.n"'
        ).format(texts=_texts(table, key), columns=columns, table=_table(table), rows=sql.Literal(chunk_rows))
        return [tuple(row) for row in self.connection().execute(query)]

    def _sampled_bounds(self, table: Table, key: Sequence[str], chunk_rows: int) -> list[Bound]:
        chunks = max(1, table.rows_estimate // chunk_rows)
        percent = min(100.0, 100.0 * chunks * SAMPLE_PER_CHUNK / table.rows_estimate)
        query = sql.SQL(
            'SELECT {texts} FROM (SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS "row.n" FROM {table}'
            ' TABLESAMPLE SYSTEM ({percent})) t WHERE "row.n" % {per_chunk} = 0 ORDER BY "row.n"'
        ).format(
            texts=_texts(table, key),
            columns=_idents(key),
            table=_table(table),
            percent=sql.Literal(percent),
            per_chunk=sql.Literal(SAMPLE_PER_CHUNK),
        )
        return [tuple(row) for row in self.connection().execute(query)]

    def locate(self, table: Table, form: KeyForm, bounds: Sequence[Bound], keys: Sequence[Sequence[str]]) -> list[int]:
        """The chunk of each key (in text form), decided by the source's own order: one query a batch.

        The keys are compared as if they stood in the table's columns, whose collation decides.
        """
        columns = range(len(form.types))
        placed = [
            sql.SQL("coalesce(s.{}, x.k{}::{})").format(sql.Identifier(name), sql.SQL(str(i)), sql.SQL(kind))
            for i, name, kind in zip(columns, form.columns, form.types, strict=True)
        ]
        edges = [
            sql.SQL("(({}) >= ({}))::int").format(sql.SQL(", ").join(placed), _literals(form, bound))
            for bound in bounds
        ]
        query = sql.SQL(
            "SELECT {edges} FROM unnest({arrays}) WITH ORDINALITY AS x({names}, n)"
            " LEFT JOIN {table} AS s ON false ORDER BY n"
        ).format(
            edges=sql.SQL(" + ").join(edges),
            arrays=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in columns),
            names=sql.SQL(", ").join(sql.SQL(f"k{i}") for i in columns),
            table=_table(table),
        )
        with translated("source", self.url):
            return [row[0] for row in self.connection().execute(query, _arrays(keys))]

    # -- rows ----------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self, table: Table) -> Iterator[Reading]:
        """A read-only repeatable-read transaction on a connection of its own; errors of the body stay its own.

        The connection is kept for the next reading unless something went wrong on it.
        """
        connection = self._reader or connect(self.url, "source", timeout_s=self._timeout_s)
        self._reader = None
        try:
            with translated("source", self.url):
                snapshot = _begin(connection, table)
            yield Reading(self.url, connection, snapshot)
            with translated("source", self.url):
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._keep(connection)

    def _keep(self, connection: psycopg.Connection) -> None:
        spare, self._reader = self._reader, connection
        if spare is not None:  # a reading within a reading made its own
            spare.close()

    def rows_by_key(
        self, table: Table, form: KeyForm, columns: Sequence[tuple[str, str]], keys: Sequence[Sequence[str]]
    ) -> tuple[Snapshot, dict[TextRow, TextRow]]:
        """Read rows by key at one new snapshot: (snapshot, key in text form -> the columns in text form).

        columns: (name, type that its text must be of). A key without a row is absent from the answer.
        """
        with translated("source", self.url):
            connection = self.connection()
            try:
                snapshot = _begin(connection, table)
                found = _rows(connection, table, form, columns, keys)
                connection.execute("COMMIT")
            except psycopg.Error:
                self.close()
                raise
        return snapshot, found


@dataclass(frozen=True, slots=True)
class Reading:
    """One snapshot of the source, open. connection: for COPY."""

    url: str
    connection: psycopg.Connection
    snapshot: Snapshot

    def rows(
        self, table: Table, form: KeyForm, columns: Sequence[tuple[str, str]], keys: Sequence[Sequence[str]]
    ) -> dict[TextRow, TextRow]:
        """Rows by key, as `PostgresSource.rows_by_key`, at this snapshot."""
        with translated("source", self.url):
            return _rows(self.connection, table, form, columns, keys)


def _rows(
    connection: psycopg.Connection,
    table: Table,
    form: KeyForm,
    columns: Sequence[tuple[str, str]],
    keys: Sequence[Sequence[str]],
) -> dict[TextRow, TextRow]:
    width = len(form.columns)
    rows = connection.execute(_by_key(table, form, columns), _arrays(keys))
    return {tuple(row[:width]): tuple(row[width:]) for row in rows}


def _begin(connection: psycopg.Connection, table: Table) -> Snapshot:
    """Begin, lock, and only then take the snapshot: a rewriting ALTER between the two would make a read look empty."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(_table(table)))
    row = connection.execute("SELECT pg_current_snapshot()::text").fetchone()
    assert row is not None
    return Snapshot.parse(row[0])


def _by_key(table: Table, form: KeyForm, columns: Sequence[tuple[str, str]]) -> sql.Composed:
    names = [sql.SQL(f"k{i}") for i in range(len(form.columns))]
    return sql.SQL("SELECT {texts}, {columns} FROM {table} AS s JOIN unnest({arrays}) AS x({names}) ON {match}").format(
        texts=_texts(table, form.columns, "s"),
        columns=sql.SQL(", ").join(
            sql.SQL("s.{}::{}::text").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns
        ),
        table=_table(table),
        arrays=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in names),
        names=sql.SQL(", ").join(names),
        match=sql.SQL(" AND ").join(
            sql.SQL("s.{} = x.{}::{}").format(sql.Identifier(column), name, sql.SQL(kind))
            for column, name, kind in zip(form.columns, names, form.types, strict=True)
        ),
    )


def _literals(form: KeyForm, bound: Bound) -> sql.Composed:
    pairs = zip(bound, form.types, strict=True)
    return sql.SQL(", ").join(sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(kind)) for text, kind in pairs)


def _arrays(keys: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*keys, strict=True)]


def _table(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _idents(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)


def _texts(table: Table, columns: Sequence[str], alias: str = "t") -> sql.Composed:
    """Key columns in their text form; numeric without trailing zeros, since 1.0 and 1.00 are one key."""
    forms = []
    for name in columns:
        shape = "trim_scale({}.{})::text" if table.column(name).type.startswith("numeric") else "{}.{}::text"
        forms.append(sql.SQL(shape).format(sql.Identifier(alias), sql.Identifier(name)))
    return sql.SQL(", ").join(forms)
