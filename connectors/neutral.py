"""A source value as the mapping's functions see it, whichever way it came; and what they give, as it is staged. Pure.

Neutral are int, float, bool, bytes, and a list for an array; everything else is the source's own text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

from connectors.wire import INFINITY_US, Wire, WireColumn

EPOCH = datetime(1970, 1, 1)
Convert = Callable[[object], object]
MADE = {"bigint": Wire.INT, "double precision": Wire.FLOAT, "boolean": Wire.BOOL, "bytea": Wire.BYTES}
"""Type of a computed column (`mappers.rows.OUTPUTS`) -> its wire kind, where it is not TEXT."""


def from_wire(column: WireColumn) -> Convert:
    """From a value of the stream."""
    if column.kind is Wire.DATE:
        return _date
    if column.kind is Wire.TIME:
        return lambda value: _clock(int(str(value)))
    if column.kind is Wire.TIMESTAMP:
        return _timestamp
    if column.kind is Wire.TEXT and column.type.endswith("with time zone"):
        return _instant
    return lambda value: value


def from_text(column: WireColumn) -> Convert:
    """From the source's own text."""
    if column.kind is Wire.ARRAY:
        return lambda value: list(_array(str(value), column.element))
    return _reader(column.kind)


def to_text(value: object) -> str | None:
    """What a function gives, in text form."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return repr(value) if isinstance(value, float) else str(value)


def made_column(name: str, kind: str, nullable: bool) -> WireColumn:
    """A computed column as it is staged."""
    return WireColumn(name, kind, MADE.get(kind, Wire.TEXT), nullable=nullable)


def _reader(kind: Wire | None) -> Convert:
    if kind is Wire.INT:
        return lambda value: int(str(value))
    if kind is Wire.FLOAT:
        return lambda value: float(str(value))
    if kind is Wire.BOOL:
        return lambda value: value in ("true", "t")
    if kind is Wire.BYTES:
        return lambda value: bytes.fromhex(str(value)[2:])
    return lambda value: value


def _date(value: object) -> str:
    days = int(str(value))
    if abs(days) >= INFINITY_US:
        return "infinity" if days > 0 else "-infinity"
    return _years(days, lambda number: (date(1970, 1, 1) + timedelta(days=number)).isoformat())


def _timestamp(value: object) -> str:
    micros = int(str(value))
    if abs(micros) >= INFINITY_US:
        return "infinity" if micros > 0 else "-infinity"
    days, rest = divmod(micros, 86_400_000_000)
    text = _date(days)
    clock = _clock(rest)
    return f"{text[:-3]} {clock} BC" if text.endswith(" BC") else f"{text} {clock}"


CYCLE_DAYS, CYCLE_YEARS = 146_097, 400
"""The calendar repeats itself: what lies beyond Python's years is read as many cycles away."""


def _years(days: int, within: Callable[[int], str]) -> str:
    """A date's text for any year, as PostgreSQL writes it: 10000-01-01, 0044-03-15 BC."""
    cycles = 0
    while not -719_162 <= days - cycles * CYCLE_DAYS <= 2_932_896:
        cycles += 1 if days > 0 else -1
    text = within(days - cycles * CYCLE_DAYS)
    year = int(text[:4]) + cycles * CYCLE_YEARS
    return f"{year:04d}{text[4:]}" if year > 0 else f"{1 - year:04d}{text[4:]} BC"


def _clock(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{fraction:06d}".rstrip("0") if fraction else "")


def _instant(value: object) -> str:
    """Debezium's ISO 8601 in UTC, as PostgreSQL writes it; what is written so already stays."""
    text = str(value)
    if "T" not in text:
        return text
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:  # a year beyond Python's: infinity, or BC
        return text
    plain = moment.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    return plain + (f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else "") + "+00"


def _array(text: str, element: Wire | None) -> Iterator[object]:
    """The elements of PostgreSQL's text form of a one-dimensional array."""
    read, place, end = _reader(element), 1, len(text) - 1
    while place < end:
        quoted = text[place] == '"'
        part, place = _quoted(text, place + 1) if quoted else _bare(text, place, end)
        yield None if part == "NULL" and not quoted else read(part)
        place += 1  # the comma


def _quoted(text: str, place: int) -> tuple[str, int]:
    parts: list[str] = []
    while text[place] != '"':
        place += text[place] == "\\"
        parts.append(text[place])
        place += 1
    return "".join(parts), place + 1


def _bare(text: str, place: int, end: int) -> tuple[str, int]:
    stop = text.find(",", place, end)
    stop = end if stop < 0 else stop
    return text[place:stop], stop
