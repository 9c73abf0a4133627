"""What is left of two tables' columns, by likeness: taken where nothing else comes near, else only mentioned."""

from __future__ import annotations

from dataclasses import replace

from mappers.propose.leftovers import Leftover, best_pairs
from mappers.propose.pair import Fit
from mappers.propose.pairing import Pairing
from mappers.propose.records import ColumnMatch
from mappers.propose.sides import ColumnWords
from mappers.propose.similarity import likeness

MARGIN = 0.1
"""By how much a guess must be better than any other for the same column, on either side."""
WORTH_A_WORD = 0.55
"""A guess below this is not even mentioned."""


def guesses(pairing: Pairing) -> None:
    """What is left, by likeness: taken where it is good enough and nothing else comes near."""
    anchors = _anchors(pairing)
    weighed = [
        Leftover(one.column.name, other.column.name, score)
        for one in pairing.left.values()
        for other in pairing.right.values()
        if (score := _score(pairing, one, other, anchors)) >= WORTH_A_WORD
    ]
    for pair in best_pairs(weighed, 0.0, MARGIN):
        one, other = pairing.left[pair.source], pairing.right[pair.target]
        match = pairing.judged(one, other, pair.score)
        if pair.score < pairing.known.min_confidence:
            pairing.clashes.append(match)
        elif not pair.clear:
            pairing.clashes.append(_offer(match, "not the only candidate"))
        else:
            pairing.take(one, other, pair.score)


def what_is_left(pairing: Pairing) -> None:
    """A column that must be filled and the only one of its type that goes nowhere: worth a word, and no more."""
    spoken = {name for clash in pairing.clashes for name in (clash.source, clash.target)}
    for other in list(pairing.right.values()):
        required = not (other.column.nullable or other.column.has_default or other.column.identity_always)
        same = [one for one in pairing.left.values() if pairing.same_type(one, other)]
        rivals = [column for column in pairing.right.values() if column.column.type == other.column.type]
        if required and len(same) == len(rivals) == 1 and not spoken & {same[0].column.name, other.column.name}:
            pairing.clashes.append(_offer(pairing.judged(same[0], other, 0.5), "only by what is left over"))


def _offer(match: ColumnMatch, why: str) -> ColumnMatch:
    note = "; ".join(dict.fromkeys(part for part in (why, match.note) if part))
    return replace(match, live=False, note=note)


def _score(pairing: Pairing, one: ColumnWords, other: ColumnWords, anchors: set[tuple[int, int]]) -> float:
    learned = pairing.known.learned
    alike = max(likeness(one.words, other.words, learned), likeness(one.bare, other.bare, learned) - 0.02)
    if alike < 0.5:
        return 0.0
    fit = pairing.fit(one, other).fit
    if fit is Fit.NEVER or pairing.elsewhere(one, other) or one.in_key != other.in_key:
        return 0.0
    score = 0.9 * alike + (0.06 if (one.place, other.place) in anchors else 0.0)
    if pairing.same_type(one, other):
        score += 0.04 + (0.02 if one.column.nullable == other.column.nullable else 0.0)
    elif fit is Fit.DECIDE or pairing.other_kind(one, other):
        score -= 0.12
    if one.unique != other.unique:
        score -= 0.03
    if (one.reference is None) != (other.reference is None):
        score -= 0.05
    return min(score, 0.91)


def _anchors(pairing: Pairing) -> set[tuple[int, int]]:
    """Places between neighbours that are each other's already."""
    source = {column.name: place for place, column in enumerate(pairing.source.table.columns)}
    target = {column.name: place for place, column in enumerate(pairing.target.table.columns)}
    pairs = {(source[match.source], target[match.target]) for match in pairing.found.values()}
    pairs |= {(-1, -1), (len(source), len(target))}
    return {(i + 1, j + 1) for i, j in pairs if (i + 2, j + 2) in pairs}
