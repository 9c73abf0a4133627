"""What SQLite stores for a source's values, made of the stream's neutral form and of the source's text: the same. Pure.

Integers, floats, flags and bytes go into SQLite's own classes; everything else is text in one fixed form, which sorts
where that is possible (docs/targets.md). What has no form, as NaN, is staged as it came, in another class than the
column's, and refused when it is read from there.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from math import isnan
from typing import Any

from connectors.arrays import elements
from connectors.calendar import time_text
from connectors.sqlite.texts import (
    date_text,
    decimal_text,
    host_text,
    range_text,
    timestamp_text,
    whole_clock,
    whole_timestamp,
    zoned_text,
)
from connectors.wire import Wire, WireColumn

Convert = Callable[[Any], Any]
STAGED = {Wire.INT: "INTEGER", Wire.FLOAT: "REAL", Wire.BOOL: "INTEGER", Wire.BYTES: "BLOB"}
"""Wire kind -> the storage class; all others are TEXT."""
BIG_UNSIGNED = re.compile(r"bigint.*unsigned|bigint.*zerofill|serial$")
_NUMERIC = re.compile(r"(?:numeric|decimal|dec|fixed)\b(?:\((\d+)(?:,\s*(-?\d+))?\))?")
_SINGLE = re.compile(r"(?:real|float4|float)\b")
_ZONED = re.compile(r"timestamp\b(?!.*without time zone)")
_PADDED = re.compile(r"character(?! varying)\b|bpchar\b")


def staged_type(column: WireColumn) -> str:
    """The storage class of a column's values."""
    return "TEXT" if _too_big(column) else STAGED.get(column.kind, "TEXT")


def decimal_digits(type_name: str) -> str | None:
    """DECIMAL(p,s) of a source's numeric type that says how many digits it has."""
    found = _NUMERIC.match(type_name)
    return f"DECIMAL({found[1]},{found[2] or 0})" if found and found[1] and not type_name.endswith("[]") else None


def from_wire(column: WireColumn) -> Convert | None:
    """Makes what is staged of the stream's neutral value; None where that is the value itself."""
    return _guarded(column, _of_wire(column))


def _of_wire(column: WireColumn) -> Convert | None:
    if column.kind is Wire.INT and _too_big(column):
        return str
    if column.kind is Wire.FLOAT:
        return _single if _SINGLE.match(column.type) else _double
    if column.kind is Wire.ARRAY:
        convert = _element(column)
        return lambda value: _json([None if item is None else convert(item) for item in value])
    return _FROM_WIRE.get(column.kind) or (_normal(column.type) if column.kind is Wire.TEXT else None)


def from_text(column: WireColumn) -> Convert | None:
    """Makes the same of the source's text; None where it is the text itself."""
    return _guarded(column, _of_text(column))


def storage(column: WireColumn) -> str:
    """typeof() of what is staged, where it is not NULL; of what has no form it is another."""
    return staged_type(column).lower()


def _guarded(column: WireColumn, convert: Convert | None) -> Convert | None:
    """What it cannot convert stays as it came, as text; as bytes, where the column is text."""
    if convert is None:
        return None
    text = storage(column) == "text"

    def made(value: Any) -> Any:
        try:
            return convert(value)
        except (ValueError, ArithmeticError):
            return str(value).encode() if text else str(value)

    return made


def _of_text(column: WireColumn) -> Convert | None:
    if column.kind is Wire.INT:
        return (lambda text: str(int(text))) if _too_big(column) else _integer
    if column.kind is Wire.FLOAT:
        number = _single if _SINGLE.match(column.type) else _double
        return lambda text: number(float(text))
    if column.kind is Wire.ARRAY:
        convert = _text_element(column)
        return lambda text: _json(elements(text, convert))
    return _FROM_TEXT.get(column.kind) or (_normal(column.type) if column.kind is Wire.TEXT else None)


def _too_big(column: WireColumn) -> bool:
    return column.kind is Wire.INT and BIG_UNSIGNED.match(column.type) is not None


def _integer(text: str) -> int:
    value = int(text)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError
    return value


def _double(value: float) -> float | str:
    """NaN has no form in SQLite; the zero that is negative is stored as the other one."""
    return "NaN" if isnan(value) else value + 0.0


def _single(value: float) -> float | str:
    """The value that 32 bits hold, whatever digits it was written with."""
    if isnan(value):
        return "NaN"
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found + 0.0


def _flag(text: str) -> int:
    if text in ("true", "t", "1"):
        return 1
    if text in ("false", "f", "0"):
        return 0
    raise ValueError


def _bytes(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError
    return bytes.fromhex(text[2:])


def _normal(type_name: str) -> Convert | None:
    """What makes one form of a text type's several; None where there is one alone."""
    if found := _NUMERIC.match(type_name):
        scale = int(found[2] or 0) if found[1] else None
        return lambda text: decimal_text(text, scale)
    if _ZONED.match(type_name):
        return zoned_text
    if _PADDED.match(type_name):
        return lambda text: text.rstrip(" ")
    return {"tstzrange": range_text, "inet": host_text}.get(type_name)


def _json(values: object) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _element(column: WireColumn) -> Convert:
    """Makes an element of a JSON array of an element of the stream's."""
    kind = column.type.removesuffix("[]")
    if column.element is Wire.FLOAT:
        number = _single if _SINGLE.match(kind) else _double
        return lambda value: _finite(number(value))
    return (_normal(kind) if column.element is Wire.TEXT else None) or _same


def _text_element(column: WireColumn) -> Convert:
    """The same of an element's text."""
    convert = _element(column)
    if column.element is Wire.INT:
        return int
    if column.element is Wire.BOOL:
        return lambda text: bool(_flag(text))
    return (lambda text: convert(float(text))) if column.element is Wire.FLOAT else convert


def _finite(value: float | str) -> float | str:
    """JSON has no infinite numbers: they are texts there."""
    if isinstance(value, float) and abs(value) == float("inf"):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _same(value: Any) -> Any:
    return value


_FROM_WIRE: dict[Wire, Convert] = {
    Wire.BOOL: int,
    Wire.DATE: date_text,
    Wire.TIME: time_text,
    Wire.TIMESTAMP: timestamp_text,
}
_FROM_TEXT: dict[Wire, Convert] = {
    Wire.BOOL: _flag,
    Wire.BYTES: _bytes,
    Wire.TIME: whole_clock,
    Wire.TIMESTAMP: whole_timestamp,
}
