"""One transaction of an SQL target: it stages rows, projects and merges them, and carries the control state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection

from connectors.chunks import Bound
from connectors.seams import Merged, Passed, Span, Staged, StagedText, TextRow
from connectors.sql import compare, merge
from connectors.sql.dialect import NUMBER, Dialect
from connectors.sql.stage import Stage
from connectors.tables import MappedTable
from mappers.errors import FatalError, RecordError
from mappers.mapping import Entry, Table, UniqueConstraint
from mappers.projection import affected, qualified

STAGES = "changeover_stages"
"""Where a pooled connection remembers which staging tables it has (a rollback takes new ones away again)."""
HOLDER = -1
"""Ordinal of staged rows that are only there to be compared and removed."""


class SqlTransaction(ABC):
    """What may be done within one transaction; each engine says how its driver runs a statement.

    control: for `ControlStore`. created: the staging tables that this transaction has made.
    """

    dialect: Dialect

    def __init__(self, connection: Connection) -> None:
        self.control = connection
        self.created: set[int] = set()
        self._staged: set[int] = set()

    # -- what each engine says in its own way ----------------------------------------------------------------------

    @abstractmethod
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, which has no parameters."""

    @abstractmethod
    def run(self, statement: str) -> int:
        """Run a statement without parameters; returns how many rows it wrote."""

    @abstractmethod
    def batches(self, query: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, read from the server up to `size` at a time."""

    @abstractmethod
    def stage_of(self, mapped: MappedTable) -> Stage:
        """The staging tables of a mapped table, on this transaction's connection."""

    @abstractmethod
    def clear_stages(self, numbers: Collection[int]) -> None:
        """Empty the staging tables of the source tables with these numbers."""

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""

    @abstractmethod
    def bounds(self, table: Table, key: Sequence[str], rows: int, sample_above: int) -> list[Bound]:
        """Where to cut a target table's key space so that a part has about so many rows, ascending.

        sample_above: from how many rows on the cuts may be uneven.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Set what suits a verification, where the engine has such settings."""

    @abstractmethod
    def prepare_search(self) -> None:
        """Set what suits an anti-join of a whole table, where the engine has such settings."""

    def clear(self, name: str) -> None:
        """Empty a staging table."""
        self.run(f"DELETE FROM {name}")

    def write(self, entry: Entry, statement: str) -> int:
        """Run a statement that writes the entry's target table; returns how many rows it wrote."""
        return self.run(statement)

    def upsert(self, entry: Entry, relation: str, *, sparing: bool = False) -> int:
        """Write the rows of the relation that travelled whole; returns how many it wrote."""
        return sum(self.write(entry, s) for s in merge.upsert(self.dialect, entry, relation, sparing=sparing))

    # -- the same for all ------------------------------------------------------------------------------------------

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done in the block, or nothing of it where it raises; the transaction goes on either way."""
        created = set(self.created)
        try:
            with self.errors(), self.control.begin_nested():
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
        if mapped.number in self._staged or not stage.emptied_on_commit:
            self.clear(stage.wire_name)
        self._staged.add(mapped.number)
        stage.load(rows)
        return stage.typed(stage.wire_name)

    def absent(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> set[int]:
        """Ordinals of rows in a group that have no target row to take the other values from."""
        relation = self.stage(mapped, rows)
        found: set[int] = set()
        for entry in mapped.entries:
            for group in range(1, len(groups) + 1):
                found.update(self._ordinals(merge.absent(self.dialect, entry, relation, group)))
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
            removed += self.write(entry, merge.delete(self.dialect, entry, relation, everything=replace))
            written += self.upsert(entry, relation, sparing=True)
        return Merged(filtered, written, removed)

    def add_keys(self, mapped: MappedTable, keys: Sequence[Sequence[str]]) -> int:
        """Load source keys into the text table, beside those that are there. Returns how many."""
        self._prepared(mapped).load_text(mapped.gone(0, key) for key in keys)
        return len(keys)

    def text_relation(self, mapped: MappedTable) -> str:
        """The relation to select from what stands in the text table."""
        stage = self._prepared(mapped)
        return stage.typed(stage.text_name)

    def stage_text(self, mapped: MappedTable, rows: Iterable[StagedText]) -> str:
        """Load rows in the source's text form; what was staged so before is replaced. Returns the relation."""
        stage = self._prepared(mapped)
        self.clear(stage.text_name)
        stage.load_text(rows)
        return stage.typed(stage.text_name)

    def stage_texts(self, mapped: MappedTable, batches: Iterable[Sequence[TextRow]], passed: Passed) -> int:
        """Load rows in the source's text form, with ordinals from 0, in the place of what stood there."""
        stage = self._prepared(mapped)
        self.clear(stage.text_name)
        count = 0
        for batch in batches:
            stage.load_text((number, False, row) for number, row in enumerate(batch, count))
            count += len(batch)
            passed(sum(len(value) for row in batch for value in row if value is not None))
        return count

    def conflicting(self, mapped: MappedTable, rows: Sequence[StagedText]) -> set[TextRow]:
        """Source keys, as text, of target rows holding a unique value that one of these rows needs.

        Raises FatalError where such a row's source key cannot be told from the target row.
        """
        self.stage_text(mapped, rows)
        return self.conflicting_staged(mapped)

    def conflicting_staged(self, mapped: MappedTable, span: Span | None = None) -> set[TextRow]:
        """The same for rows that already stand in the text table: for these ordinals, or all of them."""
        found: set[TextRow] = set()
        relation = _within(self.text_relation(mapped), span)
        for entry, unique in _uniques(mapped):
            if not entry.carrier:
                raise FatalError(
                    f"rows exchange values of {unique.name}, and the target row does not carry its source key",
                    where=entry.name,
                    hint=f"add a target column that carries {', '.join(entry.source_key)} verbatim",
                )
            found.update(self.rows(merge.conflicts(self.dialect, entry, relation, unique.columns, entry.carrier)))
        return found

    def evict(self, mapped: MappedTable, holders: Sequence[StagedText], span: Span | None = None) -> None:
        """Remove the target rows of `holders`, which hold unique values that the rows in the text table need.

        The holders come as the source has them at the snapshot of the staged rows. Raises RecordError when one of them
        still has such a value there: then the conflict is the data's own.
        """
        stage = self._prepared(mapped)
        self.run(f"DELETE FROM {stage.text_name} WHERE n = {HOLDER}")  # what a rollback may have left there
        stage.load_text((HOLDER, gone, values) for _, gone, values in holders)
        for entry, unique in _uniques(mapped):
            relation = _within(stage.typed(stage.text_name), span, HOLDER)
            if self.rows(merge.duplicates(self.dialect, entry, relation, unique.columns)):
                raise RecordError(
                    f"two source rows have the same value for {unique.name}",
                    where=entry.name,
                    hint="mend the mapping, the constraint, or the source's rows",
                    reason="constraint",
                )
        mine = _within(stage.typed(stage.text_name), (HOLDER, HOLDER))
        for entry in mapped.entries:
            self.write(entry, merge.delete(self.dialect, entry, mine, everything=True))
        self.run(f"DELETE FROM {stage.text_name} WHERE n = {HOLDER}")

    def delete(self, entry: Entry, keys: Sequence[TextRow]) -> None:
        """Remove the rows of one target table with these target keys, in text form."""
        if keys:
            self.write(entry, self.dialect.writes.delete_where(entry, compare.target_among(self.dialect, entry, keys)))

    def truncate(self, mapped: MappedTable) -> None:
        """Empty every table that this source table feeds."""
        for entry in mapped.entries:
            self.write(entry, f"DELETE FROM {qualified(entry.target)}")

    def has_rows(self, table: Table) -> bool:
        """Whether the table holds any row."""
        return bool(self.rows(f"SELECT 1 FROM {qualified(table)} LIMIT 1"))

    def insert_staged(self, mapped: MappedTable, span: Span | None = None) -> None:
        """Insert these rows of the text table, or all of them: rows that the target does not have yet."""
        relation = _within(self.text_relation(mapped), span)
        for entry in mapped.entries:
            self.write(entry, merge.insert(self.dialect, entry, relation))

    def staged_text(self, mapped: MappedTable, number: int) -> TextRow:
        """One row of the text table, as it came."""
        columns = ", ".join(f"c{index}" for index in range(len(mapped.columns)))
        (row,) = self.rows(f"SELECT {columns} FROM {self._prepared(mapped).text_name} WHERE n = {int(number)}")
        return tuple(row)

    def unmade(self, mapped: MappedTable, entry: Entry, rows: str, batch: int) -> Iterator[list[tuple[Any, ...]]]:
        """Those of `rows`, a SELECT over the entry's target table, that no key in the text table makes."""
        made = f"SELECT 1 FROM {self.text_relation(mapped)} AS s WHERE {merge.made_by(self.dialect, entry)}"
        yield from self.batches(f"{rows} WHERE NOT EXISTS ({made})", batch)

    def prepare_text(self, mapped: MappedTable) -> str:
        """Make sure the text table exists and is empty; returns its name."""
        stage = self._prepared(mapped)
        self.clear(stage.text_name)
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
        d = self.dialect
        query = merge.filtered(mapped.entries, relation)
        filtered = self._ordinals(query) if query else []
        for entry in mapped.entries:
            if deletes or entry.where is not None or not entry.key_is_derived:
                self.write(entry, merge.delete(d, entry, relation, everything=everything))
            self.upsert(entry, relation)
            for group, missing in enumerate(groups, start=1):
                update = merge.update(d, entry, relation, group, affected(entry, missing).untouched)
                if update:
                    self.write(entry, update)
        return filtered

    def _ordinals(self, query: str) -> list[int]:
        return [row[0] for row in self.rows(query)]

    def _prepared(self, mapped: MappedTable) -> Stage:
        stage = self.stage_of(mapped)
        if mapped.number not in self.control.info.get(STAGES, ()) and mapped.number not in self.created:
            for statement in stage.ddl():
                self.run(statement)
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
def committed(transaction: SqlTransaction) -> Iterator[None]:
    """Commits the transaction at the end of the block."""
    connection = transaction.control
    with connection.begin():
        yield
    connection.info.setdefault(STAGES, set()).update(transaction.created)
