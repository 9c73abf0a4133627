"""A source table's key space: where to cut it into chunks, which chunk a key is in, keys read and keys checked.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymysql.cursors import SSCursor

from connectors.chunks import Bound, Range
from connectors.keys import KeyForm
from connectors.mariadb.general_types import native_of
from connectors.mariadb.keys import canonical as canonical_text
from connectors.mariadb.session import Raw
from connectors.mariadb.source_values import collated, text, within
from mappers.errors import RecordError
from mappers.mapping import Column, Expression, Table
from mappers.names import qualified, quote

_UNCUT = frozenset(("enum", "set", "bit"))
"""Key types that sort by another order than they compare with texts: such a table is one chunk."""


def key_columns(table: Table, form: KeyForm | Sequence[str]) -> list[Column]:
    """The key's columns."""
    names = form.columns if isinstance(form, KeyForm) else form
    return [table.column(name) for name in names]


def texts(columns: Sequence[Column], alias: str) -> str:
    """A select list of the columns' texts."""
    return ", ".join(text(column, alias) for column in columns)


def order(columns: Sequence[Column], alias: str, *, descending: bool = False) -> str:
    """The columns for ORDER BY."""
    way = " DESC" if descending else ""
    return ", ".join(f"{alias}.{quote(column.name)}{way}" for column in columns)


def run(raw: Raw, query: str) -> list[tuple[str | None, ...]]:
    """The rows of a query, on a session that reads values as text."""
    with raw.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def bounds(raw: Raw, table: Table, key: Sequence[str], chunk_rows: int) -> list[Bound]:
    """Where to cut the table's key space so that a chunk has about `chunk_rows` rows: a walk over the key's index."""
    columns = key_columns(table, key)
    if any(native_of(column.native)[0] in _UNCUT for column in columns):
        return []
    found: list[Bound] = []
    while edge := _next(raw, table, columns, found[-1] if found else None, chunk_rows):
        found.append(edge)
    return found


def _next(raw: Raw, table: Table, columns: Sequence[Column], after: Bound | None, rows: int) -> Bound | None:
    query = (
        f"SELECT {texts(columns, 's')} FROM {qualified(table)} AS s WHERE {within(columns, 's', Range(after))}"
        f" ORDER BY {order(columns, 's')} LIMIT 1 OFFSET {rows}"
    )
    rows_found = run(raw, query)
    return tuple(str(value) for value in rows_found[0]) if rows_found else None


def planned_rows(raw: Raw, table: Table) -> int:
    """How many rows the table has, as the planner believes now."""
    query = "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
    with raw.cursor() as cursor:
        cursor.execute(query, (table.schema, table.name))
        row = cursor.fetchone()
    return int(row[0] or 0) if row else 0


def count_up_to(raw: Raw, table: Table, limit: int) -> int:
    """The table's rows, counted to at most `limit`."""
    found = run(raw, f"SELECT count(*) FROM (SELECT 1 FROM {qualified(table)} LIMIT {limit}) AS t")
    return int(found[0][0] or 0)


def locate(raw: Raw, table: Table, form: KeyForm, edges: Sequence[Bound], keys: Sequence[Sequence[str]]) -> list[int]:
    """The chunk of each key (in text form), by the collations of the table's columns: one query a batch."""
    columns = key_columns(table, form)
    names = [f"k{i}" for i in range(len(columns))]
    rows = " UNION ALL ".join(
        "SELECT " + ", ".join([f"{n} AS n", *_placed(columns, names, key)]) for n, key in enumerate(keys)
    )
    places = " + ".join(f"({_at_or_after(columns, names, edge)})" for edge in edges)
    return [int(row[1] or 0) for row in run(raw, f"SELECT x.n, {places} FROM ({rows}) AS x ORDER BY x.n")]


def _placed(columns: Sequence[Column], names: Sequence[str], key: Sequence[str]) -> list[str]:
    return [f"{collated(c, value)} AS {name}" for c, name, value in zip(columns, names, key, strict=True)]


def _at_or_after(columns: Sequence[Column], names: Sequence[str], edge: Bound) -> str:
    """(a, b) >= (x, y), with the columns' collations."""
    name, value = f"x.{names[0]}", collated(columns[0], edge[0])
    if len(columns) == 1:
        return f"{name} >= {value}"
    return f"{name} > {value} OR ({name} = {value} AND ({_at_or_after(columns[1:], names[1:], edge[1:])}))"


def keys_in_order(
    raw: Raw, table: Table, form: KeyForm, where: Expression | None, batch: int
) -> Iterator[list[tuple[str, ...]]]:
    """The keys of the rows for which `where` is true, or of all, ascending, up to `batch` at a time."""
    columns = key_columns(table, form)
    condition = f" WHERE ({where.sql}) IS TRUE" if where else ""
    query = f"SELECT {texts(columns, 's')} FROM {qualified(table)} AS s{condition} ORDER BY {order(columns, 's')}"
    with raw.cursor(SSCursor) as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(batch):
            yield [tuple(str(value) for value in row) for row in rows]


def canonical(table: Table, form: KeyForm, keys: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The keys as the source itself would print them: 042 is 42. Raises RecordError for one that cannot be a key."""
    columns = key_columns(table, form)
    try:
        return [tuple(canonical_text(c, value) for c, value in zip(columns, key, strict=True)) for key in keys]
    except ValueError as error:
        kinds = ", ".join(f"{column.name} {column.native}" for column in columns)
        what, where = "a key is not of the key's type", f"table {table.full_name}"
        raise RecordError(what, where=where, hint=f"a key is: {kinds}") from error
