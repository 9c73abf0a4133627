"""What the daemon asks of a source and of a target. The stream names no SQL: a service is a target like any other.

Every method raises the error tree: TransientError while the server is away, RecordError for values that do not fit,
FatalError for what no waiting mends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from connectors.change import Row
from connectors.chunks import Bound, Range
from connectors.keys import KeyForm
from connectors.shape import Shape
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from mappers.mapping import Entry, Expression, Table

TextRow = tuple[str | None, ...]
"""A row whose values are the source's own text."""
Staged = tuple[int, bool, int, Row]
"""(ordinal, gone, missing group, values) of a row of the stream."""
StagedText = tuple[int, bool, Sequence[str | None]]
"""(ordinal, gone, values) of a row in the source's text form."""
Span = tuple[int, int]
"""Ordinals of staged rows, both ends included."""
Names = Sequence[tuple[str, str]]
"""(schema, name) of tables."""
Passed = Callable[[int], None]
"""Told of the bytes that went through since its last call."""


@dataclass(frozen=True, slots=True)
class Merged:
    """filtered: ordinals that no entry takes. written, removed: target rows that were not as they should be."""

    filtered: Sequence[int]
    written: int
    removed: int


@dataclass(frozen=True, slots=True)
class MissingGrant:
    """Rights that the current user lacks on a table, and the SQL that a privileged user runs to mend it."""

    table: str
    privileges: tuple[str, ...]
    schema_usage: bool
    """The right to use the schema is missing too."""
    mend: str


@dataclass(frozen=True, slots=True)
class Pushdown:
    """Whether the source can run the mapping's projection. reason: why not, for `status`."""

    possible: bool
    binary: bool = False
    reason: str = ""


class Reading(Protocol):
    """One snapshot of the source, open."""

    @property
    def snapshot(self) -> Snapshot:
        """What it sees."""

    def rows(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str]]
    ) -> dict[TextRow, TextRow]:
        """Rows by key at this snapshot; a key without a row is absent."""

    def versions(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[TextRow]
    ) -> dict[TextRow, tuple[str, TextRow]]:
        """As `rows`, with a text that differs once the row has been written anew, as far as the engine keeps one."""

    def keys(
        self, table: Table, form: KeyForm, where: Expression | None, batch: int
    ) -> Iterator[list[tuple[str, ...]]]:
        """The keys of the rows for which `where` is true, or of all, ascending, up to `batch` at a time."""

    def texts(
        self, mapped: MappedTable, part: Range, fenced: Sequence[Bound], batch: int
    ) -> Iterator[Sequence[TextRow]]:
        """The rows of a range but those of the fenced keys, in text form, up to `batch` at a time."""

    def sample(self, mapped: MappedTable, count: int) -> list[TextRow]:
        """The first and the last rows by key, `count` in all, in text form, each once."""

    def sample_ranges(self, mapped: MappedTable, rows: int) -> list[Range]:
        """Ranges with about `rows` rows in all: the first and the last of the table, or all of a small one."""

    def prepare(self) -> None:
        """Set what suits a verification, where the engine has such settings."""

    def since(self, xid: int) -> str:
        """SQL over the source table, alias b: whether a transaction from this one on has written the row."""

    def ask(self, query: str) -> list[Any]:
        """The rows of a query in the source's own SQL."""


class Source(Protocol):
    """The old database, as the stream and resync see it."""

    def close(self) -> None:
        """Close what is open; the next call opens it again."""

    def reading(self, table: Table) -> AbstractContextManager[Reading]:
        """A new snapshot, held open for the block."""

    def snapshot(self) -> Snapshot:
        """What a new snapshot sees now."""

    def written(self, identities: Iterable[str]) -> tuple[Snapshot, dict[str, str]]:
        """(what was seen, table's identity -> a text that differs once a column was added, dropped or altered)."""

    def shapes(self, names: Sequence[tuple[str, str]]) -> tuple[Snapshot, dict[str, Shape]]:
        """(what was seen, schema.name -> what the table is); one that is not there is absent."""

    def name_of(self, identity: str) -> str | None:
        """schema.name of the table with this identity; None where it is gone."""

    def locate(self, table: Table, form: KeyForm, bounds: Sequence[Bound], keys: Sequence[Sequence[str]]) -> list[int]:
        """The chunk of each key, by the source's own order."""

    def bounds(self, table: Table, key: Sequence[str], chunk_rows: int, sample_above: int = ...) -> list[Bound]:
        """Where to cut the table's key space so that a chunk has about `chunk_rows` rows, ascending.

        sample_above: from how many rows on the cuts may be uneven.
        """

    def planned_rows(self, table: Table) -> int:
        """How many rows the table has, as the planner believes now."""

    def canonical(self, table: Table, form: KeyForm, keys: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Keys as the source itself would print them."""

    def rows_by_key(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str]]
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

    def evict(self, mapped: MappedTable, holders: Sequence[StagedText], span: Span | None = None) -> None:
        """Remove the target rows of these source rows, which hold unique values that staged rows need."""

    def delete(self, entry: Entry, keys: Sequence[TextRow]) -> None:
        """Remove the rows of one target table with these target keys, in text form."""

    def truncate(self, mapped: MappedTable) -> None:
        """Empty every table that this source table feeds."""

    def has_rows(self, table: Table) -> bool:
        """Whether the table holds any row."""

    def stage_texts(self, mapped: MappedTable, batches: Iterable[Sequence[TextRow]], passed: Passed) -> int:
        """Load rows in the source's text form, with ordinals from 0, in the place of what stood there."""

    def insert_staged(self, mapped: MappedTable, span: Span | None = None) -> None:
        """Insert these rows of the text table, or all of them: rows that the target does not have yet."""

    def staged_text(self, mapped: MappedTable, number: int) -> TextRow:
        """One row of the text table, as it came."""

    def conflicting_staged(self, mapped: MappedTable, span: Span | None = None) -> set[TextRow]:
        """As `conflicting`, of rows that stand in the text table."""


class Target(Protocol):
    """The new store."""

    def begin(self) -> AbstractContextManager[TargetTransaction]:
        """One transaction, committed at the end of the block, rolled back on any error.

        Raises TransientError when the server goes away, also where it is unknown whether the COMMIT was carried out.
        """


class Sessions(Target, Protocol):
    """A target that can hold a session."""

    def session(self) -> AbstractContextManager[Target]:
        """Several transactions on one session: a chunk worker's claim ends with its session."""
