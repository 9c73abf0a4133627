"""Reading rows of the source at one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from connectors.chunks import Bound, Range
from connectors.keys import KeyForm
from connectors.postgresql import sample
from connectors.postgresql.catalogue import retyped
from connectors.postgresql.chunk_copy import in_range
from connectors.postgresql.key_space import arrays, identifier, texts
from connectors.postgresql.key_stream import keys_in_order
from connectors.postgresql.session import translated
from connectors.postgresql.transaction import FOR_VERIFICATION
from connectors.seams import TextRow
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from mappers.errors import FatalError
from mappers.mapping import Expression, Table
from mappers.names import qualified, quote

CURSOR = "changeover_texts"


@dataclass(frozen=True, slots=True)
class PostgresReading:
    """One snapshot of the source, open. connection: for COPY."""

    url: str
    connection: psycopg.Connection
    snapshot: Snapshot

    def prepare(self) -> None:
        """Set what suits a verification."""
        with translated("source", self.url):
            self.connection.execute(FOR_VERIFICATION)

    def rows(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str]]
    ) -> dict[TextRow, TextRow]:
        """Rows by key, as `PostgresSource.rows_by_key`, at this snapshot."""
        return {key: row for key, (_, row) in self.versions(table, form, columns, keys).items()}

    def versions(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str | None]]
    ) -> dict[TextRow, tuple[str, TextRow]]:
        """As `rows`, with the transaction that wrote each row."""
        width = len(form.columns)
        with translated("source", self.url):
            rows = self.connection.execute(_by_key(table, form, columns, keys))
            return {tuple(row[:width]): (row[width], tuple(row[width + 1 :])) for row in rows}

    def keys(
        self, table: Table, form: KeyForm, where: Expression | None, batch: int
    ) -> Iterator[list[tuple[str, ...]]]:
        """The keys of the rows for which `where` is true, or of all, ascending, up to `batch` at a time."""
        with translated("source", self.url):
            yield from keys_in_order(self.connection, table, form, where, batch)

    def texts(
        self, mapped: MappedTable, part: Range, fenced: Sequence[Bound], batch: int
    ) -> Iterator[Sequence[TextRow]]:
        """The rows of a range but those of the fenced keys, in text form, up to `batch` at a time."""
        columns = ", ".join(f"{quote(name)}::text" for name in mapped.columns)
        query = f"SELECT {columns} FROM {qualified(mapped.table)} WHERE {in_range(mapped, part, fenced)}"
        with translated("source", self.url), self.connection.cursor(CURSOR) as cursor:
            cursor.itersize = batch
            cursor.execute(query.encode())
            while rows := cursor.fetchmany(batch):
                yield rows

    def sample(self, mapped: MappedTable, count: int) -> list[TextRow]:
        """The first and the last rows by key, `count` in all, in text form, each once."""
        with translated("source", self.url):
            return sample.rows(self.connection, mapped, count)

    def sample_ranges(self, mapped: MappedTable, rows: int) -> list[Range]:
        """Ranges with about `rows` rows in all: the first and the last of the table, or all of a small one."""
        with translated("source", self.url):
            return sample.ranges(self.connection, mapped, rows)

    def since(self, xid: int) -> str:
        """SQL over the source table, alias b: whether a transaction from this one on has written the row.

        xid: 64 bits wide; rows have 32.
        """
        age = f"(b.xmin::text::int8 - {xid & 0xFFFFFFFF} + 4294967296) % 4294967296"
        return f"{age} < pg_snapshot_xmax(pg_current_snapshot())::text::int8 - {xid}"

    def ask(self, query: str) -> list[Any]:
        """The rows of a query in PostgreSQL's SQL."""
        with translated("source", self.url):
            return self.connection.execute(query.encode()).fetchall()


def begin(connection: psycopg.Connection, table: Table) -> Snapshot:
    """Begin, lock, and only then take the snapshot: a rewriting ALTER between the two would make a read look empty."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(identifier(table)))
    row = connection.execute("SELECT pg_current_snapshot()::text").fetchone()
    assert row is not None
    _check_types(connection, table)
    return Snapshot.parse(row[0])


def _check_types(connection: psycopg.Connection, table: Table) -> None:
    """What is read is cast to the types that were known at the start: to ones from before an ALTER it would be cut."""
    for name, now in retyped(connection, table).items():
        raise FatalError(
            f"column {name} was {table.column(name).type} and is {now} since this process started",
            where=f"source table {table.full_name}",
            hint="start again: the start says what is to be done about the rows",
        )


def _by_key(table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str | None]]) -> sql.Composed:
    names = [sql.SQL(f"k{i}") for i in range(len(form.columns))]
    query = sql.SQL(
        "SELECT {texts}, s.xmin::text, {columns} FROM {table} AS s JOIN unnest({arrays}) AS x({names}) ON {match}"
    )
    return query.format(
        texts=texts(table, form.columns, "s"),
        columns=sql.SQL(", ").join(sql.SQL("s.{}::text").format(sql.Identifier(name)) for name in columns),
        table=identifier(table),
        arrays=arrays(keys),
        names=sql.SQL(", ").join(names),
        match=sql.SQL(" AND ").join(
            sql.SQL("s.{} = x.{}::{}").format(sql.Identifier(column), name, sql.SQL(kind))
            for column, name, kind in zip(form.columns, names, form.types, strict=True)
        ),
    )
