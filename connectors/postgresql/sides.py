"""The two sides of a comparison, read: the source's rows as the mapping makes target rows of them, and the target's.

Each side is one snapshot for as long as its block lasts. Nothing is written, but for the target's staging table where
the source cannot run the projection itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from connectors.chunks import Bound, ChunkRow, ChunkState
from connectors.postgresql import compare, key_space
from connectors.postgresql.chunk_copy import copy_text
from connectors.postgresql.compare import Range, Rows
from connectors.postgresql.session import translated
from connectors.postgresql.source import PostgresSource
from connectors.postgresql.stage import NUMBER
from connectors.postgresql.target import PostgresTarget
from connectors.postgresql.transaction import TargetTransaction, stage_of
from connectors.seams import StagedText, TextRow
from connectors.tables import MappedTable
from mappers.mapping import Entry, Table

Sums = dict[int, tuple[int, int]]
"""Bucket -> (rows, sum of their hashes)."""
FOR_VERIFICATION = "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0"
"""A slice is too short for a compiler, and its pace is the daemon's to choose, not the planner's."""

SAMPLE_ABOVE_ROWS = 200_000
"""Slices may be uneven: above so many rows they are cut by a sample of pages, which costs no walk over the index."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How an entry is compared. pushed: the source runs the projection. buckets: a power of two.

    parts: how many of `compare.PARTS` parts of the keys are looked at.
    """

    mapped: MappedTable
    entry: Entry
    pushed: bool
    seed: int
    buckets: int
    parts: int = compare.PARTS


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
        self._all = rows
        self._run = run

    def total(self, part: Range) -> tuple[int, int]:
        """(rows, sum of their hashes) of the whole range."""
        ((rows, total),) = self._run(compare.total(self._shape.entry, self._rows(part), self._shape.seed))
        return rows, int(total)

    def sums(self, part: Range) -> Sums:
        """The sums of the range's rows, by bucket."""
        shape = self._shape
        found = self._run(compare.sums(shape.entry, self._rows(part), shape.seed, shape.buckets))
        return {bucket: (rows, int(total)) for bucket, rows, total in found}

    def hashes(self, part: Range, wanted: Collection[int]) -> list[Hashed]:
        """The rows of the range that are in these buckets."""
        shape = self._shape
        found = self._run(compare.hashes(shape.entry, self._rows(part), shape.seed, shape.buckets, wanted))
        width = len(shape.entry.key)
        return [Hashed(row[0], row[1 : width + 1], row[width + 1 :] or None) for row in found]

    def origins(self, part: Range, keys: Sequence[TextRow]) -> dict[TextRow, TextRow]:
        """Target key -> source key, of the source rows in the range that make rows with these target keys."""
        found = self._run(compare.origins(self._shape.entry, self._rows(part), keys))
        width = len(self._shape.entry.source_key)
        return {row[width:]: row[:width] for row in found}

    def _rows(self, part: Range) -> Rows:
        shape, rows = self._shape, self._all(part)
        return rows if shape.parts == compare.PARTS else compare.sampled(shape.entry, rows, shape.parts)


