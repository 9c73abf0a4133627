"""What one SQL engine says in its own way; everything else in this package is the same for all of them. Pure.

Identifiers are in double quotes everywhere: sessions of engines that have other habits are set so. `t` is always the
target's row, `s` the staged one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors.chunks import Range
from connectors.seams import TextRow
from mappers.mapping import Column, Entry
from mappers.projection import quote

NUMBER, GONE, GROUP = '"changeover.number"', '"changeover.gone"', '"changeover.group"'
"""What a staged relation has beside the source's columns, under names that no source column has by accident: the row's
ordinal; whether the source row was deleted; 0, or the number of the set of columns whose value did not travel."""


def injective(entry: Entry) -> bool:
    """Whether two source rows never make one target row: the target key has every column of the source key as it is."""
    kept = {entry.expression(name).sql for name in entry.key}
    return kept >= {f"s.{quote(name)}" for name in entry.source_key}


def key_text(index: int) -> str:
    """What the text table has beside the typed columns: the source's own text of a key's column."""
    return f'"changeover.text.{index}"'


class Values(Protocol):
    """How values of the engine's types are made, written and compared. `value` is SQL, `type_name` its type."""

    def cast(self, value: str, type_name: str) -> str:
        """The value in exactly that type (checked at the start to lose nothing)."""

    def text(self, value: str, type_name: str) -> str:
        """Its text, which differs where the value differs, and which `literal` reads back."""

    def literal(self, text: str, type_name: str) -> str:
        """The value of that text."""

    def distinct(self, one: str, other: str, type_name: str) -> str:
        """Whether two values differ; NULL is equal to NULL, and what differs in one bit differs."""

    def equal(self, type_name: str, one: str | None, other: str | None) -> bool:
        """Whether two texts of `text` stand for equal values. Not SQL."""

    def match(self, held: str, value: str, column: Column) -> str:
        """Whether the target's column holds exactly this value, in the form that the column's index looks up."""

    def collides(self, held: str, value: str, column: Column) -> str:
        """Whether a unique index over the column would take the two for one."""

    def order(self, column: Column) -> str:
        """A name for the column's order where no locale decides it: the same for every engine that has it; else ""."""


class Hashing(Protocol):
    """Rows as numbers of 64 bits, whose sums tell two sets of rows apart."""

    def column(self, value: str, type_name: str) -> str:
        """What of a value goes into the hash: as fine as equality, or finer."""

    def row(self, columns: Sequence[str], seed: int) -> str:
        """The hash of these columns; NULL is not the same as any value, and their order matters."""

    def bucket(self, hashed: str, buckets: int) -> str:
        """The hash's bucket, from 0; buckets is a power of two."""

    def total(self, hashed: str) -> str:
        """The aggregate: the exact sum of hashes, as text."""

    def materialized(self, query: str) -> str:
        """The query, as a subselect whose columns are computed once for every row."""


class Writes(Protocol):
    """The statements whose form differs. `other` is what follows FROM, alias and all."""

    def insert(self, entry: Entry, columns: Sequence[str], query: str) -> str:
        """Inserts what the query selects."""

    def upsert(self, entry: Entry, query: str, *, sparing: bool) -> Sequence[str]:
        """Writes what the query selects (the entry's columns, in order) over the rows with the same key.

        A conflict on anything but the key is an error. sparing: rows that are as they should be are not touched.
        """

    def delete(self, entry: Entry, other: str, condition: str) -> str:
        """Removes the target rows for which some row of `other` fulfils the condition."""

    def delete_where(self, entry: Entry, condition: str) -> str:
        """Removes the target rows that fulfil a condition on their own columns."""

    def update(self, entry: Entry, other: str, condition: str, changes: Sequence[tuple[str, str]]) -> str:
        """Sets (column, value) of target rows from the row of `other` that fulfils the condition."""


class Keys(Protocol):
    """Conditions on keys, in the form that the engine looks up in an index. columns: SQL; keys: texts."""

    def within(self, columns: Sequence[str], types: Sequence[str], part: Range) -> str:
        """Whether a row's key is in the range."""

    def among(self, columns: Sequence[str], types: Sequence[str], keys: Collection[TextRow]) -> str:
        """Whether a row's key is one of these; there is at least one."""

    def version(self, alias: str, columns: Sequence[tuple[str, str]]) -> str:
        """Text that differs once the row has been written anew; where the engine keeps none, the row's content.

        columns: (name, type) of those that count.
        """


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's way. engine: its name in the configuration."""

    engine: str
    values: Values
    hashing: Hashing
    writes: Writes
    keys: Keys
