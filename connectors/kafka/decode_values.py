"""Values of Debezium's events as neutral values: one at a time with all checks, and types for the fast way. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from enum import IntEnum
from types import GenericAlias
from typing import Any

from connectors.floats import shortest
from connectors.wire import INFINITY_US, Form, Wire, WireColumn

Reader = Callable[[Any], object]
"""Makes a neutral value of a JSON value other than null. Raises Unfit."""

FIRST_DAY, LAST_DAY = -2_440_588, 2_145_042_905
"""PostgreSQL's first and last date, in days since 1970."""
INFINITE_DAYS = {2_146_033_979: INFINITY_US, -2_147_472_691: -INFINITY_US, -2_147_472_692: INFINITY_US}
"""What Debezium writes for infinite dates; the last one is 'infinity' of versions before 3.7."""
PAST, FUTURE = -9_223_372_036_832_400_000, 9_223_372_036_825_200_000
"""Microseconds at and beyond which Debezium means an infinite timestamp, also where it counts in milliseconds."""
DAY_US = 86_400_000_000
NUMBERS = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}
FLOATS = ("NaN", "Infinity", "-Infinity")
_NUMERIC = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_YEAR = re.compile(r"([-+]?)(\d{4,})(-\d\d-\d\d)T([\d:.]+)Z")


BOUNDS = {Wire.DATE: (FIRST_DAY - 1, LAST_DAY + 1), Wire.TIMESTAMP: (PAST, FUTURE), Wire.TIME: (-1, DAY_US + 1)}
"""Between these a value of days or microseconds is what it says."""
_FAST: dict[Wire, Any] = {
    **dict.fromkeys((Wire.INT, Wire.DATE, Wire.TIME, Wire.TIMESTAMP), int),
    Wire.FLOAT: float,
    Wire.BOOL: bool,
    Wire.TEXT: str,
    Wire.BYTES: bytes,
    Wire.ARRAY: list[Any],
}


_FORMED: dict[Form, Any] = {Form.WRAPPED: int, Form.BITS: bytes}
"""What values in forms of their own are decoded to, where that is not their kind's."""


class Unfit(Exception):
    """Something in an event is not as it must be; becomes a RecordError where topic and offset are known."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Unit(IntEnum):
    """What times and timestamps are counted in: how many of them make a millisecond."""

    MILLIS = 1
    MICROS = 1_000
    NANOS = 1_000_000


def is_numeric(column: WireColumn) -> bool:
    """Whether the column is numeric, whose special values have names of their own."""
    return column.kind is Wire.TEXT and column.type.startswith("numeric")


def is_numeric_array(column: WireColumn) -> bool:
    """Whether the column is an array of numeric."""
    return column.kind is Wire.ARRAY and column.type.startswith("numeric")


def is_zoned(column: WireColumn) -> bool:
    """Whether the column is timestamp with time zone, whose years can be such as PostgreSQL does not read."""
    return column.kind is Wire.TEXT and column.type.startswith("timestamp")


def fast_type(column: WireColumn) -> Any:
    """The type that msgspec decodes the usual values of a column to; unusual ones fail it and are read with care."""
    plain: Any = _FORMED.get(column.form) or _FAST[column.kind]
    if column.kind is Wire.ARRAY and column.element is not None:
        plain = GenericAlias(list, _FAST[column.element] | None)
    return plain | None


def _span(unit: Unit | None) -> int:
    return DAY_US * (unit or Unit.MICROS) // 1_000


def reader(column: WireColumn, unit: Unit | None) -> Reader:
    """The careful reader of a column's values."""
    if column.form:
        return _formed(column, unit or Unit.MICROS)
    if column.kind is Wire.ARRAY:
        element = _number if is_numeric_array(column) else _READERS[column.element or Wire.TEXT]
        return lambda value: _array(value, element)
    if column.kind in (Wire.TIME, Wire.TIMESTAMP):
        read = _time if column.kind is Wire.TIME else _timestamp
        return lambda value: read(value, unit or Unit.MICROS)
    if is_numeric(column):
        return _number
    return _zoned if is_zoned(column) else _READERS[column.kind]


