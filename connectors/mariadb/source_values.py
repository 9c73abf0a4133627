"""MariaDB's values as text in the neutral form, and texts as literals: in SQL. Pure.

Sessions have the pinned settings: backslashes escape, double quotes are names, the time zone is UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pymysql.converters import escape_string

from connectors.chunks import Range
from connectors.floats import shortest
from connectors.mariadb.general_types import BYTES, native_of
from mappers.mapping import Column
from mappers.names import quote

_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year", "bit")


def text(column: Column, alias: str) -> str:
    """The column as text. A 32-bit float comes as the double that it is: `single` makes its text."""
    name, numbers, _ = native_of(column.native)
    value = f"{alias}.{quote(column.name)}"
    if name == "bit" and (numbers or (1,))[0] == 1:
        return f"CASE {value} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    if name in ("bit", "year") or "zerofill" in column.native:
        return f"({value} + 0)"
    if name == "float":
        return f"CAST({value} AS DOUBLE)"
    if name in BYTES:
        return f"CONCAT('\\\\x', LOWER(HEX({value})))"
    if name in ("datetime", "timestamp", "time"):
        fraction = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {value}))" if numbers and numbers[0] else value
        return f"CONCAT({fraction}, '+00')" if name == "timestamp" else f"CAST({fraction} AS CHAR)"
    return value


def is_single(column: Column) -> bool:
    """Whether the column's text still has to become a 32-bit float's."""
    return native_of(column.native)[0] == "float"


def single(text: str) -> str:
    """The shortest text of the 32-bit float that a double stands for."""
    return repr(shortest(float(text)))


def literal(column: Column, value: str) -> str:
    """A text in the neutral form as a value that is compared with the column."""
    name = native_of(column.native)[0]
    if name == "bit" and value in ("true", "false"):
        return "1" if value == "true" else "0"
    if name in _NUMBERS:
        return value if _is_number(value) else _quoted(value)
    if name in BYTES:
        return f"x'{bytes.fromhex(value.removeprefix(chr(92) + 'x')).hex()}'"
    return _quoted(value.removesuffix("+00") if name == "timestamp" else value)


def collated(column: Column, value: str) -> str:
    """The same as the column itself would hold it: its collation decides when two such values are compared."""
    made = literal(column, value)
    if not column.collation:
        return f"CAST({made} AS {_CASTS[name]})" if (name := native_of(column.native)[0]) in _CASTS else made
    return f"CONVERT({made} USING {column.collation.partition('_')[0]}) COLLATE {column.collation}"


_CASTS = {"date": "DATE", "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)", "time": "TIME(6)"}


def within(columns: Sequence[Column], alias: str, part: Range) -> str:
    """Whether a row's key is in the range, in the form that is looked up in an index."""
    conditions = []
    if part.lower is not None:
        conditions.append(_beyond(columns, alias, part.lower))
    if part.upper is not None:
        conditions.append(f"NOT ({_beyond(columns, alias, part.upper)})" if len(columns) > 1 else "")
        conditions[-1] = conditions[-1] or f"{_name(columns[0], alias)} < {literal(columns[0], part.upper[0])}"
        if len(columns) > 1:
            conditions.append(f"{_name(columns[0], alias)} <= {literal(columns[0], part.upper[0])}")
    return " AND ".join(conditions) or "true"


def _beyond(columns: Sequence[Column], alias: str, edge: Sequence[str]) -> str:
    """(a, b) >= (x, y), as a >= x AND (a > x OR b >= y): row comparisons do not use an index."""
    name, value = _name(columns[0], alias), literal(columns[0], edge[0])
    if len(columns) == 1:
        return f"{name} >= {value}"
    return f"({name} >= {value} AND ({name} > {value} OR {_beyond(columns[1:], alias, edge[1:])}))"


def among(columns: Sequence[Column], alias: str, keys: Collection[Sequence[str]]) -> str:
    """Whether a row's key is one of these by the columns' collations: whoever wants the very same texts looks again."""
    if len(columns) == 1:
        values = ", ".join(literal(columns[0], key[0]) for key in keys)
        return f"{_name(columns[0], alias)} IN ({values})"
    return " OR ".join(f"({_equal(columns, alias, key)})" for key in keys)


def _equal(columns: Sequence[Column], alias: str, key: Sequence[str]) -> str:
    return " AND ".join(f"{_name(c, alias)} = {literal(c, value)}" for c, value in zip(columns, key, strict=True))


def _name(column: Column, alias: str) -> str:
    return f"{alias}.{quote(column.name)}"


def _is_number(value: str) -> bool:
    return value.removeprefix("-").replace(".", "", 1).isdigit()


def _quoted(value: str) -> str:
    return f"'{escape_string(value)}'"
