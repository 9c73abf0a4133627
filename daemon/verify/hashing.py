"""The first phase: both sides hash their rows at the same time, each in its database; keys that differ are suspects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from connectors.chunks import Range
from connectors.seams import TextRow
from connectors.sql.sides import Hashed, Reader, Shape, Side, Sums
from daemon.verify.slices import added, groups, rows_of
from daemon.verify.suspects import Suspect

Spend = Callable[[int], None]


One = TypeVar("One")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Compared:
    """What the first phase says of a slice. rows: at the source, as far as the mapping takes them."""

    rows: int
    suspects: list[Suspect]


def compare_range(reader: Reader, beside: Executor, shape: Shape, part: Range) -> Compared:
    """Compare a range of keys that holds the same rows on both sides. beside: runs the source's part."""
    with reader.source(shape) as source, reader.target(shape) as target:
        total, theirs = _both(beside, partial(source.total, part), partial(target.total, part))
        if total == theirs:
            return Compared(total[0], [])
        one, other = _both(beside, partial(source.sums, part), partial(target.sums, part))
        found: dict[TextRow, Suspect] = {}
        for wanted in groups(one, other):
            _gather(
                found,
                shape,
                *_both(beside, partial(source.hashes, part, wanted), partial(target.hashes, part, wanted)),
            )
    return Compared(rows_of(one), list(found.values()))


class Whole:
    """Compares a whole entry, each side in ranges of its own key within one snapshot.

    rows: known once `suspects` has been asked for its first group. spend: told of the rows of each range, on each side.
    """

    def __init__(self, shape: Shape, source: Sequence[Range], target: Sequence[Range], spend: Sequence[Spend]) -> None:
        self.rows = 0
        self._shape = shape
        self._parts = (source, target)
        self._spend = spend

    def suspects(self, reader: Reader, beside: Executor) -> Iterator[list[Suspect]]:
        """The suspects, in groups of not too many."""
        shape, (ours, theirs) = self._shape, self._parts
        with reader.source(shape) as source, reader.target(shape) as target:
            totals = partial(_total, source, ours, self._spend[0]), partial(_total, target, theirs, self._spend[1])
            one, other = _both(beside, *totals)
            self.rows = rows_of(one)
            for wanted in groups(one, other):
                found: dict[TextRow, Suspect] = {}
                _gather(
                    found,
                    shape,
                    *_both(beside, partial(_hashes, source, ours, wanted), partial(_hashes, target, theirs, wanted)),
                )
                yield list(found.values())


def _total(side: Side, parts: Sequence[Range], spend: Spend) -> Sums:
    total: Sums = {}
    for part in parts:
        sums = side.sums(part)
        total = added(total, sums)
        spend(rows_of(sums))
    return total


def _hashes(side: Side, parts: Sequence[Range], wanted: Sequence[int]) -> list[Hashed]:
    return [row for part in parts for row in side.hashes(part, wanted)]


def _gather(found: dict[TextRow, Suspect], shape: Shape, source: Sequence[Hashed], target: Sequence[Hashed]) -> None:
    """Add the keys whose rows are not the same on both sides. Rows that are not the pipeline's own are left alone."""
    same = {(row.target_key, row.hash) for row in source} & {(row.target_key, row.hash) for row in target}
    keeps = shape.entry.not_empty == "keep"
    for rows, known in ((source, True), (target, not keeps)):
        for row in rows:
            if known and (row.target_key, row.hash) not in same:
                found.setdefault(row.target_key, Suspect(row.target_key, row.source_key))


def _both(beside: Executor, one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    future = beside.submit(one)
    try:
        second = other()
    finally:
        future.exception()
    return future.result(), second
