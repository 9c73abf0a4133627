"""A sample of a table's real rows through the real statements, in a transaction of the target that is rolled back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from connectors.seams import Pushdown, Source, StagedText, TextRow
from connectors.sql.preview import Compared, compare_all
from connectors.sql.target import Rehearsal, SqlTarget
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from connectors.transfer import load
from mappers.errors import ConflictError, FatalError, FencedError, RecordError, TransientError

LOCK_TIMEOUT_S = 0.5
"""Below PostgreSQL's deadlock_timeout, so that of two that wait for each other it is the sample that gives way."""
FAILURES_MAX = 5
SAMPLE_ROWS, LOADED_ROWS = 10_000, 1_000
"""Rows tried of a table that is still to be loaded, and of one whose rows the stream may be writing at the moment."""
SAMPLE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Failure:
    """A source row, by key, that the target refuses, and its words."""

    key: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A source row in text form, and by entry what the mapping makes of it beside what was written.

    error: the target's words, where it refuses even to run the mapping on it; then there are no entries.
    """

    row: TextRow
    entries: Sequence[Sequence[Compared]] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was tried. seconds, bytes: what the tried rows took on the backfill's way; None where that was not taken.

    failures: at most FAILURES_MAX. error: why nothing could be tried.
    """

    tried: int = 0
    seconds: float | None = None
    bytes: int | None = None
    shown: Sequence[Shown] = ()
    failures: Sequence[Failure] = ()
    error: str = ""


def take(
    source: Source, target: SqlTarget, mapped: MappedTable, pushdown: Pushdown, rows: int, *, loaded: bool
) -> Sample:
    """Try a sample. rows: how many to show. loaded: the table's rows are (partly) in the target already."""
    try:
        with target.rehearse(LOCK_TIMEOUT_S) as rehearsal:
            return _take(source, rehearsal, mapped, pushdown, rows, loaded)
    except TransientError as error:
        return Sample(error=f"nothing could be tried: {error}")


def _take(
    source: Source, rehearsal: Rehearsal, mapped: MappedTable, pushdown: Pushdown, rows: int, loaded: bool
) -> Sample:
    most = max(rows, _most(mapped, LOADED_ROWS if loaded else SAMPLE_ROWS))
    measured = None if loaded else _measure(source, rehearsal, mapped, pushdown, most)
    with source.reading(mapped.table) as reading:
        shown = reading.sample(mapped, rows)
        tried = reading.sample(mapped, most) if measured is None else []
    failures: Sequence[Failure] = ()
    if measured is None:
        write = partial(_write, rehearsal, mapped, loaded)
        failures = refused(tried, write, mapped.key_indices, conflicts=not loaded)
    made = [_shown(rehearsal, mapped, row) for row in shown]
    if measured is None:
        return Sample(len(tried), shown=made, failures=failures)
    return Sample(*measured, made)


def _shown(rehearsal: Rehearsal, mapped: MappedTable, row: TextRow) -> Shown:
    try:
        with rehearsal.begin() as transaction:
            return Shown(row, [rows for _, rows in compare_all(transaction, mapped, _staged([row]))])
    except RecordError as error:
        return Shown(row, error=error.what)


def _most(mapped: MappedTable, rows: int) -> int:
    """Not more than SAMPLE_BYTES of them, as far as the catalogue knows how wide they are."""
    wide = mapped.table.bytes_estimate // max(1, mapped.table.rows_estimate) if mapped.table.rows_estimate else 0
    return min(rows, max(100, SAMPLE_BYTES // wide)) if wide else rows


def _measure(
    source: Source, rehearsal: Rehearsal, mapped: MappedTable, pushdown: Pushdown, most: int
) -> tuple[int, float, int] | None:
    """(rows, seconds, bytes) of the sample on the backfill's own way; None where the target refuses a row of it."""
    sizes: list[int] = []
    try:
        with source.reading(mapped.table) as reading, rehearsal.begin() as transaction:
            ranges = reading.sample_ranges(mapped, most)
            began = time.monotonic()
            count = 0
            for part in ranges:
                count += load(reading, transaction, mapped, part, (), pushdown, sizes.append)
            return count, time.monotonic() - began, sum(sizes)
    except RecordError:
        return None


def _write(rehearsal: Rehearsal, mapped: MappedTable, loaded: bool, rows: Sequence[TextRow]) -> None:
    with rehearsal.begin() as transaction:
        _written(transaction, mapped, _staged(rows), loaded)


def _written(transaction: SqlTransaction, mapped: MappedTable, rows: Sequence[StagedText], loaded: bool) -> None:
    """Rows of a loaded table as the stream writes them, those of another as the backfill does."""
    if loaded:
        transaction.merge_text(mapped, rows, replace=False)
    else:
        transaction.stage_texts(mapped, [[tuple(values) for _, _, values in rows]], lambda size: None)
        transaction.insert_staged(mapped)


def refused(
    rows: Sequence[TextRow],
    write: Callable[[Sequence[TextRow]], None],
    key: Sequence[int],
    most: int = FAILURES_MAX,
    *,
    conflicts: bool = True,
) -> list[Failure]:
    """Write the rows, in halves where they are refused, until the rows at fault are alone; at most `most` of them.

    write: writes all or, raising RecordError or FatalError, none. key: where the source key is in a row. conflicts:
    whether a unique value that another row has counts; beside events that wait to be applied it is no fault.
    """
    if not rows or most <= 0:
        return []
    try:
        write(rows)
    except (RecordError, FatalError) as error:
        if isinstance(error, FencedError):
            raise
        if len(rows) == 1 and isinstance(error, ConflictError) and not conflicts:
            return []
        if len(rows) == 1:
            return [Failure(tuple(str(rows[0][index]) for index in key), error.what)]
    else:
        return []
    middle = len(rows) // 2
    first = refused(rows[:middle], write, key, most, conflicts=conflicts)
    return first + refused(rows[middle:], write, key, most - len(first), conflicts=conflicts)


def _staged(rows: Sequence[TextRow]) -> list[StagedText]:
    return [(number, False, row) for number, row in enumerate(rows)]
