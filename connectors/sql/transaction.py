"""One transaction of an SQL target: it stages rows, projects and merges them, and carries the control state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection

from connectors import expand
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
        gone = any(row[1] for row in rows)
        left = [
            self._merge(part, self.stage(part, rows, groups), groups, deletes=gone, everything=False)
            for part in mapped.parts
        ]
        return _in_all(left)

    def stage(self, part: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]] = ()) -> str:
        """Load rows of the stream into the wire table of a part, in the place of what stood there.

        Returns the relation.
        """
        stage = self._prepared(part)
        if part.number in self._staged or not stage.emptied_on_commit:
            self.clear(stage.wire_name)
        self._staged.add(part.number)
        stage.load(expand.of_stream(part, rows, groups))
        return stage.typed(stage.wire_name)

    def absent(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> set[int]:
        """Ordinals of rows in a group that have no target row to take the other values from."""
        found: set[int] = set()
        for part in mapped.parts:
            relation = self.stage(part, rows, groups)
            for entry in part.entries:
                for group in range(1, len(groups) + 1):
                    found.update(self._ordinals(merge.absent(self.dialect, entry, relation, group)))
        return found

    def merge_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> list[int]:
        """Stage rows in the source's text form and merge them; `replace` deletes all their target rows first.

        Returns ordinals that no entry takes.
        """
        left = [
            self._merge(part, self.stage_text(part, rows), (), deletes=True, everything=replace)
            for part in mapped.parts
        ]
        return _in_all(left)

    def mend_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> Merged:
        """As `merge_text`, without touching rows that are as they should be; counts what it changed."""
        left: list[list[int]] = []
        written = removed = 0
        for part in mapped.parts:
            relation = self.stage_text(part, rows)
            left.append(self._filtered(part, relation))
            for entry in part.entries:
                self._refuse_twins(entry, relation)
                removed += self.write(entry, merge.delete(self.dialect, entry, relation, everything=replace))
                written += self.upsert(entry, relation, sparing=True)
        return Merged(_in_all(left), written, removed)

    def add_keys(self, mapped: MappedTable, keys: Sequence[Sequence[str]]) -> int:
        """Load source keys into the text table, beside those that are there. Returns how many."""
        for part in mapped.parts:
            self._prepared(part).load_text(expand.of_text(part, (part.gone(0, key) for key in keys)))
        return len(keys)

    def text_relation(self, part: MappedTable) -> str:
        """The relation to select from what stands in the text table of a part."""
        stage = self._prepared(part)
        return stage.typed(stage.text_name)

    def stage_text(self, part: MappedTable, rows: Iterable[StagedText]) -> str:
        """Load rows in the source's text form for a part, in the place of what stood there. Returns the relation."""
        stage = self._prepared(part)
        self.clear(stage.text_name)
        stage.load_text(expand.of_text(part, rows))
        return stage.typed(stage.text_name)

    def stage_texts(self, mapped: MappedTable, batches: Iterable[Sequence[TextRow]], passed: Passed) -> int:
        """Load rows in the source's text form, with ordinals from 0, in the place of what stood there."""
        for part in mapped.parts:
            self.clear(self._prepared(part).text_name)
        count = 0
        for batch in batches:
            rows: list[StagedText] = [(number, False, row) for number, row in enumerate(batch, count)]
            for part in mapped.parts:
                self._prepared(part).load_text(expand.of_text(part, rows))
            count += len(batch)
            passed(sum(len(value) for row in batch for value in row if value is not None))
        return count

    def conflicting(self, mapped: MappedTable, rows: Sequence[StagedText]) -> set[TextRow]:
        """Source keys, as text, of target rows holding a unique value that one of these rows needs.

        Raises FatalError where such a row's source key cannot be told from the target row.
        """
        for part in mapped.parts:
            self.stage_text(part, rows)
        return self.conflicting_staged(mapped)

    def conflicting_staged(self, mapped: MappedTable, span: Span | None = None) -> set[TextRow]:
        """The same for rows that already stand in the text table: for these ordinals, or all of them."""
        found: set[TextRow] = set()
        for part, entry, unique in _uniques(mapped):
            relation = _within(self.text_relation(part), span)
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
        for part in mapped.parts:
            stage = self._prepared(part)
            self.run(f"DELETE FROM {stage.text_name} WHERE n = {HOLDER}")  # what a rollback may have left there
            mine: list[StagedText] = [(HOLDER, gone, values) for _, gone, values in holders]
            stage.load_text(expand.of_text(part, mine))
        for part, entry, unique in _uniques(mapped):
            relation = _within(self.text_relation(part), span, HOLDER)
            if self.rows(merge.duplicates(self.dialect, entry, relation, unique.columns)):
                raise RecordError(
                    f"two source rows have the same value for {unique.name}",
                    where=entry.name,
                    hint="mend the mapping, the constraint, or the source's rows",
                    reason="constraint",
                )
        for part in mapped.parts:
            held = _within(self.text_relation(part), (HOLDER, HOLDER))
            for entry in part.entries:
                self.write(entry, merge.delete(self.dialect, entry, held, everything=True))
            self.run(f"DELETE FROM {self._prepared(part).text_name} WHERE n = {HOLDER}")

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
        for part in mapped.parts:
            relation = _within(self.text_relation(part), span)
            for entry in part.entries:
                self._refuse_twins(entry, relation)
                self.write(entry, merge.insert(self.dialect, entry, relation))

    def staged_text(self, mapped: MappedTable, number: int) -> TextRow:
        """One row of the text table, as it came."""
        columns = ", ".join(f"c{index}" for index in range(len(mapped.columns)))
        name = self._prepared(mapped.parts[0]).text_name
        return tuple(self.rows(f"SELECT {columns} FROM {name} WHERE n = {int(number)} LIMIT 1")[0])

    def unmade(self, part: MappedTable, entry: Entry, rows: str, batch: int) -> Iterator[list[tuple[Any, ...]]]:
        """Those of `rows`, a SELECT over the entry's target table, that no key in the part's text table makes."""
        made = f"SELECT 1 FROM {self.text_relation(part)} AS s WHERE {merge.made_by(self.dialect, entry)}"
        yield from self.batches(f"{rows} WHERE NOT EXISTS ({made})", batch)

    def prepare_text(self, mapped: MappedTable) -> list[str]:
        """Make sure the text table of every part exists and is empty; returns their names."""
        names = [self._prepared(part).text_name for part in mapped.parts]
        for name in names:
            self.clear(name)
        return names

    def _merge(
        self,
        part: MappedTable,
        relation: str,
        groups: Sequence[frozenset[str]],
        *,
        deletes: bool,
        everything: bool,
    ) -> list[int]:
        d = self.dialect
        filtered = self._filtered(part, relation)
        for entry in part.entries:
            self._refuse_twins(entry, relation)
            if deletes or entry.where is not None or not entry.key_is_derived:
                self.write(entry, merge.delete(d, entry, relation, everything=everything))
            self.upsert(entry, relation)
            for group, missing in enumerate(groups, start=1):
                update = merge.update(d, entry, relation, group, affected(entry, missing).untouched)
                if update:
                    self.write(entry, update)
        return filtered

    def _filtered(self, part: MappedTable, relation: str) -> list[int]:
        query = merge.filtered(part.entries, relation)
        return self._ordinals(query) if query else []

    def _refuse_twins(self, entry: Entry, relation: str) -> None:
        """Raise RecordError where two elements of one list make the same target key, unless the first counts."""
        query = merge.twins(self.dialect, entry, relation)
        if query and self.rows(query):
            raise RecordError(
                "two elements of a list make the same target row",
                where=entry.name,
                hint="mend the list, or write duplicates: first",
                reason="constraint",
            )

    def _ordinals(self, query: str) -> list[int]:
        return [row[0] for row in self.rows(query)]

    def _prepared(self, mapped: MappedTable) -> Stage:
        stage = self.stage_of(mapped)
        if mapped.number not in self.control.info.get(STAGES, ()) and mapped.number not in self.created:
            for statement in stage.ddl():
                self.run(statement)
            self.created.add(mapped.number)
        return stage


def _uniques(mapped: MappedTable) -> Iterator[tuple[MappedTable, Entry, UniqueConstraint]]:
    """The unique constraints that the mapping fills, and that can be compared by their columns."""
    for part in mapped.parts:
        for entry in part.entries:
            for unique in entry.target.uniques:
                if not unique.partial and any(column.name in unique.columns for column in entry.columns):
                    yield part, entry, unique


def _in_all(filtered: Sequence[Sequence[int]]) -> list[int]:
    """What every part leaves out."""
    if len(filtered) == 1:
        return list(filtered[0])
    return sorted(set(filtered[0]).intersection(*filtered[1:]))


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
