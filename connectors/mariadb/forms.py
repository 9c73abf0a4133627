"""What MariaDB's staging tables hold of a source's values, of the stream's and of its text alike. Pure.

Both shapes come to the same: integers and bytes in columns of their own kind, everything else as text that the server
reads (`value`). What it cannot read, as a date before Christ, stays as it came, and fails in the row that is written.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.arrays import elements
from connectors.calendar import DAY_US, EPOCH_ORDINAL, day_text, moment_text, time_text
from connectors.mariadb.types import Family, Type, read
from connectors.wire import INFINITY_US, Wire, WireColumn
from mappers.mapping import Column

Field = str | bytes
Convert = Callable[[Any], Field]

VARCHAR_MAX = 16_383
CHAR_MAX = 255
DIGITS_MAX, SCALE_MAX = 65, 38
TEXT = "longtext"
_INFINITE = ("infinity", "-infinity")
_EPOCH = datetime(1970, 1, 1)
_ZONED = re.compile(r"(\d{4,}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:Z|\+00|\+00:00)( BC)?")
_PADDED = re.compile(r"(?:character|char|bpchar)\b(?! varying)")
_SIZED = re.compile(
    r"(?P<name>numeric|character varying|character|timestamp(?=.* time zone)|time(?=.* time zone))"
    r"\((?P<first>\d+)(?:,\s*(?P<second>-?\d+))?\)(?: with(?:out)? time zone)?"
)
_PLAIN = {
    "boolean": "tinyint(1)", "smallint": "smallint", "integer": "int", "bigint": "bigint", "real": "float",
    "double precision": "double", "text": TEXT, "bytea": "longblob", "date": "date", "json": "json", "jsonb": "json",
    "time without time zone": "time(6)", "timestamp without time zone": "datetime(6)",
    "timestamp with time zone": "datetime(6)",
}  # fmt: skip
"""PostgreSQL's types without modifier -> the staged type."""
_SCALELESS = ("numeric", "character varying", "character")
"""Of these a value may be longer than any of MariaDB's own types by that name."""


def staged_type(column: WireColumn, source: Column, *, uuid: str) -> str:
    """The staged type of a source column, spelled as COLUMN_TYPE: the one that holds every value of it, else longtext.

    source: the column in the source's catalogue; a text with a collation is MariaDB's own. uuid: how the server keeps
    one.
    """
    if column.kind is Wire.ARRAY:
        return "json"
    if column.type == "uuid":
        return uuid
    if source.labels:
        return "enum({})".format(",".join("'" + label.replace("'", "''") + "'" for label in source.labels))
    sized = _SIZED.fullmatch(column.type)
    if column.type in _PLAIN and not source.collation:
        return _PLAIN[column.type]
    if sized is not None:
        return _sized(sized["name"], int(sized["first"]), int(sized["second"] or 0))
    known = source.collation or (read(column.type).family is not Family.SHAPE and column.type not in _SCALELESS)
    return column.type if known else TEXT


def _sized(name: str, first: int, second: int) -> str:
    """PostgreSQL's types with a modifier."""
    if name == "numeric":
        return _decimal(first, second)
    if name in ("timestamp", "time"):
        return f"{'datetime' if name == 'timestamp' else 'time'}({first})"
    if first > VARCHAR_MAX:
        return TEXT
    return f"char({first})" if name == "character" and first <= CHAR_MAX else f"varchar({first})"


def _decimal(precision: int, scale: int) -> str:
    """PostgreSQL's scale may be negative, or beyond the precision."""
    digits, places = max(precision - scale, 0) + max(scale, 0), max(scale, 0)
    return f"decimal({digits},{places})" if digits <= DIGITS_MAX and places <= SCALE_MAX else TEXT


def storage(column: WireColumn) -> str:
    """The type of the staging tables' column."""
    if column.kind is Wire.INT:
        return "bigint unsigned" if read(column.type).unsigned or column.type.startswith("bit") else "bigint"
    return "longblob" if column.kind is Wire.BYTES else TEXT


def value(stored: str, column: WireColumn, staged: str) -> str:
    """SQL: what is stored, as a value of the staged type. The strict modes make an error of a row that has none."""
    kind = read(staged)
    if column.kind is Wire.BOOL:
        return f"({stored} = 'true')"
    if column.kind is Wire.BYTES and kind.name == "bit":
        return f"CAST(CONV(HEX({stored}), 16, 10) AS UNSIGNED)"
    if column.kind in (Wire.INT, Wire.BYTES):
        return stored
    if column.kind is Wire.TEXT:
        stored = _plain(stored, column.type)
    cast = _casts(kind)
    return f"CAST({stored} AS {cast})" if cast else stored