class Reader:
    """Reads both sides, for one thread. Both connections are its own."""

    def __init__(self, source: PostgresSource, target: PostgresTarget) -> None:
        self._source = source
        self._target = target

    def close(self) -> None:
        """Close the connections."""
        self._source.close()
        self._target.close()

    @contextmanager
    def source(self, shape: Shape) -> Iterator[Side]:
        """The source's rows at a new snapshot, as target rows."""
        mapped, entry = shape.mapped, shape.entry
        with self._source.reading(mapped.table) as reading:
            reading.connection.execute(FOR_VERIFICATION)
            if shape.pushed:

                def rows(part: Range) -> Rows:
                    relation = compare.relation(mapped, compare.source_range(mapped, part))
                    return compare.projected(mapped, entry, relation)

                yield Side(shape, rows, self._asked(reading.connection))
                return
            with self._target.begin() as transaction:
                transaction.raw.execute(FOR_VERIFICATION)
                staging = _Staging(shape, reading.connection, transaction)
                yield Side(shape, staging.rows, _asked(transaction))

    @contextmanager
    def target(self, shape: Shape) -> Iterator[Side]:
        """The target's rows at a new snapshot."""
        with self._target.begin() as transaction:
            transaction.raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            transaction.raw.execute(FOR_VERIFICATION)

            def rows(part: Range) -> Rows:
                return compare.stored(shape.entry, compare.target_range(shape.entry, part))

            yield Side(shape, rows, _asked(transaction))

    def source_rows(self, shape: Shape, keys: Sequence[TextRow]) -> dict[TextRow, Seen]:
        """Source key -> what the mapping makes of its row, for those that have one."""
        if not keys:
            return {}
        mapped, entry, width = shape.mapped, shape.entry, len(shape.entry.source_key)
        with self._source.reading(mapped.table) as reading:
            ask = self._asked(reading.connection)
            if shape.pushed:
                rows = compare.projected(mapped, entry, compare.relation(mapped, compare.source_among(mapped, keys)))
                found = ask(compare.contents(entry, rows, [*rows.origin, f"s.{compare.VERSION}"]))
                return {row[:width]: _seen(entry, row[width], row[width + 1 :]) for row in found}
            read = ask(compare.texts(mapped, keys))
        with self._target.begin() as transaction:
            staged: list[StagedText] = [(number, False, row[width + 1 :]) for number, row in enumerate(read)]
            rows = compare.projected(mapped, entry, transaction.stage_text(mapped, staged))
            found = _asked(transaction)(compare.contents(entry, rows, [f"s.{NUMBER}"]))
        return {read[row[0]][:width]: _seen(entry, read[row[0]][width], row[1:]) for row in found}

    def target_rows(self, shape: Shape, keys: Sequence[TextRow]) -> dict[TextRow, Seen]:
        """Target key -> its row, for those that have one."""
        if not keys:
            return {}
        rows = compare.stored(shape.entry, compare.target_among(shape.entry, keys))
        query = f"{compare.contents(shape.entry, rows, ['t.xmin::text'])} WHERE {rows.where}"
        with self._target.begin() as transaction:
            found = [_seen(shape.entry, row[0], row[1:]) for row in _asked(transaction)(query)]
        return {row.key: row for row in found if row.key is not None}

    def recent(self, shape: Shape, xid: int, limit: int) -> list[tuple[TextRow, TextRow]]:
        """(target key, source key) of at most so many rows that the source has written since this transaction.

        A walk over the whole source table; none where the target runs the projection.
        """
        mapped, entry, width = shape.mapped, shape.entry, len(shape.entry.key)
        if not shape.pushed:
            return []
        rows = compare.projected(mapped, entry, compare.relation(mapped, compare.since(xid)))
        with self._source.reading(mapped.table) as reading:
            found = self._asked(reading.connection)(compare.recent(entry, rows, limit))
        return [(row[:width], row[width:]) for row in found]

    def origins(self, shape: Shape, parts: Sequence[Range], keys: Sequence[TextRow]) -> dict[TextRow, TextRow]:
        """Target key -> source key, of the source rows that make these target keys: a walk over these ranges."""
        found: dict[TextRow, TextRow] = {}
        with self.source(shape) as side:
            for part in parts:
                found |= side.origins(part, keys)
        return found

    def rows_estimate(self, shape: Shape) -> int:
        """How many rows the source table has, as its planner believes now."""
        with translated("source", self._source.url):
            return key_space.estimate(self._source.connection(), shape.mapped.table)

    def bounds(self, shape: Shape, slice_rows: int) -> tuple[list[Bound], list[Bound]]:
        """Where to cut both key spaces so that a slice has about `slice_rows` rows: the source's, the target's.

        The target's are the source's where both have the same order.
        """
        mapped, entry, rows = shape.mapped, shape.entry, self.rows_estimate(shape)
        with translated("source", self._source.url):
            table = replace(mapped.table, rows_estimate=rows)
            source = _bounds(self._source.connection(), table, mapped.form.columns, slice_rows)
        if compare.aligned(entry):
            return source, source
        with self._target.begin() as transaction:
            table = replace(entry.target, rows_estimate=rows)
            return source, _bounds(transaction.raw, table, entry.key, slice_rows)

    def _asked(self, connection: psycopg.Connection) -> Callable[[str], list[Any]]:
        def ask(query: str) -> list[Any]:
            with translated("source", self._source.url):
                return connection.execute(query.encode()).fetchall()

        return ask


class _Staging:
    """The source's rows as text in the target's staging table, a range at a time: the target runs the projection."""

    def __init__(self, shape: Shape, connection: psycopg.Connection, transaction: TargetTransaction) -> None:
        self._shape = shape
        self._connection = connection
        self._transaction = transaction
        self._held: Range | None = None

    def rows(self, part: Range) -> Rows:
        """Bring the range's rows in, unless they are there."""
        mapped = self._shape.mapped
        if self._held != part:
            chunk = ChunkRow(mapped.name, 0, part.lower, part.upper, ChunkState.DONE)
            copy_text(self._connection, self._transaction, mapped, chunk, (), lambda size: None)
            self._held = part
        stage = stage_of(mapped)
        return compare.projected(mapped, self._shape.entry, stage.typed(stage.text_name))


def _bounds(connection: psycopg.Connection, table: Table, key: Sequence[str], slice_rows: int) -> list[Bound]:
    return key_space.bounds(connection, table, key, slice_rows, SAMPLE_ABOVE_ROWS)


def _asked(transaction: TargetTransaction) -> Callable[[str], list[Any]]:
    return lambda query: transaction.raw.execute(query.encode()).fetchall()


def _seen(entry: Entry, version: object, row: tuple[Any, ...]) -> Seen:
    taken, width = row[0], len(entry.key)
    return Seen(str(version), row[1 : width + 1] if taken else None, row[width + 1 :] if taken else None)
