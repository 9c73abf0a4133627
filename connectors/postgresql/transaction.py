"""One transaction of the target: it stages rows, projects and merges them, and carries the control state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection

from connectors.postgresql import compare, merge
from connectors.postgresql.session import target_errors
from connectors.postgresql.stage import NUMBER, Stage
from connectors.seams import Merged, Staged, StagedText, TextRow
from connectors.tables import MappedTable
from mappers.errors import FatalError, RecordError
from mappers.mapping import Entry, Table, UniqueConstraint
from mappers.projection import affected, qualified

STAGES = "changeover_stages"
"""Where a pooled connection remembers which staging tables it has (a rollback takes new ones away again)."""
Span = tuple[int, int]
"""Ordinals of staged rows, both ends included."""
HOLDER = -1
"""Ordinal of staged rows that are only there to be compared and removed."""


class TargetTransaction:
    """What may be done within one transaction of the target.

    control: for `ControlStore`. raw: the driver's connection underneath, the same transaction.
    """

    def __init__(self, connection: Connection, url: str) -> None:
        self.control = connection
        self.created: set[int] = set()
        self._url = url
        self._staged: set[int] = set()
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self.raw: psycopg.Connection = raw

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done in the block, or nothing of it where it raises; the transaction goes on either way."""
        created = set(self.created)
        try:
            with target_errors(self._url), self.control.begin_nested():
                yield
        except BaseException:
            self.created = created
            raise

    def merge(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> list[int]:
        """Stage rows of the stream and merge them. groups[i]: the columns that did not travel in group i + 1.

        Returns ordinals that no entry takes (filtered). The rows in a group must have a target row (`absent`).
        """
        relation = self.stage(mapped, rows)
        gone = any(row[1] for row in rows)
        return self._merge(mapped, relation, groups, deletes=gone, everything=False)

    def stage(self, mapped: MappedTable, rows: Sequence[Staged]) -> str:
        """Load rows of the stream into the wire table, in the place of what stood there. Returns the relation."""
        stage = self._prepared(mapped)
        if mapped.number in self._staged:
            self.raw.execute(f"TRUNCATE {stage.wire_name}".encode())
        self._staged.add(mapped.number)
        with self.raw.cursor() as cursor:
            stage.load(cursor, rows)
        return stage.typed(stage.wire_name)

    def absent(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> set[int]:
        """Ordinals of rows in a group that have no target row to take the other values from."""
        relation = self.stage(mapped, rows)
        found: set[int] = set()
        for entry in mapped.entries:
            for group in range(1, len(groups) + 1):
                found.update(self._ordinals(merge.absent(entry, relation, group)))
        return found

    def merge_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> list[int]:
        """Stage rows in the source's text form and merge them; `replace` deletes all their target rows first.

        Returns ordinals that no entry takes.
        """
        relation = self.stage_text(mapped, rows)
        return self._merge(mapped, relation, (), deletes=True, everything=replace)

    def mend_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> Merged:
        """As `merge_text`, without touching rows that are as they should be; counts what it changed."""
        relation = self.stage_text(mapped, rows)
        query = merge.filtered(mapped.entries, relation)
        filtered = self._ordinals(query) if query else []
        written = removed = 0
        for entry in mapped.entries:
            removed += self.raw.execute(merge.delete(entry, relation, everything=replace).encode()).rowcount
            written += self.raw.execute(merge.upsert(entry, relation, sparing=True).encode()).rowcount
        return Merged(filtered, written, removed)

    def add_keys(self, mapped: MappedTable, keys: Sequence[Sequence[str]]) -> int:
        """Load source keys into the text table, beside those that are there. Returns how many."""
        with self.raw.cursor() as cursor:
            self._prepared(mapped).load_text(cursor, (mapped.gone(0, key) for key in keys))
        return len(keys)

    def text_relation(self, mapped: MappedTable) -> str:
        """The relation to select from what stands in the text table."""
        stage = self._prepared(mapped)
        return stage.typed(stage.text_name)

    def stage_text(self, mapped: MappedTable, rows: Sequence[StagedText]) -> str:
        """Load rows in the source's text form; what was staged so before is replaced. Returns the relation."""
        stage = self._prepared(mapped)
        self.raw.execute(f"TRUNCATE {stage.text_name}".encode())
        with self.raw.cursor() as cursor:
            stage.load_text(cursor, rows)
        return stage.typed(stage.text_name)

    def conflicting(self, mapped: MappedTable, rows: Sequence[StagedText]) -> set[TextRow]:
        """Source keys, as text, of target rows holding a unique value that one of these rows needs.

        Raises FatalError where such a row's source key cannot be told from the target row.
        """
        self.stage_text(mapped, rows)
        return self.conflicting_staged(mapped)

    def conflicting_staged(self, mapped: MappedTable, span: Span | None = None) -> set[TextRow]:
        """The same for rows that already stand in the text table: for these ordinals, or all of them."""
        found: set[TextRow] = set()
        stage = self._prepared(mapped)
        relation = _within(stage.typed(stage.text_name), span)
        for entry, unique in _uniques(mapped):
            if not entry.carrier:
                raise FatalError(
                    f"rows exchange values of {unique.name}, and the target row does not carry its source key",
                    where=entry.name,
                    hint=f"add a target column that carries {', '.join(entry.source_key)} verbatim",
                )
            query = merge.conflicts(entry, relation, unique.columns, entry.carrier)
            found.update(tuple(row) for row in self.raw.execute(query.encode()))
        return found

    def evict(self, mapped: MappedTable, holders: Sequence[StagedText], span: Span | None = None) -> None:
        """Remove the target rows of `holders`, which hold unique values that the rows in the text table need.

        The holders come as the source has them at the snapshot of the staged rows. Raises RecordError when one of them
        still has such a value there: then the conflict is the data's own.
        """
        stage = self._prepared(mapped)
        with self.raw.cursor() as cursor:
            stage.load_text(cursor, [(HOLDER, gone, values) for _, gone, values in holders])
        for entry, unique in _uniques(mapped):
            relation = _within(stage.typed(stage.text_name), span, HOLDER)
            if self.raw.execute(merge.duplicates(entry, relation, unique.columns).encode()).fetchone() is not None:
                raise RecordError(
                    f"two source rows have the same value for {unique.name}",
                    where=entry.name,
                    hint="mend the mapping, the constraint, or the source's rows",
                    reason="constraint",
                )
        mine = _within(stage.typed(stage.text_name), (HOLDER, HOLDER))
        for entry in mapped.entries:
            self.raw.execute(merge.delete(entry, mine, everything=True).encode())
        self.raw.execute(f"DELETE FROM {stage.text_name} WHERE n = {HOLDER}".encode())

    def delete(self, entry: Entry, keys: Sequence[TextRow]) -> None:
        """Remove the rows of one target table with these target keys, in text form."""
        if keys:
            mine = compare.target_among(entry, keys)
            self.raw.execute(f"DELETE FROM {qualified(entry.target)} AS t WHERE {mine}".encode())

    def truncate(self, mapped: MappedTable) -> None:
        """Empty every table that this source table feeds."""
        for entry in mapped.entries:
            self.raw.execute(f"DELETE FROM {qualified(entry.target)}".encode())

    def has_rows(self, table: Table) -> bool:
        """Whether the table holds any row."""
        row = self.raw.execute(f"SELECT EXISTS (SELECT FROM {qualified(table)})".encode()).fetchone()
        return bool(row and row[0])

    def insert_staged(self, mapped: MappedTable, span: Span | None = None) -> None:
        """Insert these rows of the text table, or all of them: rows that the target does not have yet."""
        stage = self._prepared(mapped)
        relation = _within(stage.typed(stage.text_name), span)
        for entry in mapped.entries:
            self.raw.execute(merge.insert(entry, relation).encode())

    def staged_text(self, mapped: MappedTable, number: int) -> TextRow:
        """One row of the text table, as it came."""
        stage = self._prepared(mapped)
        columns = ", ".join(f"c{index}" for index in range(len(mapped.columns)))
        found = self.raw.execute(f"SELECT {columns} FROM {stage.text_name} WHERE n = {int(number)}".encode())
        row = found.fetchone()
        assert row is not None
        return tuple(row)

    def prepare_text(self, mapped: MappedTable) -> str:
        """Make sure the text table exists and is empty; returns its name."""
        stage = self._prepared(mapped)
        self.raw.execute(f"TRUNCATE {stage.text_name}".encode())
        return stage.text_name

    def _merge(
        self,
        mapped: MappedTable,
        relation: str,
        groups: Sequence[frozenset[str]],
        *,
        deletes: bool,
        everything: bool,
    ) -> list[int]:
        query = merge.filtered(mapped.entries, relation)
        filtered = self._ordinals(query) if query else []
        for entry in mapped.entries:
            if deletes or entry.where is not None or not entry.key_is_derived:
                self.raw.execute(merge.delete(entry, relation, everything=everything).encode())
            self.raw.execute(merge.upsert(entry, relation).encode())
            for group, missing in enumerate(groups, start=1):
                statement = merge.update(entry, relation, group, affected(entry, missing).untouched)
                if statement:
                    self.raw.execute(statement.encode())
        return filtered

    def _ordinals(self, query: str) -> list[int]:
        return [row[0] for row in self.raw.execute(query.encode())]

    def _prepared(self, mapped: MappedTable) -> Stage:
        stage = stage_of(mapped)
        if mapped.number not in self.control.info.get(STAGES, ()) and mapped.number not in self.created:
            self.raw.execute(stage.ddl().encode())
            self.created.add(mapped.number)
        return stage


def _uniques(mapped: MappedTable) -> Iterator[tuple[Entry, UniqueConstraint]]:
    """The unique constraints that the mapping fills, and that can be compared by their columns."""
    for entry in mapped.entries:
        for unique in entry.target.uniques:
            if not unique.partial and any(column.name in unique.columns for column in entry.columns):
                yield entry, unique


def _within(relation: str, span: Span | None, *beside: int) -> str:
    """The staged relation's rows with these ordinals, both ends included, and those beside them."""
    if span is None:
        return relation
    numbers = " OR ".join([f"{NUMBER} BETWEEN {span[0]} AND {span[1]}", *(f"{NUMBER} = {n}" for n in beside)])
    return f"(SELECT * FROM {relation} AS x WHERE {numbers})"


@contextmanager
def committed(connection: Connection, url: str) -> Iterator[TargetTransaction]:
    """A transaction on this connection, committed at the end of the block."""
    transaction = TargetTransaction(connection, url)
    with connection.begin():
        yield transaction
    connection.info.setdefault(STAGES, set()).update(transaction.created)


def stage_of(mapped: MappedTable) -> Stage:
    """The staging tables of a mapped table."""
    return Stage(mapped.number, mapped.wires, mapped.types)
