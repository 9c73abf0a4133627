"""The texts that SQLite keeps of dates, clocks, moments, decimals and addresses: one of each value. Pure."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from connectors.calendar import DAY_US, EPOCH_ORDINAL, day_text, days_of, moment_text
from connectors.wire import INFINITY_US

_MOMENT = re.compile(
    r"(\d{4,})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)( BC)?"
)
_INFINITE = ("infinity", "-infinity")
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""What Python's dates know."""


def date_text(days: int) -> str:
    """YYYY-MM-DD of days since 1970."""
    if abs(days) >= INFINITY_US:
        return _INFINITE[days < 0]
    return date.fromordinal(days + EPOCH_ORDINAL).isoformat() if _FIRST_DAY <= days <= _LAST_DAY else day_text(days)


def timestamp_text(micros: int) -> str:
    """YYYY-MM-DD HH:MM:SS.ffffff of microseconds since 1970."""
    if abs(micros) >= INFINITY_US:
        return _INFINITE[micros < 0]
    return moment_text(*divmod(micros, DAY_US))


def whole_timestamp(text: str) -> str:
    """A fraction of six digits, always; the era stays at the end."""
    if text in _INFINITE:
        return text
    plain, era, _ = text.partition(" BC")
    day, _, clock = plain.partition(" ")
    if not clock:
        raise ValueError
    return f"{day} {whole_clock(clock)}{era}"


def whole_clock(text: str) -> str:
    """HH:MM:SS.ffffff of a clock with any fraction, or none."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:6]:0<6}"


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
        return f"{body[:10]} {whole_clock(body[11:])}Z"
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


def range_text(text: str) -> str:
    """The bounds in UTC: their text is in whatever time zone the session had."""
    return _MOMENT.sub(lambda found: zoned_text(found[0]), text)


def host_text(text: str) -> str:
    """An address alone, without the mask of all its bits: PostgreSQL's cast to text writes it, its output does not."""
    return text.removesuffix("/128") if ":" in text else text.removesuffix("/32")
