"""The two sides of a comparison, read: the source's rows as the mapping makes target rows of them, and the target's.

Each side is one snapshot for as long as its block lasts. Nothing is written, but for the target's staging table where
the source cannot run the projection itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from connectors.chunks import Bound, Range
from connectors.seams import Reading, Source, StagedText, TextRow
from connectors.sql import compare
from connectors.sql.compare import Rows
from connectors.sql.dialect import NUMBER, Dialect
from connectors.sql.target import SqlTarget
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from connectors.transfer import copy_text
from mappers.mapping import Entry

Sums = dict[int, tuple[int, int]]
"""Bucket -> (rows, sum of their hashes)."""
SAMPLE_ABOVE_ROWS = 200_000
"""Slices may be uneven: above so many rows they are cut by a sample of pages, which costs no walk over the index."""


@dataclass(frozen=True)
class Shape:
    """How an entry is compared. dialect: the target's. pushed: the source runs the projection.

    aligned: a range of source keys and the same range of target keys hold the same rows. buckets: a power of two.
    parts: how many of `compare.PARTS` parts of the keys are looked at.
    """

    mapped: MappedTable
    entry: Entry
    dialect: Dialect
    pushed: bool
    aligned: bool
    seed: int
    buckets: int
    parts: int = compare.PARTS

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of the target's columns, in the entry's order."""
        return tuple(self.entry.target.column(column.name).type for column in self.entry.columns)

    def equal(self, one: TextRow, other: TextRow) -> bool:
        """Whether two rows of the entry's target are equal, column by column."""
        return all(map(self.dialect.values.equal, self.types, one, other))

    def equal_at(self, index: int, one: str | None, other: str | None) -> bool:
        """Whether two values of one column are equal."""
        return self.dialect.values.equal(self.types[index], one, other)


@dataclass(frozen=True, slots=True)
class Hashed:
    """A row by its hash. source_key: None where the row does not carry it."""

    hash: int
    target_key: TextRow
    source_key: TextRow | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A row as it was read. version: on its own side. key, values: None where the mapping makes no row of it."""

    version: str
    key: TextRow | None
    values: TextRow | None


class Side:
    """One side at one snapshot. rows: the range's rows. run: the rows that a statement over them gives."""

    def __init__(self, shape: Shape, rows: Callable[[Range], Rows], run: Callable[[str], list[Any]]) -> None:
        self._shape = shape
        self._dialect = shape.dialect
        self._all = rows
        self._run = run

    def total(self, part: Range) -> tuple[int, int]:
        """(rows, sum of their hashes) of the whole range."""
        shape = self._shape
        ((rows, total),) = self._run(compare.total(self._dialect, shape.entry, self._rows(part), shape.seed))
        return rows, int(total)

    def sums(self, part: Range) -> Sums:
        """The sums of the range's rows, by bucket."""
        shape = self._shape
        found = self._run(compare.sums(self._dialect, shape.entry, self._rows(part), shape.seed, shape.buckets))
        return {int(bucket): (rows, int(total)) for bucket, rows, total in found}

    def hashes(self, part: Range, wanted: Collection[int]) -> list[Hashed]:
        """The rows of the range that are in these buckets."""
        shape, rows = self._shape, self._rows(part)
        found = self._run(compare.hashes(self._dialect, shape.entry, rows, shape.seed, shape.buckets, wanted))
        width = len(shape.entry.key)
        return [Hashed(row[0], tuple(row[1 : width + 1]), tuple(row[width + 1 :]) or None) for row in found]

    def origins(self, part: Range, keys: Sequence[TextRow]) -> dict[TextRow, TextRow]:
        """Target key -> source key, of the source rows in the range that make rows with these target keys."""
        found = self._run(compare.origins(self._dialect, self._shape.entry, self._rows(part), keys))
        width = len(self._shape.entry.source_key)
        return {tuple(row[width:]): tuple(row[:width]) for row in found}

    def _rows(self, part: Range) -> Rows:
        shape, rows = self._shape, self._all(part)
        return rows if shape.parts == compare.PARTS else compare.sampled(self._dialect, shape.entry, rows, shape.parts)