def _plain(stored: str, type_name: str) -> str:
    """SQL: the text without what says nothing: UTC's offset, a char's padding, a host's mask, zeros of any scale."""
    if type_name.startswith("timestamp"):
        return f"IF({stored} LIKE '%+00', LEFT({stored}, CHAR_LENGTH({stored}) - 3), {stored})"
    if _PADDED.match(type_name):
        return f"TRIM(TRAILING ' ' FROM {stored})"
    if type_name == "inet":
        return f"TRIM(TRAILING IF(LOCATE(':', {stored}) > 0, '/128', '/32') FROM {stored})"
    if type_name == "numeric":
        trimmed = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {stored}))"
        return f"IF(LOCATE('.', {stored}) > 0, {trimmed}, {stored})"
    return stored


def _casts(kind: Type) -> str:
    match kind.family:
        case Family.DECIMAL:
            return f"DECIMAL{kind.digits}"
        case Family.FLOAT | Family.DOUBLE | Family.DATE | Family.UUID | Family.ADDRESS:
            return kind.name.upper()
        case Family.TIME:
            return f"TIME({kind.fraction})"
        case Family.MOMENT:
            return f"DATETIME({kind.fraction})"
        case Family.INTEGER:
            return "UNSIGNED" if kind.unsigned or kind.name in ("bit", "year") else "SIGNED"
    return ""


def from_wire(column: WireColumn) -> Convert | None:
    """Makes the field to stage of the stream's neutral value; None where that is a text to be staged as it is."""
    if column.kind is Wire.ARRAY:
        convert = _element(column)
        return lambda items: _json([None if item is None else convert(item) for item in items])
    if is_single(column):
        return lambda number: _single(repr(number))
    found = _FROM_WIRE.get(column.kind)
    if column.kind is Wire.TEXT and column.type.startswith(("numeric", "decimal")):
        return plain_decimal
    return _zoned if column.kind is Wire.TEXT and column.type.startswith("timestamp") else found


def from_text(column: WireColumn) -> Convert | None:
    """Makes the same of the source's text."""
    if column.kind is Wire.ARRAY:
        convert = _text_element(column)
        return lambda text: _json(elements(text, convert))
    if is_single(column):
        return _single
    return _bytes if column.kind is Wire.BYTES else None


def is_single(column: WireColumn) -> bool:
    """Whether it is a number of 32 bits."""
    return column.kind is Wire.FLOAT and column.type.startswith(("real", "float"))


def keeps_text(column: WireColumn) -> bool:
    """Whether the source's own text can be told from what is stored, of the text table."""
    return column.kind is not Wire.ARRAY and not is_single(column)


def text_of(stored: str, column: WireColumn) -> str:
    """SQL: the source's own text of what is stored, of the text table."""
    return rf"CONCAT('\\x', LOWER(HEX({stored})))" if column.kind is Wire.BYTES else f"CAST({stored} AS CHAR)"


def plain_decimal(text: str) -> str:
    """A decimal number without an exponent."""
    return format(Decimal(text), "f") if "E" in text or "e" in text else text


def _single(text: str) -> str:
    """All digits of a number of 32 bits, of those that tell it apart: the greatest of them read as one too great."""
    try:
        return repr(struct.unpack("f", struct.pack("f", float(text)))[0])
    except OverflowError:
        return text


def _zoned(text: str) -> str:
    """A moment in UTC as PostgreSQL writes it, but for the offset; anything else stays, and is refused."""
    found = _ZONED.fullmatch(text)
    return f"{found[1]} {found[2]}{found[3] or ''}" if found else text


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _date(days: int) -> str:
    if abs(days) >= INFINITY_US:
        return _INFINITE[days < 0]
    return date.fromordinal(days + EPOCH_ORDINAL).isoformat() if -719_162 <= days <= 2_932_896 else day_text(days)


def _timestamp(micros: int) -> str:
    if abs(micros) >= INFINITY_US:
        return _INFINITE[micros < 0]
    try:
        return str(_EPOCH + timedelta(microseconds=micros))
    except OverflowError:
        return moment_text(*divmod(micros, DAY_US))


def _json(values: object) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _element(column: WireColumn) -> Callable[[Any], Any]:
    """Makes an element of a JSON array of an element of the stream's. JSON has no infinite numbers: they are texts."""
    if column.element is Wire.FLOAT:
        return _finite
    return _trimmed if column.type == "numeric[]" else _same


def _text_element(column: WireColumn) -> Callable[[str], Any]:
    convert = _element(column)
    if column.element is Wire.INT:
        return int
    if column.element is Wire.BOOL:
        return lambda text: text in ("t", "true")
    return (lambda text: convert(float(text))) if column.element is Wire.FLOAT else convert


def _finite(item: float) -> float | str:
    return item if abs(item) < float("inf") else str(item).replace("inf", "Infinity").replace("nan", "NaN")


def _trimmed(text: str) -> str:
    text = plain_decimal(text)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _same(item: Any) -> Any:
    return item


_FROM_WIRE: dict[Wire, Convert] = {
    Wire.INT: str,
    Wire.FLOAT: repr,
    Wire.BOOL: lambda flag: "true" if flag else "false",
    Wire.BYTES: bytes,
    Wire.DATE: _date,
    Wire.TIME: time_text,
    Wire.TIMESTAMP: _timestamp,
}
