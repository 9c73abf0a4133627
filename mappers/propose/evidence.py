"""What speaks for two tables being the same, and how sure it makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mappers.propose.known import Known
from mappers.propose.lexicon import CONTRAST
from mappers.propose.records import ColumnMatch
from mappers.propose.sides import TableWords
from mappers.propose.similarity import likeness


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a pair of tables. mass: how much of the columns in common is not in every table."""

    name: float
    columns: float
    mass: float
    schema: float
    graph: float
    key: bool
    """Only these two have a primary key of that name, which is more than `id`."""

    @property
    def total(self) -> float:
        """For comparing with other pairs."""
        sure = self.mass / (self.mass + 1.0)
        return (
            0.5 * self.name + 0.4 * self.columns * (0.4 + 0.6 * sure) + 0.1 * self.graph + self.schema + 0.1 * self.key
        )

    @property
    def confidence(self) -> float:
        """How sure it is that the tables are the same: 0 to 1."""
        if self.name >= 0.9:
            if self.columns >= 0.5:
                return self.name
            return self.name - (0.08 if self.columns >= 0.3 else 0.4)
        by_columns = self.columns * (0.62 + 0.38 * self.mass / (self.mass + 1.0))
        name = max(self.name, 0.85) if self.key else self.name
        if name >= 0.5:
            doubt = (1 - 0.7 * name) * (1 - 0.8 * by_columns) * (1 - 0.3 * self.graph)
            return min(0.95, 1 - doubt) if by_columns > 0.35 else 0.4
        same = by_columns if self.mass >= 3.0 else 0.0
        return min(0.88, max(same * 0.95, by_columns * self.graph * 0.9))


def name_likeness(source: TableWords, target: TableWords, known: Known) -> float:
    """0 to 1, by the tables' names alone."""
    one, other = source.name, target.name
    if one.raw == other.raw:
        return 1.0
    if one.flat == other.flat:
        return 0.99
    if one.root == other.root:
        return 0.98
    if source.words == target.words or one.canonical == other.canonical:
        return 0.97
    if sorted(source.words) == sorted(target.words) or _with_schema(source, target):
        return 0.95
    theirs = tuple(known.words.get(word, word) for word in target.words)
    if sorted(source.words) == sorted(theirs):
        return 0.93
    tail = _tail(source.words, target.words) or _tail(source.words, theirs)
    return max(tail, 0.92 * likeness(source.words, target.words, known.learned))


def _with_schema(source: TableWords, target: TableWords) -> bool:
    """auth.users and public.auth_users."""
    return source.with_schema == target.with_schema or "".join(source.with_schema) == "".join(target.with_schema)


def _tail(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """blog_post and post: the last words of one are the other; not where the rest tells them apart."""
    short, long = sorted((one, other), key=len)
    if not short or len(short) == len(long):
        return 0.0
    rest = long[: -len(short)] if long[-len(short) :] == short else long[len(short) :]
    whole = long[-len(short) :] == short
    if not whole and long[: len(short)] != short:
        return 0.0
    if CONTRAST.intersection(rest):
        return 0.3
    return 0.8 if whole else 0.7


def column_likeness(
    weights: Mapping[str, float], source: TableWords, target: TableWords, matches: tuple[ColumnMatch, ...]
) -> tuple[float, float]:
    """(share of the columns with a counterpart, how much of it is telling). weights: by column key, how telling."""
    mine = {column.column.name: weights.get(column.keys[-1], 1.0) for column in source.columns}
    yours = {column.column.name: weights.get(column.keys[-1], 1.0) for column in target.columns}
    left = right = 0.0
    for match in matches:
        strength = match.confidence * (1.0 if match.live else 0.7 if match.confidence >= 0.9 else 0.3)
        left += strength * mine[match.source]
        right += strength * yours[match.target]
    mass = (left + right) / 2
    totals = sum(mine.values()), sum(yours.values())
    if not all(totals):
        return 0.0, 0.0
    shared = (left + right) / (totals[0] + totals[1])
    held = max(left / totals[0], right / totals[1])
    return min(1.0, 0.65 * shared + 0.35 * held), mass
