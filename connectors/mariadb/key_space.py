"""A table's key space in MariaDB or MySQL: where to cut it, by the engine's own order.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.chunks import Bound, Range
from connectors.mariadb.session import Raw
from connectors.mariadb.types import Family, read
from connectors.sql.dialect import Dialect
from mappers.mapping import Table
from mappers.projection import qualified, quote


def bounds(raw: Raw, dialect: Dialect, table: Table, key: Sequence[str], rows: int, sample_above: int) -> list[Bound]:
    """Where to cut the table's key space so that a part has about so many rows, ascending.

    By steps over the key's index; a large table with a key of one integer is cut evenly between its ends instead.
    """
    if any(read(table.column(name).type).family is Family.LABEL for name in key):
        return _walked(raw, dialect, table, key, rows)
    if table.rows_estimate > sample_above and _is_integer(table, key):
        return _even(raw, table, key[0], rows)
    found: list[Bound] = []
    while (edge := _next(raw, dialect, table, key, rows, found[-1] if found else None)) is not None:
        found.append(edge)
    return found


def _is_integer(table: Table, key: Sequence[str]) -> bool:
    kind = read(table.column(key[0]).type)
    return len(key) == 1 and kind.family is Family.INTEGER and kind.name != "bit"


def _even(raw: Raw, table: Table, name: str, rows: int) -> list[Bound]:
    column = quote(name)
    with raw.cursor() as cursor:
        cursor.execute(f"SELECT min({column}), max({column}) FROM {qualified(table)}")
        least, greatest = (cursor.fetchone() or (None, None))[:2]
    if least is None or greatest is None:
        return []
    least, span = int(least), int(greatest) - int(least)
    parts = max(1, min(-(-table.rows_estimate // rows), span))
    return [(str(edge),) for edge in sorted({least + span * i // parts for i in range(1, parts)})]


def _walked(raw: Raw, dialect: Dialect, table: Table, key: Sequence[str], rows: int) -> list[Bound]:
    """Labels are sorted by their number, and compared as texts: as texts they are sorted here too, all at once."""
    types = [table.column(name).type for name in key]
    columns = [f"t.{quote(name)}" for name in key]
    texts = [f"{dialect.values.text(c, kind)} AS k{i}" for i, (c, kind) in enumerate(zip(columns, types, strict=True))]
    order = ", ".join(
        f"CONCAT({column})" if read(kind).family is Family.LABEL else column
        for column, kind in zip(columns, types, strict=True)
    )
    query = (
        f"SELECT {', '.join(f'k{i}' for i in range(len(key)))} FROM (SELECT {', '.join(texts)}, "
        f"ROW_NUMBER() OVER (ORDER BY {order}) AS n FROM {qualified(table)} AS t) AS q "
        f"WHERE n > 1 AND n % {int(rows)} = {1 % int(rows)} ORDER BY n"
    )
    with raw.cursor() as cursor:
        cursor.execute(query)
        return [tuple(row) for row in cursor.fetchall()]


def _next(raw: Raw, dialect: Dialect, table: Table, key: Sequence[str], rows: int, last: Bound | None) -> Bound | None:
    """The key that is so many rows after this one; None where the table ends before."""
    types = [table.column(name).type for name in key]
    columns = [f"t.{quote(name)}" for name in key]
    texts = ", ".join(dialect.values.text(column, kind) for column, kind in zip(columns, types, strict=True))
    where = dialect.keys.within(columns, types, Range(last))
    query = (
        f"SELECT {texts} FROM {qualified(table)} AS t WHERE {where} "
        f"ORDER BY {', '.join(columns)} LIMIT 1 OFFSET {int(rows)}"
    )
    with raw.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return tuple(row) if row else None
