"""MariaDB's column types in PostgreSQL's words, which mappings and targets are written in. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from mappers.mapping import Column, Table

_SPELLING = re.compile(r"(?P<name>[a-z0-9]+)\s*(?:\((?P<modifier>.*)\))?(?P<rest>[^)]*)", re.DOTALL)
Native = tuple[str, tuple[int, ...], bool]
"""(name, numbers in brackets, unsigned) of a type."""

_INTEGERS = {
    ("tinyint", False): "smallint",
    ("tinyint", True): "smallint",
    ("smallint", False): "smallint",
    ("smallint", True): "integer",
    ("mediumint", False): "integer",
    ("mediumint", True): "integer",
    ("int", False): "integer",
    ("int", True): "bigint",
    ("bigint", False): "bigint",
    ("bigint", True): "numeric(20,0)",
}
TEXTS = ("tinytext", "text", "mediumtext", "longtext")
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_CLOCKS = {"datetime": "timestamp{} without time zone", "timestamp": "timestamp{} with time zone"}
_PLAIN = {
    "float": "real",
    "double": "double precision",
    "date": "date",
    "year": "smallint",
    "json": "json",
    "uuid": "uuid",
    **dict.fromkeys((*TEXTS, "enum", "set"), "text"),
    **dict.fromkeys(BYTES, "bytea"),
}


def native_of(spelling: str) -> Native:
    """The parts of a type as COLUMN_TYPE spells it; labels of an enum are no numbers."""
    found = _SPELLING.match(spelling)
    if found is None:
        return spelling, (), False
    parts = (found["modifier"] or "").split(",")
    numbers = tuple(int(part) for part in parts) if all(part.strip().isdigit() for part in parts) else ()
    return found["name"], numbers, "unsigned" in found["rest"]


def general(spelling: str) -> str:
    """The type in PostgreSQL's words; the type itself where there is no word for it."""
    name, numbers, unsigned = native_of(spelling)
    if (name, unsigned) in _INTEGERS:
        return _INTEGERS[name, unsigned]
    if name in _SIZED:
        return _SIZED[name](numbers)
    return _PLAIN.get(name, spelling)


def _bits(numbers: tuple[int, ...]) -> str:
    width = (numbers or (1,))[0]
    if width == 1:
        return "boolean"
    return "bigint" if width < 64 else "numeric(20,0)"


def _clock(name: str) -> Callable[[tuple[int, ...]], str]:
    return lambda numbers: _CLOCKS[name].format(f"({(numbers or (0,))[0]})")


_SIZED: dict[str, Callable[[tuple[int, ...]], str]] = {
    "bit": _bits,
    "datetime": _clock("datetime"),
    "timestamp": _clock("timestamp"),
    "time": lambda numbers: f"time({(numbers or (0,))[0]}) without time zone",
    "decimal": lambda numbers: f"numeric({','.join(map(str, numbers or (10, 0)))})",
    # Trailing blanks of a char are none of the value, and so are not those of PostgreSQL's character either.
    "char": lambda numbers: f"character varying({max(1, (numbers or (1,))[0])})",
    "varchar": lambda numbers: f"character varying({max(1, (numbers or (1,))[0])})",
}


def spelled_type(native: str) -> str:
    """The type alone, without the character set that a catalogue's record may have behind it."""
    return native.partition(" character set ")[0]


def as_source(table: Table) -> Table:
    """The catalogue's table as a source says it. Whole rows are in the log, before and after each change."""
    columns = tuple(_column(column) for column in table.columns)
    return replace(table, columns=columns, replica_identity="f")


def _column(column: Column) -> Column:
    return replace(column, type=general(column.type), native=column.type)
