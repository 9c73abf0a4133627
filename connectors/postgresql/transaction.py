"""One transaction of the target: it stages rows, projects and merges them, and carries the control state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection

from connectors.postgresql import compare, merge
from connectors.postgresql.stage import NUMBER, Stage
from connectors.seams import Staged, StagedText, TextRow
from connectors.tables import MappedTable
from mappers.errors import FatalError
from mappers.mapping import Entry, Table
from mappers.projection import affected, qualified

STAGES = "changeover_stages"
"""Where a pooled connection remembers which staging tables it has (a rollback takes new ones away again)."""
HOLDER = -1
"""Ordinal of staged rows that are only there to be compared and removed."""


class TargetTransaction:
    """What may be done within one transaction of the target.

    control: for `ControlStore`. raw: the driver's connection underneath, the same transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.control = connection
        self.created: set[int] = set()
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self.raw: psycopg.Connection = raw

    def merge(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> list[int]:
        """Stage rows of the stream and merge them. groups[i]: the columns that did not travel in group i + 1.

        Returns ordinals that no entry takes (filtered). The rows in a group must have a target row (`absent`).
        """
        relation = self.stage(mapped, rows)
        gone = any(row[1] for row in rows)
        return self._merge(mapped, relation, groups, deletes=gone, everything=False)

    def stage(self, mapped: MappedTable, rows: Sequence[Staged]) -> str:
        """Load rows of the stream into the wire table; returns the relation to select from."""
        stage = self._prepared(mapped)
        with self.raw.cursor() as cursor:
            stage.load(cursor, rows)
        return stage.typed(stage.wire_name)

    def absent(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> set[int]:
        """Ordinals of rows in a group that have no target row to take the other values from. Leaves no rows staged."""
        stage = self._prepared(mapped)
        relation = self.stage(mapped, rows)
        found: set[int] = set()
        for entry in mapped.entries:
            for group in range(1, len(groups) + 1):
                found.update(self._ordinals(merge.absent(entry, relation, group)))
        self.raw.execute(f"TRUNCATE {stage.wire_name}".encode())
        return found

    def merge_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> list[int]:
        """Stage rows in the source's text form and merge them; `replace` deletes all their target rows first.

        Returns ordinals that no entry takes.
        """
        relation = self.stage_text(mapped, rows)
        return self._merge(mapped, relation, (), deletes=True, everything=replace)

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

    def conflicting_staged(self, mapped: MappedTable) -> set[TextRow]:
        """The same for rows that already stand in the text table."""
        found: set[TextRow] = set()
        stage = self._prepared(mapped)
        relation = stage.typed(stage.text_name)
        for entry in mapped.entries:
            for unique in entry.target.uniques:
                if unique.partial or not any(c.name in unique.columns for c in entry.columns):
                    continue
                if not entry.carrier:
                    raise FatalError(
                        f"rows exchange values of {unique.name}, and the target row does not carry its source key",
                        where=entry.name,
                        hint=f"add a target column that carries {', '.join(entry.source_key)} verbatim",
                    )
                query = merge.conflicts(entry, relation, unique.columns, entry.carrier)
                found.update(tuple(row) for row in self.raw.execute(query.encode()))
        return found

    def evict(self, mapped: MappedTable, holders: Sequence[StagedText]) -> None:
        """Remove the target rows of `holders`, which hold unique values that the rows in the text table need.

        The holders come as the source has them at the snapshot of the staged rows. Raises FatalError when one of them
        still has such a value there: then the conflict is the data's own.
        """
        stage = self._prepared(mapped)
        with self.raw.cursor() as cursor:
            stage.load_text(cursor, [(HOLDER, gone, values) for _, gone, values in holders])
        relation = stage.typed(stage.text_name)
        for entry in mapped.entries:
            for unique in entry.target.uniques:
                if unique.partial or not any(c.name in unique.columns for c in entry.columns):
                    continue
                if self.raw.execute(merge.duplicates(entry, relation, unique.columns).encode()).fetchone():
                    raise FatalError(
                        f"two source rows have the same value for {unique.name}",
                        where=entry.name,
                        hint="mend the mapping, the constraint, or the source's rows",
                    )
            mine = f"(SELECT * FROM {relation} AS x WHERE {NUMBER} = {HOLDER})"
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

    def insert_staged(self, mapped: MappedTable) -> None:
        """Insert what stands in the text table: a chunk whose projection could not be pushed down."""
        stage = self._prepared(mapped)
        relation = stage.typed(stage.text_name)
        for entry in mapped.entries:
            self.raw.execute(merge.insert(entry, relation).encode())

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


@contextmanager
def committed(connection: Connection) -> Iterator[TargetTransaction]:
    """A transaction on this connection, committed at the end of the block."""
    transaction = TargetTransaction(connection)
    with connection.begin():
        yield transaction
    connection.info.setdefault(STAGES, set()).update(transaction.created)


def stage_of(mapped: MappedTable) -> Stage:
    """The staging tables of a mapped table."""
    return Stage(mapped.number, mapped.wires, mapped.types)
