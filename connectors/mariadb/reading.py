"""Reading rows of the source at one snapshot.

A consistent snapshot is taken first, the table touched after it: whatever rewrote the table between the two makes the
touch an error ("Table definition has changed"), never an empty read; what comes later waits until the reading ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import SSCursor

from connectors.chunks import EVERYTHING, Bound, Range
from connectors.keys import KeyForm
from connectors.mariadb import source_keys as key_space
from connectors.mariadb.binlog import take_snapshot
from connectors.mariadb.general_types import spelled_type
from connectors.mariadb.session import Raw, translated
from connectors.mariadb.shapes import column_types
from connectors.mariadb.source_values import among, is_single, single, text, within
from connectors.seams import TextRow
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from mappers.errors import FatalError
from mappers.mapping import Column, Expression, Table
from mappers.names import qualified

KEYS_AT_ONCE = 500
"""Keys looked up by one statement: beyond a thousand MariaDB makes a join of the list."""


@dataclass(frozen=True, slots=True)
class MariadbReading:
    """One snapshot of the source, open."""

    url: str
    raw: Raw
    snapshot: Snapshot

    def prepare(self) -> None:
        """Nothing is to be set."""

    def rows(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str]]
    ) -> dict[TextRow, TextRow]:
        """Rows by key at this snapshot; a key without a row is absent, also where another one counts as equal."""
        width, wanted = len(form.columns), {tuple(key) for key in keys}
        named = [*key_space.key_columns(table, form), *(table.column(name) for name in columns)]
        found: dict[TextRow, TextRow] = {}
        for at in range(0, len(keys), KEYS_AT_ONCE):
            where = among(named[:width], "s", keys[at : at + KEYS_AT_ONCE])
            with translated("source", self.url):
                rows = key_space.run(self.raw, _select(table, named, where))
            found |= {row[:width]: row[width:] for row in map(_finisher(named), rows) if row[:width] in wanted}
        return found

    def versions(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[TextRow]
    ) -> dict[TextRow, tuple[str, TextRow]]:
        """As `rows`, with the row's content for a version: MariaDB keeps no other that can be asked for."""
        rows = self.rows(table, form, columns, [tuple(map(str, key)) for key in keys])
        return {key: (_digest(row), row) for key, row in rows.items()}

    def keys(
        self, table: Table, form: KeyForm, where: Expression | None, batch: int
    ) -> Iterator[list[tuple[str, ...]]]:
        """The keys of the rows for which `where` is true, or of all, ascending, up to `batch` at a time."""
        with translated("source", self.url):
            yield from key_space.keys_in_order(self.raw, table, form, where, batch)

    def texts(
        self, mapped: MappedTable, part: Range, fenced: Sequence[Bound], batch: int
    ) -> Iterator[Sequence[TextRow]]:
        """The rows of a range but those of the fenced keys, in text form, up to `batch` at a time."""
        columns = [mapped.table.column(name) for name in mapped.columns]
        where = within(key_space.key_columns(mapped.table, mapped.form), "s", part)
        finish, kept = _finisher(columns), _but(mapped, fenced)
        with translated("source", self.url), self.raw.cursor(SSCursor) as cursor:
            cursor.execute(_select(mapped.table, columns, where))
            while rows := cursor.fetchmany(batch):
                yield [row for row in map(finish, rows) if kept(row)]

    def sample(self, mapped: MappedTable, count: int) -> list[TextRow]:
        """The first and the last rows by key, `count` in all, in text form, each once."""
        first = self._ends(mapped, count - count // 2, descending=False)
        last = self._ends(mapped, count // 2, descending=True)
        return list(dict.fromkeys([*first, *reversed(last)]))

    def sample_ranges(self, mapped: MappedTable, rows: int) -> list[Range]:
        """Ranges with about `rows` rows in all: the first and the last of the table, or all of a small one."""
        half = max(1, rows // 2)
        if self._key(mapped, 2 * half, descending=False) is None:
            return [EVERYTHING]
        return [
            Range(None, self._key(mapped, half, descending=False)),
            Range(self._key(mapped, half - 1, descending=True), None),
        ]

    def since(self, xid: int) -> str:
        """Whether a row was written since: it may have been."""
        return "true"

    def ask(self, query: str) -> list[Any]:
        """The rows of a query in MariaDB's SQL, as text."""
        with translated("source", self.url):
            return key_space.run(self.raw, query)

    def _ends(self, mapped: MappedTable, count: int, *, descending: bool) -> list[TextRow]:
        columns = [mapped.table.column(name) for name in mapped.columns]
        by = key_space.order(key_space.key_columns(mapped.table, mapped.form), "s", descending=descending)
        query = f"{_select(mapped.table, columns, 'true')} ORDER BY {by} LIMIT {count}"
        with translated("source", self.url):
            return list(map(_finisher(columns), key_space.run(self.raw, query)))

    def _key(self, mapped: MappedTable, skipped: int, *, descending: bool) -> Bound | None:
        columns = key_space.key_columns(mapped.table, mapped.form)
        by = key_space.order(columns, "s", descending=descending)
        query = f"{_select(mapped.table, columns, 'true')} ORDER BY {by} LIMIT 1 OFFSET {skipped}"
        with translated("source", self.url):
            rows = key_space.run(self.raw, query)
        return tuple(str(value) for value in rows[0]) if rows else None


def snapshot_of(raw: Raw, table: Table) -> Snapshot:
    """Begin a transaction with one snapshot, and keep the table from being altered until it ends."""
    seen = take_snapshot(raw)
    key_space.run(raw, f"SELECT 1 FROM {qualified(table)} LIMIT 1")
    _check_types(raw, table)
    return seen


def all_texts(raw: Raw, table: Table, columns: Sequence[str], limit: int) -> list[TextRow]:
    """At most so many rows of a table, as text, in no order."""
    named = [table.column(name) for name in columns]
    return list(map(_finisher(named), key_space.run(raw, f"{_select(table, named, 'true')} LIMIT {int(limit)}")))


def _check_types(raw: Raw, table: Table) -> None:
    """What is read is written as the types that were known at the start."""
    now = column_types(raw, table.schema, table.name)
    known = {column.name: spelled_type(column.native) for column in table.columns}
    altered = [name for name, kind in known.items() if name in now and spelled_type(now[name]) != kind != "json"]
    if altered:
        was = table.column(altered[0]).native
        raise FatalError(
            f"column {altered[0]} was {was} and is {now[altered[0]]} since this process started",
            where=f"source table {table.full_name}",
            hint="start again: the start says what is to be done about the rows",
        )


def _select(table: Table, columns: Sequence[Column], where: str) -> str:
    return f"SELECT {', '.join(text(column, 's') for column in columns)} FROM {qualified(table)} AS s WHERE {where}"


def _finisher(columns: Sequence[Column]) -> Callable[[TextRow], TextRow]:
    """What makes a row as it was read the row in text form."""
    singles = [i for i, column in enumerate(columns) if is_single(column)]
    if not singles:
        return tuple

    def finish(row: TextRow) -> TextRow:
        values = list(row)
        for index in singles:
            value = values[index]
            values[index] = None if value is None else single(value)
        return tuple(values)

    return finish


def _but(mapped: MappedTable, fenced: Sequence[Bound]) -> Callable[[TextRow], bool]:
    """Whether a row's key is not among the fenced ones, by its very text: a collation may call others equal."""
    if not fenced:
        return lambda row: True
    without, places = set(fenced), mapped.key_indices
    return lambda row: tuple(row[place] for place in places) not in without


def _digest(row: TextRow) -> str:
    return hashlib.sha256(repr(row).encode()).hexdigest()
