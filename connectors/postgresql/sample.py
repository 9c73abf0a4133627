"""A sample of a source table: its oldest and its newest rows by key, found by the key's index.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from connectors.chunks import EVERYTHING, Bound, Range
from connectors.postgresql.key_space import identifier, texts
from connectors.seams import TextRow
from connectors.tables import MappedTable


def ranges(connection: psycopg.Connection, mapped: MappedTable, rows: int) -> list[Range]:
    """Ranges of keys with about `rows` rows in all: the first and the last of the table, or all of a small one."""
    half = max(1, rows // 2)
    if _key(connection, mapped, 2 * half, descending=False) is None:
        return [EVERYTHING]
    return [
        Range(None, _key(connection, mapped, half, descending=False)),
        Range(_key(connection, mapped, half - 1, descending=True), None),
    ]


def rows(connection: psycopg.Connection, mapped: MappedTable, count: int) -> list[TextRow]:
    """The first and the last rows by key, `count` in all, in text form, each once."""
    first = _rows(connection, mapped, count - count // 2, descending=False)
    last = _rows(connection, mapped, count // 2, descending=True)
    return list(dict.fromkeys([*first, *reversed(last)]))


def count_up_to(connection: psycopg.Connection, mapped: MappedTable, limit: int) -> int:
    """The table's rows, counted to at most `limit`."""
    query = sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS t").format(
        identifier(mapped.table), sql.Literal(limit)
    )
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _key(connection: psycopg.Connection, mapped: MappedTable, skipped: int, *, descending: bool) -> Bound | None:
    query = sql.SQL(
        "SELECT {texts} FROM (SELECT {key} FROM {table} AS s ORDER BY {order} OFFSET {skipped} LIMIT 1) AS t"
    )
    row = connection.execute(
        query.format(
            texts=texts(mapped.table, mapped.form.columns),
            key=sql.SQL(", ").join(map(sql.Identifier, mapped.form.columns)),
            table=identifier(mapped.table),
            order=_order(mapped.form.columns, descending),
            skipped=sql.Literal(skipped),
        )
    ).fetchone()
    return tuple(row) if row is not None else None


def _rows(connection: psycopg.Connection, mapped: MappedTable, count: int, *, descending: bool) -> list[TextRow]:
    query = sql.SQL("SELECT {columns} FROM {table} AS s ORDER BY {order} LIMIT {count}").format(
        columns=sql.SQL(", ").join(sql.SQL("s.{}::text").format(sql.Identifier(name)) for name in mapped.columns),
        table=identifier(mapped.table),
        order=_order(mapped.form.columns, descending),
        count=sql.Literal(count),
    )
    return [tuple(row) for row in connection.execute(query)]


def _order(key: Sequence[str], descending: bool) -> sql.Composed:
    way = sql.SQL(" DESC" if descending else "")
    return sql.SQL(", ").join(sql.SQL("s.{}{}").format(sql.Identifier(name), way) for name in key)
