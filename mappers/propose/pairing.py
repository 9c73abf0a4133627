"""The matching of one pair of tables while it is made: what is found, and what is left on either side."""

from __future__ import annotations

from dataclasses import dataclass, field

from mappers.propose.conversion import convert
from mappers.propose.families import read_type
from mappers.propose.known import Known
from mappers.propose.pair import Conversion, Fit, Pair
from mappers.propose.records import ColumnMatch
from mappers.propose.sides import ColumnWords, TableWords


@dataclass(slots=True)
class Pairing:
    """The matching of one pair of tables while it is made."""

    source: TableWords
    target: TableWords
    known: Known
    found: dict[str, ColumnMatch] = field(default_factory=dict)
    """By target column."""
    left: dict[str, ColumnWords] = field(default_factory=dict)
    right: dict[str, ColumnWords] = field(default_factory=dict)
    clashes: list[ColumnMatch] = field(default_factory=list)

    def take(self, one: ColumnWords, other: ColumnWords, confidence: float) -> None:
        """Pair two columns, in force where a value cannot be lost."""
        made = self.judged(one, other, confidence)
        self.found[other.column.name] = made
        del self.left[one.column.name], self.right[other.column.name]

    def judged(self, one: ColumnWords, other: ColumnWords, confidence: float) -> ColumnMatch:
        """The pair with its expression; not in force where somebody must decide."""
        how = self.fit(one, other)
        note, live = how.why, how.fit in (Fit.EXACT, Fit.CAST)
        if live and how.fit is Fit.CAST and one.in_key != other.in_key and self.other_kind(one, other):
            live, note = False, f"{one.column.name} and {other.column.name} identify different things"
        if live and self.elsewhere(one, other):
            live, note = False, "they point to tables that are not each other's"
        if live and confidence < self.known.min_confidence:
            live, note = False, f"less sure than {self.known.min_confidence:g}"
        return ColumnMatch(other.column.name, one.column.name, how.expression, round(confidence, 2), live, note)

    def elsewhere(self, one: ColumnWords, other: ColumnWords) -> bool:
        """Whether both are foreign keys and what they point to is known to be two things."""
        if one.reference is None or other.reference is None:
            return False
        expected = self.known.tables.get(one.reference.full_name)
        if expected is not None:
            return expected != other.reference.full_name
        return other.reference.full_name in self.known.tables.values()

    def fit(self, one: ColumnWords, other: ColumnWords) -> Conversion:
        """How the types go together."""
        ways = self.known.ways
        made = ways.type_of(self.source.table.full_name, one.column)
        return convert(Pair(one.column, other.column, made, ways.dialect))

    def other_kind(self, one: ColumnWords, other: ColumnWords) -> bool:
        """Whether their values are of two kinds, whatever converts one into the other.

        In another engine dates may be texts and flags numbers: what goes there as it is, is of the same kind.
        """
        if self.known.ways.foreign and self.fit(one, other).fit is Fit.EXACT:
            return False
        return read_type(one.column.type).family is not read_type(other.column.type).family

    def same_type(self, one: ColumnWords, other: ColumnWords) -> bool:
        """Whether they have one type, as far as two engines have that."""
        if self.known.ways.foreign:
            return self.fit(one, other).fit is Fit.EXACT
        return one.column.type == other.column.type
