"""A source table as everything in the daemon handles it: its catalogue entry, how it travels, and what it feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from connectors.keys import KeyForm
from connectors.neutral import made_column
from connectors.shape import NO_SHAPE, Shape
from connectors.snapshot import Snapshot
from connectors.wire import WireColumn
from mappers.mapping import NOTHING, Entry, Makers, Table


@dataclass(frozen=True)
class MappedTable:
    """One source table and all entries it feeds.

    wires: the columns that travel, in row order; every `Row` of this table has one value for each. types: source column
    -> its type as the target knows it, text where it does not. form: how keys are written and ordered. read_after:
    every transaction that this snapshot sees had been committed before the catalogue was read. shape: from that same
    look, and so no newer than the catalogue. makers: what is made of its rows before they are staged. divided: where
    its entries differ in that, a part for each way; `parts` has them.
    """

    number: int
    table: Table
    entries: tuple[Entry, ...]
    wires: tuple[WireColumn, ...]
    types: Mapping[str, str]
    form: KeyForm
    read_after: Snapshot
    shape: Shape = NO_SHAPE
    makers: Makers = NOTHING
    divided: tuple[MappedTable, ...] = ()

    @property
    def name(self) -> str:
        """schema.name of the source table."""
        return self.table.full_name

    @property
    def ignores_new(self) -> bool:
        """Whether columns that are added at the source are ignored: all its entries say so."""
        return all(entry.ignores_new for entry in self.entries)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that travel, in row order."""
        return tuple(wire.name for wire in self.wires)

    @cached_property
    def typed_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, type as the target knows it) of the columns that travel."""
        return tuple((name, self.types[name]) for name in self.columns)

    @cached_property
    def key_indices(self) -> tuple[int, ...]:
        """Where the key's columns are in a row."""
        return tuple(self.columns.index(name) for name in self.form.columns)

    @property
    def parts(self) -> tuple[MappedTable, ...]:
        """The entries by what is made of the rows before they are staged: each part is staged by itself."""
        return self.divided or (self,)

    @property
    def plain(self) -> bool:
        """Whether the rows are staged as they come."""
        return not self.divided and not self.makers

    @cached_property
    def made(self) -> tuple[WireColumn, ...]:
        """The columns that are made."""
        return tuple(made_column(c.name, c.type, c.nullable) for c in self.makers.columns)

    @cached_property
    def staged(self) -> tuple[WireColumn, ...]:
        """The columns of the staged relation: those that travel, then those that are made."""
        return (*self.wires, *self.made)

    def gone(self, number: int, key: Sequence[str]) -> tuple[int, bool, tuple[str | None, ...]]:
        """A row to stage, in text form, of which only the key is known."""
        return number, True, cast("tuple[str | None, ...]", self.key_only(tuple(key)))

    def key_only(self, key: tuple[object, ...]) -> tuple[object, ...]:
        """A row in which only the key is set: for keys that are gone."""
        row: list[object] = [None] * len(self.wires)
        for index, value in zip(self.key_indices, key, strict=True):
            row[index] = value
        return tuple(row)
