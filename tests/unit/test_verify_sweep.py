"""A sweep over two sides in memory: what it records, where it stops, what it goes on with, what it repairs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from connectors.chunks import Range
from connectors.control.verification import SliceResult, SliceRow
from connectors.postgresql.dialect import POSTGRESQL
from connectors.seams import TextRow
from connectors.sql.sides import Hashed, Reader, Seen, Shape, Sums
from daemon.verify.confirm import Confirmer, Ranges
from daemon.verify.slices import ranges
from daemon.verify.suspects import Difference
from daemon.verify.sweep import Hooks, Job, Manner, Sweep, Tally
from mappers.expressions import column_expression
from mappers.mapping import Column, Entry, Expression, Table, TargetColumn

ROWS = 1000
EDGES = [(str(number),) for number in range(100, ROWS, 100)]
SOURCE = Table("public", "s", (Column("id", "integer"), Column("t", "text")), ("id",), rows_estimate=ROWS)
TARGET = Table("app", "t", (Column("id", "integer"), Column("t", "text")), ("id",))
COLUMNS = (TargetColumn("id", column_expression("id")), TargetColumn("t", column_expression("t")))
ALIGNED = Entry(0, SOURCE, TARGET, ("id",), COLUMNS, ("id",), None, ("id",))
COMPUTED = replace(
    ALIGNED, columns=(TargetColumn("id", Expression('s."id" + 0', frozenset(("id",)))), COLUMNS[1]), carrier=()
)


@dataclass
class Sides:
    """Both sides: id -> text."""

    source: dict[int, str] = field(default_factory=lambda: {number: f"t{number}" for number in range(ROWS)})
    target: dict[int, str] = field(default_factory=lambda: {number: f"t{number}" for number in range(ROWS)})


class MemorySide:
    """One side, hashed by Python."""

    def __init__(self, rows: dict[int, str], shape: Shape, carried: bool) -> None:
        self._rows, self._shape, self._carried = rows, shape, carried

    def total(self, part: Range) -> tuple[int, int]:
        rows = self._hashed(part)
        return len(rows), sum(row.hash for row in rows)

    def sums(self, part: Range) -> Sums:
        sums: Sums = {}
        for row in self._hashed(part):
            bucket = row.hash & (self._shape.buckets - 1)
            rows, total = sums.get(bucket, (0, 0))
            sums[bucket] = (rows + 1, total + row.hash)
        return sums

    def hashes(self, part: Range, wanted: Collection[int]) -> list[Hashed]:
        return [row for row in self._hashed(part) if row.hash & (self._shape.buckets - 1) in set(wanted)]

    def _hashed(self, part: Range) -> list[Hashed]:
        low = int(part.lower[0]) if part.lower else -1
        high = int(part.upper[0]) if part.upper else 1 << 60
        chosen = {key: text for key, text in self._rows.items() if low <= key < high}
        return [
            Hashed(hash((key, text, self._shape.seed)), (str(key),), (str(key),) if self._carried else None)
            for key, text in chosen.items()
        ]


class MemoryReader:
    """Reads `Sides` as the real one reads databases."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def close(self) -> None: ...

    @contextmanager
    def source(self, shape: Shape) -> Iterator[MemorySide]:
        yield MemorySide(dict(self._sides.source), shape, True)

    @contextmanager
    def target(self, shape: Shape) -> Iterator[MemorySide]:
        yield MemorySide(dict(self._sides.target), shape, bool(shape.entry.carrier))

    def rows_estimate(self, shape: Shape) -> int:
        return ROWS

    def bounds(self, shape: Shape, slice_rows: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        return EDGES, EDGES[::2]

    def source_rows(self, shape: Shape, keys: Sequence[TextRow]) -> dict[TextRow, list[Seen]]:
        return _seen(self._sides.source, keys)

    def target_rows(self, shape: Shape, keys: Sequence[TextRow]) -> dict[TextRow, Seen]:
        return {key: rows[0] for key, rows in _seen(self._sides.target, keys).items()}

    def origins(self, shape: Shape, parts: Sequence[Range], keys: Sequence[TextRow]) -> dict[TextRow, TextRow]:
        return {key: key for key in keys if int(str(key[0])) in self._sides.source}


def _seen(rows: dict[int, str], keys: Sequence[TextRow]) -> dict[TextRow, list[Seen]]:
    there = {key: int(str(key[0])) for key in keys}
    return {
        key: [Seen("1", (str(number),), (str(number), rows[number]))] for key, number in there.items() if number in rows
    }


@dataclass
class Record:
    """What the sweep told."""

    slices: dict[int, SliceResult] = field(default_factory=dict)
    found: list[Difference] = field(default_factory=list)
    repaired: list[Difference] = field(default_factory=list)
    finished: int = 0
    stop_after: int = 1 << 30

    def hooks(self, repair: Any = None) -> Hooks:
        return Hooks(self._found, self._done, self._finished, repair, lambda: len(self.slices) >= self.stop_after)

    def _found(self, job: Job, left: Sequence[Difference], repaired: Sequence[Difference]) -> None:
        self.found += left
        self.repaired += repaired

    def _done(self, job: Job, results: Sequence[SliceResult]) -> None:
        self.slices |= {result.number: result for result in results}

    def _finished(self, job: Job) -> None:
        self.finished += 1


def job(entry: Entry, done: Collection[int] = ()) -> Job:
    shape = Shape(cast("Any", _Mapped()), entry, POSTGRESQL, True, entry is not COMPUTED, 0, 256)
    if entry is COMPUTED:
        return Job(shape, (SliceRow(0, None, None),))
    parts = enumerate(ranges(EDGES))
    return Job(shape, tuple(SliceRow(n, part.lower, part.upper, n in done) for n, part in parts))


class _Mapped:
    name, table = "public.s", SOURCE


def swept(sides: Sides, record: Record, jobs: Sequence[Job], repair: Any = None) -> list[Tally] | None:
    manner = Manner(2, 100, None, 5, lambda seconds: None)
    return Sweep(
        lambda: cast("Reader", MemoryReader(sides)), lambda: None, manner, record.hooks(repair)
    ).run(jobs)  # fmt: skip


def broken() -> Sides:
    sides = Sides()
    sides.target[150] = "other"
    del sides.target[250]
    sides.target[5000] = "extra"
    return sides


@pytest.mark.parametrize("entry", [ALIGNED, COMPUTED], ids=["ranges", "buckets"])
def test_every_difference_is_found_and_no_other(entry: Entry) -> None:
    record = Record()
    tallies = swept(broken(), record, [job(entry)])
    assert tallies is not None
    found = {(d.suspect.target_key, d.kind.value) for d in record.found}
    assert found == {(("150",), "different"), (("250",), "missing"), (("5000",), "extra")}
    assert (tallies[0].rows, tallies[0].kinds.total(), record.finished) == (ROWS, 3, 1)
    assert sum(result.differences for result in record.slices.values()) == 3


@pytest.mark.parametrize("entry", [ALIGNED, COMPUTED], ids=["ranges", "buckets"])
def test_equal_sides_are_equal(entry: Entry) -> None:
    record = Record()
    tallies = swept(Sides(), record, [job(entry)])
    assert tallies is not None
    assert (tallies[0].suspects, record.found, sum(r.rows for r in record.slices.values())) == (0, [], ROWS)


def test_rows_of_others_are_left_alone() -> None:
    record = Record()
    assert swept(broken(), record, [job(replace(ALIGNED, not_empty="keep"))])
    assert {d.kind.value for d in record.found} == {"different", "missing"}


def test_a_slice_that_is_done_is_not_compared_again() -> None:
    record = Record()
    assert swept(broken(), record, [job(ALIGNED, done=range(5))])
    assert sorted(record.slices) == [5, 6, 7, 8, 9]
    assert [d.suspect.target_key for d in record.found] == [("5000",)]


def test_it_stops_between_slices_and_has_recorded_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.verify.sweep.FLUSH_S", 0.0)
    record = Record(stop_after=3)
    assert swept(broken(), record, [job(ALIGNED)]) is None
    assert 3 <= len(record.slices) < 10
    assert record.finished == 0
    rest = Record()
    assert swept(broken(), rest, [job(ALIGNED, done=record.slices)])
    assert sorted([*record.slices, *rest.slices]) == list(range(10))
    assert len(record.found) + len(rest.found) == 3


def test_what_a_repair_mends_is_not_left() -> None:
    sides, record = broken(), Record()

    def repair(
        confirmer: Confirmer, shape: Shape, differences: Sequence[Difference], source: Ranges
    ) -> Sequence[Difference]:
        sides.target[150] = sides.source[150]
        return confirmer.confirm(shape, [d.suspect for d in differences], source).differences

    tallies = swept(sides, record, [job(ALIGNED)], repair)
    assert tallies is not None
    assert [d.suspect.target_key for d in record.repaired] == [("150",)]
    assert (tallies[0].repaired, tallies[0].kinds.total()) == (1, 2)
