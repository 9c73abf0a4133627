"""What the daemon asks of a source and of a target. No SQL crosses here: a service is a target like any other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from connectors.change import Row
from connectors.chunks import Bound
from connectors.postgresql.keys import KeyForm
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from mappers.mapping import Entry, Table

TextRow = tuple[str | None, ...]
"""A row whose values are the source's own text."""
Staged = tuple[int, bool, int, Row]
"""(ordinal, gone, missing group, values) of a row of the stream."""
StagedText = tuple[int, bool, Sequence[str | None]]
"""(ordinal, gone, values) of a row in the source's text form."""


@dataclass(frozen=True, slots=True)
class Merged:
    """filtered: ordinals that no entry takes. written, removed: target rows that were not as they should be."""

    filtered: Sequence[int]
    written: int
    removed: int


class Reading(Protocol):
    """One snapshot of the source, open."""

    @property
    def snapshot(self) -> Snapshot:
        """What it sees."""

    def rows(
        self, table: Table, form: KeyForm, columns: Sequence[tuple[str, str]], keys: Sequence[Sequence[str]]
    ) -> dict[TextRow, TextRow]:
        """Rows by key at this snapshot; a key without a row is absent."""


class Source(Protocol):
    """The old database, as the stream and resync see it."""

    def close(self) -> None:
        """Close what is open; the next call opens it again."""

    def reading(self, table: Table) -> AbstractContextManager[Reading]:
        """A new snapshot, held open for the block."""

    def snapshot(self) -> Snapshot:
        """What a new snapshot sees now."""

    def locate(self, table: Table, form: KeyForm, bounds: Sequence[Bound], keys: Sequence[Sequence[str]]) -> list[int]:
        """The chunk of each key, by the source's own order."""

    def canonical(self, table: Table, form: KeyForm, keys: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Keys as the source itself would print them."""

    def rows_by_key(
        self, table: Table, form: KeyForm, columns: Sequence[tuple[str, str]], keys: Sequence[Sequence[str]]
    ) -> tuple[Snapshot, dict[TextRow, TextRow]]:
        """Rows by key at one new snapshot; a key without a row is absent."""


class TargetTransaction(Protocol):
    """One transaction of the target: everything in it becomes visible together, or not at all."""

    control: Connection

    def savepoint(self) -> AbstractContextManager[None]:
        """What is done in the block, or nothing of it where it raises; the transaction goes on either way."""

    def merge(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> list[int]:
        """Write rows of the stream; returns the ordinals that the mapping filters out."""

    def absent(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> set[int]:
        """Ordinals of rows that travelled in part and have no target row to complete them from."""

    def merge_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> list[int]:
        """Write rows read from the source; `replace` removes all their target rows first."""

    def mend_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> Merged:
        """Write rows read from the source, without touching those that are as they should be."""

    def conflicting(self, mapped: MappedTable, rows: Sequence[StagedText]) -> set[TextRow]:
        """Source keys of target rows that hold a unique value which one of these rows needs."""

    def evict(self, mapped: MappedTable, holders: Sequence[StagedText], span: tuple[int, int] | None = None) -> None:
        """Remove the target rows of these source rows, which hold unique values that staged rows need."""

    def delete(self, entry: Entry, keys: Sequence[TextRow]) -> None:
        """Remove the rows of one target table with these target keys, in text form."""

    def truncate(self, mapped: MappedTable) -> None:
        """Empty every table that this source table feeds."""


class Target(Protocol):
    """The new store."""

    def begin(self) -> AbstractContextManager[TargetTransaction]:
        """One transaction, committed at the end of the block."""