def _formed(column: WireColumn, unit: Unit) -> Reader:
    """Reads a value that travels in a form of its own."""
    text = column.kind is Wire.TEXT
    readers: dict[Form, Reader] = {
        Form.WRAPPED: _unwrapped,
        Form.BITS: lambda value: str(_bits(value)) if text else _bits(value),
        Form.YEAR: lambda value: 0 if _READERS[Wire.INT](value) == _YEAR_ZERO else value,
        Form.SINGLE: lambda value: shortest(_float(value)),
        Form.SPAN: lambda value: _span_of(value, unit),
    }
    return readers[column.form]


_YEAR_ZERO = 1900
"""What MariaDB's year 0000 arrives as; it is no year of that type itself."""


def _unwrapped(value: int) -> str:
    _expect(value, int)
    return str(value % (1 << 64))


def _bits(value: object) -> int:
    return int.from_bytes(_bytes(value), "little")


def _span_of(value: int, unit: Unit) -> int:
    _expect(value, int)
    return value * 1_000 // unit


def _expect(value: object, *types: type) -> None:
    if type(value) not in types:
        wanted = " or ".join(_JSON[kind] for kind in types)
        raise Unfit(f"{wanted} is expected, {_JSON.get(type(value), 'something else')} arrived")


_JSON: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _plain(kind: type) -> Reader:
    def read(value: object) -> object:
        _expect(value, kind)
        return value

    return read


def _float(value: object) -> float:
    if isinstance(value, str) and value in FLOATS:
        return float(value)
    _expect(value, float, int)
    return float(value)  # type: ignore[arg-type]


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):  # Avro has them
        return value
    _expect(value, str)
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("base64 is expected", "set binary.handling.mode=bytes on the connector") from None


def _date(value: int) -> int:
    _expect(value, int)
    if FIRST_DAY <= value <= LAST_DAY:
        return value
    if value not in INFINITE_DAYS:
        raise Unfit("the date is outside PostgreSQL's range")
    return INFINITE_DAYS[value]


def _time(value: int, unit: Unit) -> int:
    _expect(value, int)
    if not 0 <= value <= _span(unit):
        raise Unfit("the time of day is not between 00:00 and 24:00")
    return value * 1_000 // unit


def _timestamp(value: int, unit: Unit) -> int:
    _expect(value, int)
    micros = value * 1_000 // unit
    if micros >= FUTURE:
        return INFINITY_US
    return -INFINITY_US if micros <= PAST else micros


def _number(value: str) -> str:
    if type(value) is not str or not (value in NUMBERS or _NUMERIC.fullmatch(value)):
        raise Unfit("a number as text is expected", "set decimal.handling.mode=string on the connector")
    return NUMBERS.get(value, value)


def _zoned(value: str) -> str:
    """PostgreSQL reads no year with a sign and none below 1: those are written in its own way."""
    _expect(value, str)
    if value >= "0001" or value == "-infinity":
        return value
    found = _YEAR.fullmatch(value)
    if found is None:
        raise Unfit("an ISO 8601 timestamp in UTC is expected")
    sign, year, day, time = found.groups()
    era = "" if sign == "+" else " BC"
    number = int(year) if sign == "+" else int(year) + 1
    return f"{number:04d}{day} {time}+00{era}"


def _array(value: object, element: Reader) -> list[object]:
    _expect(value, list)
    made = [None if item is None else element(item) for item in value]  # type: ignore[attr-defined]
    if any(isinstance(item, str) and item.startswith("[Ljava.") for item in made):
        raise Unfit(
            "the array has more than one dimension, and Debezium cannot carry that",
            "leave the column out, or store such arrays as jsonb",
        )
    return made


_READERS: dict[Wire, Reader] = {
    Wire.INT: _plain(int),
    Wire.FLOAT: _float,
    Wire.BOOL: _plain(bool),
    Wire.TEXT: _plain(str),
    Wire.BYTES: _bytes,
    Wire.DATE: _date,
}
