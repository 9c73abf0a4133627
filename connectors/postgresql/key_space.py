"""A source table's key space: where to cut it into chunks, and which chunk a key is in, by the source's own order.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from connectors.chunks import Bound
from connectors.keys import KeyForm
from mappers.mapping import Table

SAMPLE_ABOVE_ROWS = 3_000_000
"""Above this many rows chunk bounds come from a sample of pages instead of a walk over the whole key index."""
SAMPLE_PER_CHUNK = 60


def bounds(
    connection: psycopg.Connection,
    table: Table,
    key: Sequence[str],
    chunk_rows: int,
    sample_above: int = SAMPLE_ABOVE_ROWS,
) -> list[Bound]:
    """Where to cut the table's key space so that a chunk has about `chunk_rows` rows, ascending.

    Exact for small tables (a walk over the key's index), from a sample of pages for those of more than `sample_above`.
    """
    if table.rows_estimate > sample_above:
        return _sampled_bounds(connection, table, key, chunk_rows)
    return _walked_bounds(connection, table, key, chunk_rows)


def estimate(connection: psycopg.Connection, table: Table) -> int:
    """How many rows the table has, with its partitions, as the planner believes now."""
    query = (
        "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::int8 FROM pg_class c WHERE c.relkind = 'r' AND c.oid IN"
        " (SELECT %s::regclass UNION SELECT relid FROM pg_partition_tree(%s::regclass))"
    )
    name = identifier(table).as_string()
    row = connection.execute(query, (name, name)).fetchone()
    return int(row[0]) if row else 0


def _walked_bounds(connection: psycopg.Connection, table: Table, key: Sequence[str], chunk_rows: int) -> list[Bound]:
    columns = _columns(key)
    query = sql.SQL(
        'SELECT {texts} FROM (SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS "row.n" FROM {table})'
        ' t WHERE "row.n" % {rows} = 1 AND "row.n" > 1 ORDER BY "row.n"'
    ).format(texts=texts(table, key), columns=columns, table=identifier(table), rows=sql.Literal(chunk_rows))
    return [tuple(row) for row in connection.execute(query)]


def _sampled_bounds(connection: psycopg.Connection, table: Table, key: Sequence[str], chunk_rows: int) -> list[Bound]:
    chunks = max(1, table.rows_estimate // chunk_rows)
    percent = min(100.0, 100.0 * chunks * SAMPLE_PER_CHUNK / table.rows_estimate)
    query = sql.SQL(
        'SELECT {texts} FROM (SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS "row.n" FROM {table}'
        ' TABLESAMPLE SYSTEM ({percent})) t WHERE "row.n" % {per_chunk} = 0 ORDER BY "row.n"'
    ).format(
        texts=texts(table, key),
        columns=_columns(key),
        table=identifier(table),
        percent=sql.Literal(percent),
        per_chunk=sql.Literal(SAMPLE_PER_CHUNK),
    )
    return [tuple(row) for row in connection.execute(query)]


def locate(
    connection: psycopg.Connection, table: Table, form: KeyForm, bounds: Sequence[Bound], keys: Sequence[Sequence[str]]
) -> list[int]:
    """The chunk of each key (in text form), decided by the source's own order: one query a batch.

    The keys are compared as if they stood in the table's columns, whose collation decides.
    """
    columns = range(len(form.types))
    placed = [
        sql.SQL("coalesce(s.{}, x.k{}::{})").format(sql.Identifier(name), sql.SQL(str(i)), sql.SQL(kind))
        for i, name, kind in zip(columns, form.columns, form.types, strict=True)
    ]
    edges = [
        sql.SQL("(({}) >= ({}))::int").format(sql.SQL(", ").join(placed), _literals(form, bound)) for bound in bounds
    ]
    query = sql.SQL(
        "SELECT {edges} FROM unnest({arrays}) WITH ORDINALITY AS x({names}, n)"
        " LEFT JOIN {table} AS s ON false ORDER BY x.n"
    ).format(
        edges=sql.SQL(" + ").join(edges),
        arrays=arrays(keys),
        names=sql.SQL(", ").join(sql.SQL(f"k{i}") for i in columns),
        table=identifier(table),
    )
    return [row[0] for row in connection.execute(query)]


def _literals(form: KeyForm, bound: Bound) -> sql.Composed:
    pairs = zip(bound, form.types, strict=True)
    return sql.SQL(", ").join(sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(kind)) for text, kind in pairs)


def arrays(keys: Sequence[Sequence[str | None]]) -> sql.Composed:
    """The keys, an array of texts per column. Literals: beside parameters, a % in a name would be a placeholder."""
    columns = zip(*keys, strict=True)
    return sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(list(column))) for column in columns)


def identifier(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _columns(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)


def texts(table: Table, columns: Sequence[str], alias: str = "t") -> sql.Composed:
    """Key columns in their text form; numeric without trailing zeros, since 1.0 and 1.00 are one key."""
    forms = []
    for name in columns:
        shape = "trim_scale({}.{})::text" if table.column(name).type.startswith("numeric") else "{}.{}::text"
        forms.append(sql.SQL(shape).format(sql.Identifier(alias), sql.Identifier(name)))
    return sql.SQL(", ").join(forms)
