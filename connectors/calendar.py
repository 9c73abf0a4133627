"""Days and clocks as text, in all of PostgreSQL's range: years beyond 9999, and years before Christ. Pure."""

from __future__ import annotations

DAY_US = 86_400_000_000
EPOCH_ORDINAL = 719_163
"""1970-01-01 as Python counts days."""
_ERA_DAYS = 146_097
"""Days of 400 years."""


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Gregorian calendar, extended to all years; the year before 1 is 0."""
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA_DAYS + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """(year, month, day): what `days_of` takes."""
    era, day_of_era = divmod(days + 719_468, _ERA_DAYS)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return era * 400 + year + (month <= 2), month, day


def day_text(days: int) -> str:
    """YYYY-MM-DD, with BC behind it for years before 1, as PostgreSQL writes it."""
    year, month, day = date_of(days)
    return f"{year:04d}-{month:02d}-{day:02d}" if year > 0 else f"{1 - year:04d}-{month:02d}-{day:02d} BC"


def time_text(micros: int) -> str:
    """HH:MM:SS.ffffff of microseconds; 24:00:00 and more, and a sign, where a clock shows them."""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    return f"{'-' if micros < 0 else ''}{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{fraction:06d}"


def moment_text(days: int, micros: int) -> str:
    """YYYY-MM-DD HH:MM:SS.ffffff of days since 1970-01-01 and microseconds of the day; BC behind it."""
    day, era, _ = day_text(days).partition(" BC")
    return f"{day} {time_text(micros)}{era}"