class Reader:
    """Reads both sides, for one thread. Both connections are its own."""

    def __init__(self, source: Source, target: SqlTarget) -> None:
        self._source = source
        self._target = target

    def close(self) -> None:
        """Close the connections."""
        self._source.close()
        self._target.close()

    @contextmanager
    def source(self, shape: Shape) -> Iterator[Side]:
        """The source's rows at a new snapshot, as target rows."""
        mapped, entry, d = shape.mapped, shape.entry, shape.dialect
        with self._source.reading(mapped.table) as reading:
            reading.prepare()
            if shape.pushed:

                def rows(part: Range) -> Rows:
                    relation = compare.relation(d, mapped, compare.source_range(d, mapped, part))
                    return compare.projected(d, mapped, entry, relation, staged=False)

                yield Side(shape, rows, reading.ask)
                return
            with self._target.begin(reading=True) as transaction:
                transaction.prepare()
                yield Side(shape, _Staging(shape, reading, transaction).rows, transaction.rows)

    @contextmanager
    def target(self, shape: Shape) -> Iterator[Side]:
        """The target's rows at a new snapshot."""
        d = shape.dialect
        with self._target.begin(one_snapshot=True, reading=True) as transaction:
            transaction.prepare()

            def rows(part: Range) -> Rows:
                return compare.stored(d, shape.entry, compare.target_range(d, shape.entry, part))

            yield Side(shape, rows, transaction.rows)

    def source_rows(self, shape: Shape, keys: Sequence[TextRow]) -> dict[TextRow, list[Seen]]:
        """Source key -> what the mapping makes of its row, for those that have one; several where it explodes it."""
        if not keys:
            return {}
        made: dict[TextRow, list[Seen]] = {}
        for key, row in self._source_rows(shape, keys):
            made.setdefault(key, []).append(row)
        return made

    def _source_rows(self, shape: Shape, keys: Sequence[TextRow]) -> list[tuple[TextRow, Seen]]:
        mapped, entry, d, width = shape.mapped, shape.entry, shape.dialect, len(shape.entry.source_key)
        with self._source.reading(mapped.table) as reading:
            if shape.pushed:
                relation = compare.relation(d, mapped, compare.source_among(d, mapped, keys))
                rows = compare.projected(d, mapped, entry, relation, staged=False)
                found = reading.ask(compare.contents(d, entry, rows, [*rows.origin, f"s.{compare.VERSION}"]))
                return [(tuple(row[:width]), _seen(entry, row[width], row[width + 1 :])) for row in found]
            read = list(reading.versions(mapped.table, mapped.form, mapped.columns, keys).items())
        with self._target.begin(reading=True) as transaction:
            staged: list[StagedText] = [(number, False, row) for number, (_, (_, row)) in enumerate(read)]
            rows = compare.projected(d, mapped, entry, transaction.stage_text(mapped, staged), staged=True)
            found = transaction.rows(compare.contents(d, entry, rows, [f"s.{NUMBER}"]))
        return [(read[row[0]][0], _seen(entry, read[row[0]][1][0], row[1:])) for row in found]

    def target_rows(self, shape: Shape, keys: Sequence[TextRow]) -> dict[TextRow, Seen]:
        """Target key -> its row, for those that have one."""
        if not keys:
            return {}
        d = shape.dialect
        rows = compare.stored(d, shape.entry, compare.target_among(d, shape.entry, keys))
        query = compare.contents(d, shape.entry, rows, [compare.target_version(d, shape.entry)])
        with self._target.begin(reading=True) as transaction:
            found = [_seen(shape.entry, row[0], row[1:]) for row in transaction.rows(f"{query} WHERE {rows.where}")]
        return {row.key: row for row in found if row.key is not None}

    def recent(self, shape: Shape, xid: int, limit: int) -> list[tuple[TextRow, TextRow]]:
        """(target key, source key) of at most so many rows that the source has written since this transaction.

        A walk over the whole source table; none where the target runs the projection.
        """
        mapped, entry, d, width = shape.mapped, shape.entry, shape.dialect, len(shape.entry.key)
        if not shape.pushed:
            return []
        with self._source.reading(mapped.table) as reading:
            relation = compare.relation(d, mapped, reading.since(xid))
            rows = compare.projected(d, mapped, entry, relation, staged=False)
            found = reading.ask(compare.recent(d, entry, rows, limit))
        return [(tuple(row[:width]), tuple(row[width:])) for row in found]

    def origins(self, shape: Shape, parts: Sequence[Range], keys: Sequence[TextRow]) -> dict[TextRow, TextRow]:
        """Target key -> source key, of the source rows that make these target keys: a walk over these ranges."""
        found: dict[TextRow, TextRow] = {}
        with self.source(shape) as side:
            for part in parts:
                found |= side.origins(part, keys)
        return found

    def rows_estimate(self, shape: Shape) -> int:
        """How many rows the source table has, as its planner believes now."""
        return self._source.planned_rows(shape.mapped.table)

    def bounds(self, shape: Shape, slice_rows: int) -> tuple[list[Bound], list[Bound]]:
        """Where to cut both key spaces so that a slice has about `slice_rows` rows: the source's, the target's.

        The target's are the source's where both have the same order.
        """
        mapped, entry, rows = shape.mapped, shape.entry, self.rows_estimate(shape)
        table = replace(mapped.table, rows_estimate=rows)
        source = self._source.bounds(table, mapped.form.columns, slice_rows, SAMPLE_ABOVE_ROWS)
        if shape.aligned:
            return source, source
        table = replace(entry.target, rows_estimate=rows)
        with self._target.begin(reading=True) as transaction:
            return source, transaction.bounds(table, entry.key, slice_rows, SAMPLE_ABOVE_ROWS)


class _Staging:
    """The source's rows as text in the target's staging table, a range at a time: the target runs the projection."""

    def __init__(self, shape: Shape, reading: Reading, transaction: SqlTransaction) -> None:
        self._shape = shape
        self._reading = reading
        self._transaction = transaction
        self._held: Range | None = None

    def rows(self, part: Range) -> Rows:
        """Bring the range's rows in, unless they are there."""
        mapped = self._shape.mapped
        if self._held != part:
            copy_text(self._reading, self._transaction, mapped, part, (), lambda size: None)
            self._held = part
        relation = self._transaction.text_relation(mapped)
        return compare.projected(self._shape.dialect, mapped, self._shape.entry, relation, staged=True)


def _seen(entry: Entry, version: object, row: tuple[Any, ...]) -> Seen:
    taken, width = row[0], len(entry.key)
    return Seen(str(version), tuple(row[1 : width + 1]) if taken else None, tuple(row[width + 1 :]) if taken else None)
