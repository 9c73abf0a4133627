"""Reading rows of the source at one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from connectors.postgresql.key_space import arrays, identifier, texts
from connectors.postgresql.key_stream import keys_in_order
from connectors.postgresql.keys import KeyForm
from connectors.postgresql.session import translated
from connectors.seams import TextRow
from connectors.snapshot import Snapshot
from mappers.mapping import Expression, Table


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
        width = len(form.columns)
        with translated("source", self.url):
            rows = self.connection.execute(_by_key(table, form, columns), arrays(keys))
            return {tuple(row[:width]): tuple(row[width:]) for row in rows}

    def keys(
        self, table: Table, form: KeyForm, where: Expression | None, batch: int
    ) -> Iterator[list[tuple[str, ...]]]:
        """The keys of the rows for which `where` is true, or of all, ascending, up to `batch` at a time."""
        with translated("source", self.url):
            yield from keys_in_order(self.connection, table, form, where, batch)


def begin(connection: psycopg.Connection, table: Table) -> Snapshot:
    """Begin, lock, and only then take the snapshot: a rewriting ALTER between the two would make a read look empty."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(identifier(table)))
    row = connection.execute("SELECT pg_current_snapshot()::text").fetchone()
    assert row is not None
    return Snapshot.parse(row[0])


def _by_key(table: Table, form: KeyForm, columns: Sequence[tuple[str, str]]) -> sql.Composed:
    names = [sql.SQL(f"k{i}") for i in range(len(form.columns))]
    return sql.SQL("SELECT {texts}, {columns} FROM {table} AS s JOIN unnest({arrays}) AS x({names}) ON {match}").format(
        texts=texts(table, form.columns, "s"),
        columns=sql.SQL(", ").join(
            sql.SQL("s.{}::{}::text").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns
        ),
        table=identifier(table),
        arrays=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in names),
        names=sql.SQL(", ").join(names),
        match=sql.SQL(" AND ").join(
            sql.SQL("s.{} = x.{}::{}").format(sql.Identifier(column), name, sql.SQL(kind))
            for column, name, kind in zip(form.columns, names, form.types, strict=True)
        ),
    )
