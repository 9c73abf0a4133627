"""Values on every target: by the stream and by the source's text they become the same, and what they must be.

Then their hashes, by which verification compares rows: equal exactly where the rows are.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.chunks import Range
from connectors.sql import compare
from connectors.sql.compare import Rows
from connectors.sql.transaction import SqlTransaction
from connectors.wire import INFINITY_US
from mappers.errors import RecordError
from tests.support.targets import Make, Place, Rig, quoted

SAME = object()
"""What is stored is the source's text."""
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Sample:
    """A value in its neutral form, the source's text of it, and what each engine has: PostgreSQL's as text."""

    wire: Any
    text: str
    sqlite: Any = SAME
    postgresql: Any = SAME


def whole(*values: int) -> list[Sample]:
    return [Sample(value, str(value), value) for value in values]


def plain(*texts: str) -> list[Sample]:
    return [Sample(text, text) for text in texts]


FLOATS = [0.0, 1.0, -1.5, 0.1, 1e300, -1e-300, 5e-324, 1.7976931348623157e308, 123456789012345.67]
LONG = "".join(random.Random(7).choices(string.printable.replace("\x0b", "") + "äß🐘", k=100_000))
SAMPLES: dict[str, list[Sample]] = {
    "smallint": whole(0, 32767, -32768),
    "integer": whole(1, 2**31 - 1, -(2**31)),
    "bigint": whole(0, 2**63 - 1, -(2**63)),
    "boolean": [Sample(True, "true", 1), Sample(False, "false", 0)],
    "double precision": [
        *(Sample(value, repr(value).removesuffix(".0"), value) for value in FLOATS),
        Sample(float("inf"), "Infinity", float("inf")),
        Sample(float("-inf"), "-Infinity", float("-inf")),
    ],
    "real": [
        Sample(0.1, "0.1", 0.10000000149011612),
        Sample(3.4028235e38, "3.4028235e+38", 3.4028234663852886e38),
        Sample(-1.0, "-1", -1.0),
    ],
    "text": plain("", " ", "a", "NULL", "\\N", "it's", 'q"', "\\", "a\tb\nc\r\n", "%s ? :x $1", "äöü🐘\U0010ffff",
                  "007", "1e3", "0x10", " 5", LONG),
    "character varying(10)": plain("0123456789", "äöüäöüäöü🐘"),
    "numeric(20,4)": [
        Sample("1.5000", "1.5000"),
        Sample("1.5", "1.5000"),
        Sample("-0.0001", "-0.0001"),
        Sample("9999999999999999.9999", "9999999999999999.9999"),
        Sample("1E-3", "0.0010"),
    ],
    "numeric": [
        *plain("0", "-17", "0.1", "1" + "0" * 100, "0." + "0" * 60 + "1", "NaN", "Infinity", "-Infinity"),
        Sample("1E+3", "1000"),
    ],
    "numeric(10,2)": plain("99999999.99", "-0.01", "NaN"),
    "uuid": plain("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
    "json": plain('{"b": 1, "a": [1.50, null, "\\u00e4"], "b": 12345678901234567890}', "5", '"x"', "null"),
    "inet": [Sample("10.0.0.1", "10.0.0.1/32", "10.0.0.1"), *plain("2001:db8::/32", "10.0.0.0/8")],
    "date": [
        Sample(0, "1970-01-01"),
        Sample(19782, "2024-02-29"),
        Sample(-719162, "0001-01-01"),
        Sample(-719163, "0001-12-31 BC"),
        Sample(-2440588, "4714-11-24 BC"),
        Sample(2932897, "10000-01-01"),
        Sample(2145042905 - 3, "5874897-12-28"),
        Sample(INFINITY_US, "infinity"),
        Sample(-INFINITY_US, "-infinity"),
    ],
    "time without time zone": [
        Sample(0, "00:00:00", "00:00:00.000000"),
        Sample(1, "00:00:00.000001"),
        Sample(DAY_US - 1, "23:59:59.999999"),
        Sample(DAY_US, "24:00:00", "24:00:00.000000"),
        Sample(3_661_500_000, "01:01:01.5", "01:01:01.500000"),
    ],
    "timestamp without time zone": [
        Sample(0, "1970-01-01 00:00:00", "1970-01-01 00:00:00.000000"),
        Sample(-1, "1969-12-31 23:59:59.999999"),
        Sample(1_767_225_600_500_000, "2026-01-01 00:00:00.5", "2026-01-01 00:00:00.500000"),
        Sample(-62135596800_000_001, "0001-12-31 23:59:59.999999 BC"),
        Sample(253402300800_000_000, "10000-01-01 00:00:00", "10000-01-01 00:00:00.000000"),
        Sample(INFINITY_US, "infinity"),
        Sample(-INFINITY_US, "-infinity"),
    ],
    "timestamp with time zone": [
        Sample("2026-01-01T00:00:00.500000Z", "2026-01-01 00:00:00.5+00", "2026-01-01 00:00:00.500000Z"),
        Sample("2026-01-01T00:00:00Z", "2026-01-01 00:00:00+00", "2026-01-01 00:00:00.000000Z"),
        Sample("0044-03-15 11:59:59.1+00 BC", "0044-03-15 11:59:59.1+00 BC", "0044-03-15 11:59:59.100000Z BC"),
        Sample("12345-01-01 00:00:00+00", "12345-01-01 00:00:00+00", "12345-01-01 00:00:00.000000Z"),
        Sample("infinity", "infinity"),
        Sample("-infinity", "-infinity"),
    ],
    "bytea": [Sample(b, "\\x" + b.hex(), b) for b in (b"", b"\x00", bytes(range(256)), b"\\x41", b"z" * 100_000)],
    "character(5)": [Sample("ab   ", "ab   ", "ab", "ab"), Sample("abcde", "abcde")],
    "integer[]": [
        Sample([1, None, -(2**31)], "{1,NULL,-2147483648}", "[1,null,-2147483648]"),
        Sample([], "{}", "[]"),
    ],
    "text[]": [
        Sample(
            ["a", None, "NULL", "", 'q"', "\\", "{x,y}", "ä 🐘", " "],
            '{a,NULL,"NULL","","q\\"","\\\\","{x,y}","ä 🐘"," "}',
            '["a",null,"NULL","","q\\"","\\\\","{x,y}","ä 🐘"," "]',
        )
    ],
    "boolean[]": [Sample([True, False, None], "{t,f,NULL}", "[true,false,null]")],
    "numeric[]": [Sample(["1.50", "NaN", None], "{1.50,NaN,NULL}", '["1.5","NaN",null]')],
    "double precision[]": [Sample([1.5, float("inf"), float("nan")], "{1.5,Infinity,NaN}", '[1.5,"Infinity","NaN"]')],
}  # fmt: skip


_ENDLESS = ("infinity", "-infinity")
REFUSED: dict[tuple[str, str], Sequence[str]] = {
    ("mariadb", "double precision"): ("Infinity", "-Infinity"),
    ("mariadb", "numeric(10,2)"): ("NaN",),
    ("mariadb", "date"): (*_ENDLESS, "0001-12-31 BC", "4714-11-24 BC", "10000-01-01", "5874897-12-28"),
    ("mariadb", "timestamp without time zone"): (*_ENDLESS, "0001-12-31 23:59:59.999999 BC", "10000-01-01 00:00:00"),
    ("mariadb", "timestamp with time zone"): (*_ENDLESS, "0044-03-15 11:59:59.1+00 BC", "12345-01-01 00:00:00+00"),
}
"""(engine, type) -> the samples that the engine has no value for."""


def expected(place: Place, kind: str, sample: Sample) -> Any:
    if place.kind == "mariadb":
        made = sample.text if sample.sqlite is SAME else sample.sqlite
        return made.removesuffix("Z") if kind == "timestamp with time zone" else made
    stored = getattr(sample, place.kind)
    return sample.text if stored is SAME else stored


def held(place: Place, kind: str) -> str:
    """What is asked of the target: PostgreSQL's values by their text, MariaDB's FLOAT with all its digits."""
    if place.kind == "mariadb" and kind == "real":
        return "CAST(v AS double)"
    return "v::text" if place.kind == "postgresql" else "v"


def load(transaction: SqlTransaction, one: Rig, texts: Sequence[tuple[str | None, ...]]) -> None:
    """Insert rows as a chunk does."""
    transaction.stage_texts(one.mapped, [texts], lambda size: None)
    transaction.insert_staged(one.mapped)


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_value_is_the_same_by_either_way(place: Place, rig: Make, kind: str) -> None:
    """Every sample as an event and as the source's text, and NULL: the same to the last bit, and what it must be."""
    one = rig({"id": "integer", "v": kind})
    samples = [sample for sample in SAMPLES[kind] if sample.text not in REFUSED.get((place.kind, kind), ())]
    one.put(*({"id": n, "v": sample.wire} for n, sample in enumerate(samples)), {"id": -1})
    by_wire = place.rows(f"SELECT id, {held(place, kind)} FROM {quoted(one.name)} ORDER BY id")
    with one.target.begin() as transaction:
        texts = [("-1", None), *((str(n), sample.text) for n, sample in enumerate(samples))]
        rows = [(n, False, text) for n, text in enumerate(texts)]
        assert transaction.mend_text(one.mapped, rows, replace=False).written == 0, "nothing differs"
        transaction.truncate(one.mapped)
        load(transaction, one, texts)
        assert [transaction.staged_text(one.mapped, n) for n in range(len(texts))] == texts
    by_text = place.rows(f"SELECT id, {held(place, kind)} FROM {quoted(one.name)} ORDER BY id")
    wanted = [(-1, None), *((n, expected(place, kind, sample)) for n, sample in enumerate(samples))]
    assert by_text == by_wire
    assert [list(map(exact, row)) for row in by_wire] == [list(map(exact, row)) for row in wanted]


@pytest.mark.parametrize(("engine", "kind"), REFUSED)
def test_a_value_that_the_engine_does_not_have_is_refused(place: Place, rig: Make, engine: str, kind: str) -> None:
    """Neither way writes a row of it, nor anything like it; a filter that leaves the row out lets the others pass."""
    if place.kind != engine:
        pytest.skip(f"of {engine}")
    one = rig({"id": "integer", "v": kind})
    samples = [sample for sample in SAMPLES[kind] if sample.text in REFUSED[engine, kind]]
    assert len(samples) == len(REFUSED[engine, kind])
    for sample in samples:
        with pytest.raises(RecordError) as by_wire:
            one.put({"id": 1, "v": sample.wire})
        with pytest.raises(RecordError) as by_text, one.target.begin() as transaction:
            load(transaction, one, [("1", sample.text)])
        with pytest.raises(RecordError), one.target.begin() as transaction:
            transaction.mend_text(one.mapped, [(0, False, ("1", sample.text))], replace=False)
        assert {by_wire.value.reason, by_text.value.reason} == {"type"}
        assert sample.text not in f"{by_wire.value} {by_text.value}", "a row's values are not shown"
    assert one.content() == []


def exact(value: Any) -> tuple[str, Any]:
    """1 and 1.0 are not the same."""
    return type(value).__name__, value


# -- hashes ------------------------------------------------------------------------------------------------------------

WIDE = {
    "id": "bigint", "a": "text", "b": "text", "i": "bigint", "f": "double precision", "g": "numeric", "h": "boolean",
    "d": "date", "t": "timestamp without time zone", "u": "uuid", "j": "bytea", "k": "timestamp with time zone",
}  # fmt: skip
FIRST: dict[str, Any] = {
    "id": 1, "a": "x", "b": "y", "i": 7, "f": 1.5, "g": "1.5", "h": True, "d": 1, "t": 1, "u": "0" * 8 + "-0000" * 3 +
    "-" + "0" * 12, "j": b"\x01", "k": "2026-01-01T00:00:00Z",
}  # fmt: skip
OTHERS: dict[str, Sequence[Any]] = {
    "id": (2, -1, 2**62), "a": ("", "X", "x ", "y"), "b": ("", "Y", "x"), "i": (8, -7, 2**63 - 1, 0),
    "g": ("-1.5", "1.51", "0"), "f": (-1.5, 1.5000000000000002, 5e-324, 0.0), "h": (False,), "d": (2, -1),
    "t": (2, -1), "u": ("1" + FIRST["u"][1:],),
    "j": (b"", b"\x01\x00", b"\x00\x01"), "k": ("2026-01-01T00:00:00.000001Z",),
}  # fmt: skip
VARIATIONS: list[dict[str, Any]] = [
    FIRST,
    {**FIRST, "a": "y", "b": "x"},
    {**FIRST, "a": "xy", "b": ""},
    {**FIRST, "a": "", "b": "xy"},
    *({**FIRST, name: other} for name, others in OTHERS.items() for other in others),
    *({**FIRST, name: None} for name in OTHERS if name != "id"),
]


def projected(transaction: SqlTransaction, wide: Rig, *rows: dict[str, Any]) -> Rows:
    relation = transaction.stage(wide.mapped, wide.staged(*rows))
    return compare.projected(transaction.dialect, wide.mapped, wide.mapped.entries[0], relation, staged=False)


def stored(wide: Rig, part: Range | None = None) -> Rows:
    d, entry = wide.target.dialect, wide.mapped.entries[0]
    return compare.stored(d, entry, compare.target_range(d, entry, part or Range()))


def total(transaction: SqlTransaction, wide: Rig, rows: Rows, seed: int = 3) -> tuple[int, int]:
    ((count, sum_),) = transaction.rows(compare.total(transaction.dialect, wide.mapped.entries[0], rows, seed))
    return int(count), int(sum_)


def test_rows_hash_alike_exactly_where_they_are_equal(rig: Make) -> None:
    wide = rig(WIDE)
    with wide.target.begin() as transaction:
        totals = [total(transaction, wide, projected(transaction, wide, row)) for row in VARIATIONS]
        again = [total(transaction, wide, projected(transaction, wide, row)) for row in VARIATIONS[:5]]
        other = total(transaction, wide, projected(transaction, wide, FIRST), seed=4)
    assert len(set(totals)) == len(VARIATIONS)
    assert {count for count, _ in totals} == {1}
    assert again == totals[:5]
    assert other not in totals, "the seed counts"


def test_both_sides_hash_alike(place: Place, rig: Make) -> None:
    """What the mapping makes and what stands there: the whole, by ranges, by buckets, row by row; then one bit off."""
    wide = rig(WIDE)
    d, entry = wide.target.dialect, wide.mapped.entries[0]
    rows = [{**row, "id": n} for n, row in enumerate(VARIATIONS)]
    wide.put(*rows)
    with wide.target.begin(one_snapshot=True, reading=True) as transaction:
        made = projected(transaction, wide, *rows)
        assert total(transaction, wide, made) == total(transaction, wide, stored(wide))
        parts = [Range(None, ("7",)), Range(("7",), ("30",)), Range(("30",), None)]
        counts = [total(transaction, wide, stored(wide, part)) for part in parts]
        assert [count for count, _ in counts] == [7, 23, len(rows) - 30]
        assert sum(sum_ for _, sum_ in counts) == total(transaction, wide, made)[1]
        buckets = [sorted(transaction.rows(compare.sums(d, entry, side, 3, 8))) for side in (made, stored(wide))]
        assert buckets[0] == buckets[1]
        hashes = [
            sorted(transaction.rows(compare.hashes(d, entry, side, 3, 8, (1, 5)))) for side in (made, stored(wide))
        ]
        mine, theirs = ([row[:2] for row in side] for side in hashes)
        assert mine == theirs
        sampled = [total(transaction, wide, compare.sampled(d, entry, side, 300)) for side in (made, stored(wide))]
        assert sampled[0] == sampled[1]
        contents = [transaction.rows(compare.contents(d, entry, side, ["1"])) for side in (made, stored(wide))]
        assert sorted(map(str, contents[0])) == sorted(map(str, contents[1]))
    place.execute(f"UPDATE {quoted(wide.name)} SET i = i + 1 WHERE id = 3")
    with wide.target.begin(reading=True) as transaction:
        assert total(transaction, wide, projected(transaction, wide, *rows)) != total(transaction, wide, stored(wide))


def test_keys_find_their_rows(rig: Make) -> None:
    """By literals, as verification reads them; and a row's version differs once it was written anew."""
    wide = rig(WIDE)
    wide.put(*({**row, "id": n} for n, row in enumerate(VARIATIONS)))
    d, entry = wide.target.dialect, wide.mapped.entries[0]
    version = f"SELECT {compare.target_version(d, entry)} FROM {stored(wide).source} WHERE "

    def versions() -> list[str]:
        with wide.target.begin(reading=True) as transaction:
            query = version + compare.target_among(d, entry, [("1",), ("5",), ("999",)])
            return [str(found) for (found,) in transaction.rows(query)]

    before = versions()
    assert len(before) == 2
    wide.put({**VARIATIONS[5], "id": 5, "a": "anew"})
    assert len(set(before) & set(versions())) == 1
