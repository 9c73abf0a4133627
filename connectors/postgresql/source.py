"""PostgreSQL as a source: what is asked of it on one connection, and snapshots held open for reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from connectors.chunks import Bound
from connectors.keys import KeyForm
from connectors.postgresql import key_space, key_stream, sample
from connectors.postgresql.catalogue import load_functions, load_tables, locale_of, table_grants
from connectors.postgresql.chunk_copy import probe
from connectors.postgresql.dialect import POSTGRESQL
from connectors.postgresql.keys import key_form
from connectors.postgresql.reading import PostgresReading, begin
from connectors.postgresql.session import connect, translated
from connectors.postgresql.shapes import name_of, read_shapes, read_written
from connectors.postgresql.slots import Slot, read_session, read_slot
from connectors.postgresql.wire import wire_columns
from connectors.seams import MissingGrant, Names, Pushdown, TextRow
from connectors.shape import Shape
from connectors.snapshot import Snapshot
from connectors.source_log import Session
from connectors.sql.dialect import Dialect
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.mapping import Table
from mappers.names import qualified, quote


class PostgresSource:
    """One connection for questions that are asked once a batch; readers of chunks and rows open their own.

    Not for several threads at once: each thread makes its own. publication: that makes the stream. settings: of its
    sessions, besides the pinned ones.
    """

    def __init__(
        self, url: str, *, publication: str = "", timeout_s: int = 10, settings: Mapping[str, str] | None = None
    ) -> None:
        self.url = url
        self._publication = publication
        self._timeout_s = timeout_s
        self._settings = settings
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
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection:
        return connect(self.url, "source", timeout_s=self._timeout_s, settings=self._settings)

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

    def slot(self, name: str) -> Slot | None:
        """How far the connector has confirmed, and what its slot retains; None where there is no such slot."""
        with translated("source", self.url):
            return read_slot(self.connection(), name)

    def session(self, slot: str) -> Session | None:
        """The connector's session that reads from the slot; None where nobody does."""
        with translated("source", self.url):
            return read_session(self.connection(), slot)

    def publication_id(self, name: str) -> str:
        """Tells a publication from one of the same name that was made anew; empty where there is none."""
        query = "SELECT oid::text FROM pg_publication WHERE pubname = %s"
        with translated("source", self.url):
            row = self.connection().execute(query, (name,)).fetchone()
        return str(row[0]) if row else ""

    def planned_rows(self, table: Table) -> int:
        """How many rows the table has, with its partitions, as the planner believes now."""
        with translated("source", self.url):
            return key_space.estimate(self.connection(), table)

    def count_up_to(self, mapped: MappedTable, limit: int) -> int:
        """The table's rows, counted to at most `limit`."""
        with translated("source", self.url):
            return sample.count_up_to(self.connection(), mapped, limit)

    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""
        with translated("source", self.url):
            return load_tables(self.connection(), names)

    def all_texts(self, table: Table, columns: Sequence[str], limit: int) -> list[TextRow]:
        """At most so many rows of a table, as text, in no order."""
        listed = ", ".join(f"{quote(name)}::text" for name in columns)
        with translated("source", self.url):
            query = f"SELECT {listed} FROM {qualified(table)} LIMIT {int(limit)}"
            return self.connection().execute(query.encode()).fetchall()

    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the role may not do with these tables."""
        with translated("source", self.url):
            return table_grants(self.connection(), names, rights)

    def wires(self, table: Table, wanted: Collection[str]) -> tuple[WireColumn, ...]:
        """The wanted columns as they travel. Raises ConfigError with a problem for each that cannot."""
        return wire_columns(table, wanted)

    def key_form(self, table: Table, key: Sequence[str], wires: Sequence[WireColumn]) -> KeyForm:
        """How keys are written and ordered. Raises ValueError for a key type that has no exact text form."""
        return key_form(table, key, wires)

    def functions(self) -> frozenset[str]:
        """Names of functions that the source's catalogue calls immutable."""
        with translated("source", self.url):
            return load_functions(self.connection())

    def pushdown(self, mapped: MappedTable, target: Dialect, locale: str) -> Pushdown:
        """Whether the source can run the projection as the target would. locale: the target's."""
        if target is not POSTGRESQL:
            return Pushdown(False, reason="source and target are different engines")
        if not mapped.plain:
            return Pushdown(False, reason="columns or rows are made before the mapping sees them")
        with translated("source", self.url):
            return probe(self.connection(), mapped, same_locale=self.locale() == locale)

    def written(self, identities: Iterable[str]) -> tuple[Snapshot, dict[str, str]]:
        """What tells that columns of these tables were added, dropped or altered, as `shapes.read_written`."""
        with translated("source", self.url):
            return read_written(self.connection(), identities)

    def shapes(self, names: Sequence[tuple[str, str]]) -> tuple[Snapshot, dict[str, Shape]]:
        """What these tables are, as `shapes.read_shapes`."""
        with translated("source", self.url):
            return read_shapes(self.connection(), names, self._publication)

    def name_of(self, identity: str) -> str | None:
        """The name that a table has now, by its identity; None where it is gone."""
        with translated("source", self.url):
            return name_of(self.connection(), identity)

    def rows_estimate(self, table: Table) -> int:
        """How many rows the table has: counted where that is quick, else as the planner believes."""
        if table.rows_estimate > key_space.SAMPLE_ABOVE_ROWS:
            return table.rows_estimate
        with translated("source", self.url):
            query = sql.SQL("SELECT count(*) FROM {}").format(key_space.identifier(table))
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

    def bounds(
        self, table: Table, key: Sequence[str], chunk_rows: int, sample_above: int = key_space.SAMPLE_ABOVE_ROWS
    ) -> list[Bound]:
        """Where to cut the table's key space so that a chunk has about `chunk_rows` rows, ascending.

        sample_above: from how many rows on the cuts may be uneven.
        """
        with translated("source", self.url):
            return key_space.bounds(self.connection(), table, key, chunk_rows, sample_above)

    def locate(self, table: Table, form: KeyForm, bounds: Sequence[Bound], keys: Sequence[Sequence[str]]) -> list[int]:
        """The chunk of each key (in text form), decided by the source's own order: one query a batch."""
        with translated("source", self.url):
            return key_space.locate(self.connection(), table, form, bounds, keys)

    def canonical(self, table: Table, form: KeyForm, keys: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Keys as the source itself would print them. Raises RecordError for one that cannot be a key."""
        with translated("source", self.url):
            return key_stream.canonical(self.connection(), table, form, keys)

    @contextmanager
    def reading(self, table: Table) -> Iterator[PostgresReading]:
        """A read-only repeatable-read transaction on a connection of its own; errors of the body stay its own.

        The connection is kept for the next reading unless something went wrong on it.
        """
        connection = self._reader or self._connect()
        self._reader = None
        try:
            with translated("source", self.url):
                snapshot = begin(connection, table)
            yield PostgresReading(self.url, connection, snapshot)
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
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str]]
    ) -> tuple[Snapshot, dict[TextRow, TextRow]]:
        """Read rows by key at one new snapshot: (snapshot, key in text form -> the columns in text form).

        A key without a row is absent from the answer.
        """
        with self.reading(table) as reading:
            return reading.snapshot, reading.rows(table, form, columns, keys)
