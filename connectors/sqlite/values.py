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
from datetime import date
from decimal import Decimal
from math import isnan
from typing import Any

from connectors.arrays import elements
from connectors.calendar import DAY_US, EPOCH_ORDINAL, day_text, days_of, moment_text, time_text
from connectors.wire import INFINITY_US, Wire, WireColumn

Convert = Callable[[Any], Any]
STAGED = {Wire.INT: "INTEGER", Wire.FLOAT: "REAL", Wire.BOOL: "INTEGER", Wire.BYTES: "BLOB"}
"""Wire kind -> the storage class; all others are TEXT."""
BIG_UNSIGNED = re.compile(r"bigint.*unsigned|bigint.*zerofill|serial$")
_NUMERIC = re.compile(r"(?:numeric|decimal|dec|fixed)\b(?:\((\d+)(?:,\s*(-?\d+))?\))?")
_SINGLE = re.compile(r"(?:real|float4|float)\b")
_ZONED = re.compile(r"timestamp\b(?!.*without time zone)")
_PADDED = re.compile(r"character(?! varying)\b|bpchar\b")
_MOMENT = re.compile(
    r"(\d{4,})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)( BC)?"
)
_INFINITE = ("infinity", "-infinity")


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


def _date(days: int) -> str:
    if abs(days) >= INFINITY_US:
        return _INFINITE[days < 0]
    return date.fromordinal(days + EPOCH_ORDINAL).isoformat() if -719_162 <= days <= 2_932_896 else day_text(days)


def _timestamp(micros: int) -> str:
    if abs(micros) >= INFINITY_US:
        return _INFINITE[micros < 0]
    return moment_text(*divmod(micros, DAY_US))


def _plain_timestamp(text: str) -> str:
    """A fraction of six digits, always; the era stays at the end."""
    if text in _INFINITE:
        return text
    plain, era, _ = text.partition(" BC")
    day, _, clock = plain.partition(" ")
    if not clock:
        raise ValueError
    return f"{day} {_clock(clock)}{era}"


def _clock(text: str) -> str:
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:6]:0<6}"


def _normal(type_name: str) -> Convert | None:
    """What makes one form of a text type's several; None where there is one alone."""
    if found := _NUMERIC.match(type_name):
        scale = int(found[2] or 0) if found[1] else None
        return lambda text: decimal_text(text, scale)
    if _ZONED.match(type_name):
        return zoned_text
    if _PADDED.match(type_name):
        return lambda text: text.rstrip(" ")
    return {"tstzrange": _range, "inet": _host}.get(type_name)


def decimal_text(text: str, scale: int | None) -> str:
    """A plain decimal number: of the type's digits after the point, or of none to spare where the type has no scale."""
    if text[-1:] in "Nny":  # NaN, Infinity
        return text
    if "e" in text or "E" in text:
        text = format(Decimal(text), "f")
    whole, _, fraction = text.partition(".")
    if not (whole.removeprefix("-") + fraction).isdigit():
        raise ValueError
    fraction = fraction.rstrip("0").ljust(max(scale or 0, 0), "0")
    return f"{whole}.{fraction}" if fraction else whole


def zoned_text(text: str) -> str:
    """A moment in UTC: YYYY-MM-DD HH:MM:SS.ffffffZ, of the stream's ISO 8601 form and of PostgreSQL's."""
    body = text[:-3] if text[-3:] == "+00" else text[:-1] if text[-1:] == "Z" else ""
    if len(body) >= 19 and body[4] == "-" and body[10] in " T" and body[16] == ":":
        return f"{body[:10]} {_clock(body[11:])}Z"
    if text in _INFINITE:
        return text
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError
    year, month, day, hour, minute, second, fraction, zone, era = found.groups("")
    if zone in ("Z", "+00", "+00:00", "-00", "+0000"):
        return f"{year}-{month}-{day} {hour}:{minute}:{second or '00'}.{fraction[:6]:0<6}Z{era}"
    days = days_of(1 - int(year) if era else int(year), int(month), int(day))
    micros = (int(hour) * 3600 + int(minute) * 60 + int(second or 0)) * 1_000_000 + int(f"{fraction[:6]:0<6}")
    plain = moment_text(*divmod(days * DAY_US + micros - _offset_us(zone), DAY_US))
    return f"{plain[:-3]}Z BC" if plain.endswith(" BC") else f"{plain}Z"


def _offset_us(zone: str) -> int:
    digits = zone[1:].replace(":", "").ljust(6, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])
    return (-seconds if zone[0] == "-" else seconds) * 1_000_000


def _range(text: str) -> str:
    """The bounds in UTC: their text is in whatever time zone the session had."""
    return _MOMENT.sub(lambda found: zoned_text(found[0]), text)


def _host(text: str) -> str:
    """An address alone, without the mask of all its bits: PostgreSQL's cast to text writes it, its output does not."""
    return text.removesuffix("/128") if ":" in text else text.removesuffix("/32")


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
    Wire.DATE: _date,
    Wire.TIME: time_text,
    Wire.TIMESTAMP: _timestamp,
}
_FROM_TEXT: dict[Wire, Convert] = {
    Wire.BOOL: _flag,
    Wire.BYTES: _bytes,
    Wire.TIME: _clock,
    Wire.TIMESTAMP: _plain_timestamp,
}
