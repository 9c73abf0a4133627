"""Which MariaDB types travel exactly through Debezium, and as what. Pure.

What is said of Debezium here was seen with its MariaDB connector 3.5.0 (tests/conformance/test_source.py,
docs/decisions/0011-mariadb-source.md). Values that it writes like others are in doubt: their rows are read again.
"""

from __future__ import annotations

from collections.abc import Collection

from connectors.mariadb.general_types import BYTES, TEXTS, native_of
from connectors.wire import Doubt, Form, Wire, WireColumn
from mappers.errors import ConfigError, Problem
from mappers.mapping import Column, Table

_KINDS: dict[str, Wire] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), Wire.INT),
    **dict.fromkeys(("float", "double"), Wire.FLOAT),
    **dict.fromkeys(("decimal", "char", "varchar", *TEXTS, "enum", "set", "json", "uuid", "timestamp"), Wire.TEXT),
    **dict.fromkeys(BYTES, Wire.BYTES),
    "date": Wire.DATE,
    "time": Wire.TIME,
    "datetime": Wire.TIMESTAMP,
}
_SHAPE = "Debezium sends geometry of its own instead of the value"
_UNREADABLE = "Debezium cannot parse a table with such a column"
_WKB = "longblob (ST_AsBinary)"
REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("inet4", "inet6"), (_UNREADABLE, "varchar(45) or binary(16)")),
    **dict.fromkeys(
        ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
         "geometrycollection"),
        (_SHAPE, _WKB),
    ),
    "vector": ("Debezium's MariaDB connector does not know it", "varbinary"),
}  # fmt: skip
"""Type -> (why it does not travel exactly, what to use instead)."""
UNPARSED = ("inet4", "inet6", "vector")
"""Types at which the connector stops, also where the column is not mapped: it cannot read the table's definition."""

CHARSETS = frozenset(("utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32"))
"""Character sets of which every text travels exactly."""
REPLACING = frozenset(
    ("ascii", "latin1", "latin2", "cp850", "cp852", "cp1250", "cp1251", "cp1257", "koi8r", "latin5", "latin7",
     "gb2312")
)  # fmt: skip
"""Those of which a character either travels exactly or arrives as U+FFFD: such a row is read again."""
_ESCAPED = frozenset("\\,")
"""Characters of an enum's label that Debezium writes otherwise, as it does with control characters."""
_COMPRESSED = "Debezium's reader of the binlog does not know compressed columns"


def wire_columns(
    table: Table, wanted: Collection[str], path: tuple[str | int, ...] = ("tables",), *, zero_dates: bool = False
) -> tuple[WireColumn, ...]:
    """The wanted columns, in table order, as they travel. Raises ConfigError with a problem for each that cannot.

    path: leads to the table's entry in the configuration. zero_dates: the server's sql_mode lets 0000-00-00 in, which
    travels as NULL.
    """
    made: list[WireColumn] = []
    problems = [
        Problem((*path, name), f"{table.full_name} has no column {name}", "correct the name")
        for name in sorted(set(wanted) - {column.name for column in table.columns})
    ]
    for column in table.columns:
        if column.name not in wanted:
            continue
        found = _wire(column, zero_dates)
        if isinstance(found, WireColumn):
            made.append(found)
        else:
            problems.append(_refusal(table, column, *found, path))
    if problems:
        raise ConfigError(problems)
    return tuple(made)


def _wire(column: Column, zero_dates: bool) -> WireColumn | tuple[str, str]:
    """The column as it travels, or (why it cannot, what type to use instead)."""
    if refusal := refused(column):
        return refusal
    name, numbers, unsigned = native_of(column.native)
    kind, form = _kind(name, numbers, unsigned)
    doubt = _doubt(column, name, zero_dates)
    return WireColumn(column.name, column.type, kind, nullable=column.nullable, form=form, doubt=doubt)


def refused(column: Column) -> tuple[str, str] | None:
    """(why the column's values do not travel exactly, what type to use instead), or None where they do."""
    name, numbers, _ = native_of(column.native)
    if "M!100301 COMPRESSED" in column.native:
        return _COMPRESSED, f"{name} without COMPRESSED"
    if name in ("float", "double") and len(numbers) == 2:
        return "its digits are cut on the way in, and Debezium sends those of another type", f"{name} or decimal"
    if name == "year" and numbers == (2,):
        return "its century is guessed", "year"
    if name == "enum" and (bad := [label for label in column.labels if _altered(label)]):
        return f"Debezium alters the label {bad[0]!r}", "varchar, or other labels"
    charset = _charset(column, name)
    if charset and charset not in CHARSETS | REPLACING:
        return f"texts in {charset} are other ones in Java", f"{name} CHARACTER SET utf8mb4"
    if name in _KINDS or name == "bit":
        return None
    return REFUSED.get(name, ("Debezium has no exact form for this type", "text"))


def _kind(name: str, numbers: tuple[int, ...], unsigned: bool) -> tuple[Wire, Form]:
    if name == "bit":
        width = (numbers or (1,))[0]
        if width == 1:
            return Wire.BOOL, Form.PLAIN
        return (Wire.INT if width < 64 else Wire.TEXT), Form.BITS
    if name == "bigint" and unsigned:
        return Wire.TEXT, Form.WRAPPED
    return _KINDS[name], {"year": Form.YEAR, "float": Form.SINGLE, "time": Form.SPAN}.get(name, Form.PLAIN)


def _doubt(column: Column, name: str, zero_dates: bool) -> Doubt:
    if name in ("date", "datetime"):
        return Doubt.NULL if zero_dates and column.nullable else Doubt.EPOCH
    if name == "timestamp":
        return Doubt.EPOCH
    if name == "uuid":
        return Doubt.SHIFTED
    return Doubt.REPLACED if _charset(column, name) in REPLACING else Doubt.NONE


def _charset(column: Column, name: str) -> str:
    """The character set that a text is kept in; labels are those of the table's definition, which is UTF-8."""
    return "" if name in ("enum", "set", "json") else column.collation.partition("_")[0]


def _altered(label: str) -> bool:
    return any(char in _ESCAPED or char < " " for char in label)


def _refusal(table: Table, column: Column, reason: str, instead: str, path: tuple[str | int, ...]) -> Problem:
    what = f"{table.full_name}.{column.name}: {column.native} cannot be followed exactly: {reason}"
    return Problem((*path, column.name), what, f"change its type at the source to {instead}, or leave the column out")
