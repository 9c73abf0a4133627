"""When a difference is one. Pure: what was read, in which order, decides; searched in tests.

On a live system the two sides are never read at the same moment. A key that differs is a suspect. Its target row is
read, then its source row, then a barrier is passed (everything committed at the source before it is applied), then the
target row is read again, then the source row. What then differs is a difference where nothing can have been on its way:

- the source row was there and is the same version: no event of the key lies between its two readings, and all before
  the first have been applied;
- the source had no row at either reading, and the target's row is the same version at both: it was not written since
  the deletion that the barrier proves applied, if there was one.

Anything else is looked at again. A difference must stand twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from connectors.seams import TextRow

Equal = Callable[[TextRow, TextRow], bool]
CONFIRMATIONS = 2
ROUNDS_MAX = 8
"""After so many a row that keeps changing is reported as unsettled."""


class Kind(StrEnum):
    """How a target row differs from what the mapping makes of the source."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


class Verdict(StrEnum):
    """What two looks at a key say."""

    EQUAL = "equal"
    DIFFERS = "differs"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A key whose rows differ, or were not read at the same moment. source_key: None where it is not known."""

    target_key: TextRow
    source_key: TextRow | None


@dataclass(frozen=True, slots=True)
class Version:
    """A row of one side. values: what the target should have of it, or has; None where the mapping takes no row."""

    version: str
    values: TextRow | None


@dataclass(frozen=True, slots=True)
class Look:
    """A key's rows, the target's read first; None where there is none."""

    target: Version | None
    source: Version | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A confirmed one. expected, actual: the target's columns as text; None where there is, or should be, no row."""

    suspect: Suspect
    expected: TextRow | None
    actual: TextRow | None

    @property
    def kind(self) -> Kind:
        """What it is."""
        if self.actual is None:
            return Kind.MISSING
        return Kind.EXTRA if self.expected is None else Kind.DIFFERENT


def judge(before: Look, after: Look, equal: Equal) -> Verdict:
    """What a look before a barrier and one after it say about a key."""
    actual = after.target.values if after.target else None
    if _same(actual, _expected(after), equal) or _same(actual, _expected(before), equal):
        return Verdict.EQUAL
    if before.source is not None and after.source is not None:
        return Verdict.DIFFERS if before.source.version == after.source.version else Verdict.CHANGED
    if before.source is None and after.source is None and before.target is not None and after.target is not None:
        return Verdict.DIFFERS if before.target.version == after.target.version else Verdict.CHANGED
    return Verdict.CHANGED


class Trial:
    """One suspect's way to a verdict."""

    def __init__(self, suspect: Suspect, first: Look, equal: Equal) -> None:
        self.suspect = suspect
        self.difference: Difference | None = None
        self.settled = _same(first.target.values if first.target else None, _expected(first), equal)
        self._equal = equal
        self._last = first
        self._stood = 0
        self._rounds = 0

    def look(self, look: Look) -> None:
        """Take the look after one more barrier into account."""
        verdict = judge(self._last, look, self._equal)
        self._last = look
        self._rounds += 1
        self._stood = self._stood + 1 if verdict is Verdict.DIFFERS else 0
        self.settled = verdict is Verdict.EQUAL
        if self._stood >= CONFIRMATIONS:
            self.difference = Difference(self.suspect, _expected(look), look.target.values if look.target else None)

    @property
    def open(self) -> bool:
        """Whether it is to be looked at again."""
        return not self.settled and self.difference is None and self._rounds < ROUNDS_MAX


def differing(columns: int, difference: Difference, equal: Callable[[int, str | None, str | None], bool]) -> list[int]:
    """Which columns differ, by number; all of a row that is missing or extra."""
    expected, actual = difference.expected, difference.actual
    if expected is None or actual is None:
        return list(range(columns))
    return [i for i in range(columns) if not equal(i, expected[i], actual[i])]


def _expected(look: Look) -> TextRow | None:
    return look.source.values if look.source else None


def _same(one: TextRow | None, other: TextRow | None, equal: Equal) -> bool:
    if one is None or other is None:
        return one is other
    return equal(one, other)
