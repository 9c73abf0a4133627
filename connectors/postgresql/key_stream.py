"""Source keys as people give them and as the table has them: brought into their text form, and read in key order.

Errors of the driver pass through as they are, save for a key that is none: callers run under `session.translated`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import errors as pg
from psycopg import sql

from connectors.keys import KeyForm
from connectors.postgresql.key_space import arrays, identifier, texts
from mappers.errors import RecordError
from mappers.mapping import Expression, Table

_MODIFIER = re.compile(r"\(\s*-?\d+(\s*,\s*-?\d+)?\s*\)")
CURSOR = "changeover_keys"


def canonical(
    connection: psycopg.Connection, table: Table, form: KeyForm, keys: Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """The keys as the source itself would print them: 042 is 42. Raises RecordError for one that cannot be a key."""
    columns = list(zip(range(len(form.columns)), form.columns, form.types, strict=True))
    typed = [sql.SQL("x.k{}::{} AS {}").format(sql.SQL(str(i)), sql.SQL(t), sql.Identifier(c)) for i, c, t in columns]
    whole = [
        sql.SQL("x.k{0}::{1} = x.k{0}::{2}::{1}").format(sql.SQL(str(i)), sql.SQL(_unbounded(t)), sql.SQL(t))
        for i, _, t in columns
    ]
    query = sql.SQL(
        'SELECT {texts}, c."key.whole" FROM (SELECT {typed}, {whole} AS "key.whole", x.n AS "key.n"'
        ' FROM unnest({arrays}) WITH ORDINALITY AS x({names}, n)) AS c ORDER BY c."key.n"'
    ).format(
        texts=texts(table, form.columns, "c"),
        typed=sql.SQL(", ").join(typed),
        whole=sql.SQL(" AND ").join(whole),
        arrays=arrays(keys),
        names=sql.SQL(", ").join(sql.SQL(f"k{i}") for i, _, _ in columns),
    )
    try:
        rows = connection.execute(query).fetchall()
    except pg.DataError as error:
        raise _no_key(table, form) from error
    if not all(row[-1] for row in rows):
        raise _no_key(table, form)
    return [tuple(row[:-1]) for row in rows]


def _unbounded(type_name: str) -> str:
    """The type without length or precision, to see whether those cut something off."""
    bare = _MODIFIER.sub("", type_name)
    return "bpchar" if bare.strip() == "character" else bare


def _no_key(table: Table, form: KeyForm) -> RecordError:
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(form.columns, form.types, strict=True))
    return RecordError("a key is not of the key's type", where=f"table {table.full_name}", hint=f"a key is: {columns}")


def keys_in_order(
    connection: psycopg.Connection, table: Table, form: KeyForm, where: Expression | None, batch: int
) -> Iterator[list[tuple[str, ...]]]:
    """The keys of the rows for which `where` is true, or of all, ascending, up to `batch` at a time.

    Within the connection's transaction, by a cursor of the server: memory for one batch.
    """
    query = sql.SQL("SELECT {texts} FROM {table} AS s{where} ORDER BY {key}").format(
        texts=texts(table, form.columns, "s"),
        table=identifier(table),
        where=sql.SQL(f" WHERE ({where.sql}) IS TRUE" if where else ""),
        key=sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(column)) for column in form.columns),
    )
    with connection.cursor(CURSOR) as cursor:
        cursor.itersize = batch
        cursor.execute(query)
        while rows := cursor.fetchmany(batch):
            yield [tuple(row) for row in rows]
