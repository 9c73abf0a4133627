"""What a proposal is made of. All frozen."""

from __future__ import annotations

from dataclasses import dataclass

from mappers.mapping import Table

CERTAIN = 0.97
"""From here on nothing needs to be said: the names differ in writing at most."""


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """A target column, the source column that becomes it, and how.

    live: it can stand in the mapping as it is. note: why it cannot, or what to look at.
    """

    target: str
    source: str
    expression: str
    confidence: float
    live: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class TableMatch:
    """A source table that becomes a target table. key: unique target columns to merge on, where not the primary key."""

    source: Table
    target: Table
    confidence: float
    columns: tuple[ColumnMatch, ...]
    key: tuple[str, ...] = ()
    source_key: tuple[str, ...] = ()
    live: bool = True
    note: str = ""

    @property
    def filled(self) -> frozenset[str]:
        """Target columns with an expression in force."""
        return frozenset(column.target for column in self.columns if column.live)

    @property
    def used(self) -> frozenset[str]:
        """Source columns with a place in the target, or the offer of one."""
        return frozenset(column.source for column in self.columns)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target table that a source table might have become; not sure enough, or not alone. match: how it would be."""

    target: Table
    confidence: float
    match: TableMatch


@dataclass(frozen=True, slots=True)
class Proposal:
    """matches: at most one for each target table. alone: source tables without one -> what they might have become."""

    matches: tuple[TableMatch, ...]
    alone: tuple[tuple[Table, tuple[Candidate, ...]], ...]
    free: tuple[Table, ...]
    """Target tables that nothing fills."""
