"""The forms in which SQLite keeps a source's values: one form of each value, whatever it was written as."""

from __future__ import annotations

import json
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.arrays import elements
from connectors.calendar import DAY_US, date_of, day_text, days_of, moment_text
from connectors.sqlite.functions import literal_of, numeric_of, text_of
from connectors.sqlite.texts import decimal_text, zoned_text
from connectors.sqlite.values import from_text, from_wire, storage
from connectors.wire import Wire, WireColumn

EPOCH = date(1970, 1, 1)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))


def column(kind: str, wire: Wire, element: Wire | None = None) -> WireColumn:
    return WireColumn("v", kind, wire, element)


def both(of: WireColumn, wire: Any, text: str) -> Any:
    """What is staged of both forms, which must be the same."""
    by_wire, by_text = from_wire(of), from_text(of)
    made = by_wire(wire) if by_wire else wire
    assert made == (by_text(text) if by_text else text)
    return made


@given(st.dates())
def test_days_are_pythons(day: date) -> None:
    days = (day - EPOCH).days
    assert date_of(days) == (day.year, day.month, day.day)
    assert both(column("date", Wire.DATE), days, day.isoformat()) == day_text(days) == day.isoformat()


@given(st.integers(-3_000_000, 2_200_000_000))
@example(-719_163)
def test_days_and_dates_are_one(days: int) -> None:
    assert days_of(*date_of(days)) == days
    after, before = date_of(days + 1), date_of(days)
    assert after > before


@given(MOMENTS)
def test_timestamps(moment: datetime) -> None:
    micros = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    printed = moment.isoformat(" ").rstrip("0") if moment.microsecond else moment.isoformat(" ")
    made = both(column("timestamp without time zone", Wire.TIMESTAMP), micros, printed)
    assert made == moment.strftime("%Y-%m-%d %H:%M:%S.%f").zfill(26) == moment_text(*divmod(micros, DAY_US))


@given(MOMENTS, st.integers(-15 * 60, 15 * 60))
def test_moments_are_utc(moment: datetime, minutes: int) -> None:
    """ISO 8601 as Debezium writes it, and PostgreSQL's text in any zone."""
    aware = moment.replace(tzinfo=UTC)
    expected = f"{moment.strftime('%Y-%m-%d %H:%M:%S.%f').zfill(26)}Z"
    assert zoned_text(moment.isoformat("T", "microseconds") + "Z") == expected
    assert zoned_text(moment.isoformat("T", "seconds") + "Z") == expected[:20] + "000000Z"
    assert zoned_text(moment.isoformat(" ") + "+00") == expected
    there = aware.astimezone(timezone(timedelta(minutes=minutes)))
    assert zoned_text(there.isoformat(" ")) == expected


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("0001-01-01 00:30:00+01", "0001-12-31 23:30:00.000000Z BC"),
        ("0001-12-31 23:30:00-01 BC", "0001-01-01 00:30:00.000000Z"),
        ("10000-01-01 00:00:00+00", "10000-01-01 00:00:00.000000Z"),
        ("1883-11-18 12:03:58-07:52:58", "1883-11-18 19:56:56.000000Z"),
        ("infinity", "infinity"),
    ],
)
def test_moments_at_the_edges(text: str, made: str) -> None:
    assert zoned_text(text) == made


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_decimals_have_one_text(number: Decimal) -> None:
    made = decimal_text(str(number), None)
    assert Decimal(made) == number
    assert "E" not in made
    assert decimal_text(f"{number:f}" + ("" if "." in f"{number:f}" else ".") + "000", None) == made
    fixed = decimal_text(format(number, "f"), 40)
    assert Decimal(fixed) == number
    assert len(fixed.partition(".")[2]) >= 40


@given(st.floats(allow_nan=False, width=32))
def test_a_real_is_the_number_that_its_bits_are(number: float) -> None:
    """However many digits it came with."""
    of = column("real", Wire.FLOAT)
    short = next(text for digits in range(1, 18) if _single(float(text := f"{number:.{digits}g}")) == number)
    assert both(of, float(short), repr(float(short))) == number


def _single(value: float) -> float:
    try:
        found: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("nan")
    return found


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8"))))
def test_arrays_of_text(values: list[str | None]) -> None:
    """The literal as PostgreSQL writes it, everything quoted."""
    quoted = ("NULL" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    made = both(column("text[]", Wire.ARRAY, Wire.TEXT), values, "{" + ",".join(quoted) + "}")
    assert json.loads(made) == values


def test_arrays_of_several_dimensions_and_bounds() -> None:
    assert elements("{{1,2},{3,NULL}}", int) == [[1, 2], [3, None]]
    assert elements("[0:1]={7,8}", int) == [7, 8]
    assert elements("[1:1][-2:-1]={{7,8}}", int) == [[7, 8]]


@pytest.mark.parametrize("text", ["", "1", "{", "}", "{1", "1}", "{}{}", "{1}}", '{"a}'])
def test_what_is_no_array_is_staged_as_it_came(text: str) -> None:
    with pytest.raises(ValueError, match=r"no array|^.$"):
        elements(text, str)
    of = column("integer[]", Wire.ARRAY, Wire.INT)
    convert = from_text(of)
    assert convert is not None
    assert convert(text) == text.encode()
    assert storage(of) == "text", "bytes are no text, and refused when they are read"


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (column("bigint", Wire.INT), "9223372036854775808"),
        (column("bigint", Wire.INT), "x"),
        (column("double precision", Wire.FLOAT), "NaN"),
        (column("boolean", Wire.BOOL), "maybe"),
        (column("bytea", Wire.BYTES), "00"),
        (column("numeric(3,1)", Wire.TEXT), "1.x"),
        (column("timestamp with time zone", Wire.TEXT), "yesterday"),
    ],
    ids=lambda value: value.type if isinstance(value, WireColumn) else value,
)
def test_what_has_no_form_is_of_another_class(of: WireColumn, text: str) -> None:
    convert = from_text(of)
    assert convert is not None
    kinds = {int: "integer", float: "real", str: "text", bytes: "blob"}
    assert kinds[type(convert(text))] != storage(of)


@given(st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary())
def test_texts_tell_values_apart(value: Any) -> None:
    text = text_of(value)
    if isinstance(value, int | float):
        assert (int if isinstance(value, int) else float)(text or "") == value
        assert numeric_of(text) == value or "e" in (text or "") or "inf" in (text or "")
    if isinstance(value, str):
        assert text == value
        assert (literal_of(value) or "")[0] == "'"
