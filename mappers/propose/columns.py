"""Which column of one table is which of another: certain names first, then what is left, and only where it is alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from mappers.propose.guesses import guesses, what_is_left
from mappers.propose.known import Known
from mappers.propose.pair import Fit
from mappers.propose.pairing import Pairing
from mappers.propose.records import ColumnMatch
from mappers.propose.sides import LEVELS, STYLE, ColumnWords, TableWords, renamed
from mappers.propose.structure import former_key, keys, references


def match_columns(source: TableWords, target: TableWords, known: Known) -> tuple[ColumnMatch, ...]:
    """A match for each target column that has one, in the target's order; some are offers only (`live`)."""
    pairing = Pairing(source, target, known)
    pairing.left = {column.column.name: column for column in source.columns}
    pairing.right = {column.column.name: column for column in target.columns if not column.column.generated}
    for level in range(len(LEVELS)):
        _by_key(pairing, level, LEVELS[level], lambda column, level=level: column.keys[level])  # type: ignore[misc]
    if known.words:
        _by_key(pairing, len(LEVELS), 0.92, lambda c: c.keys[6], lambda c: renamed(c.keys[6], known.words))
        _by_key(pairing, len(LEVELS), 0.91, lambda c: c.keys[7], lambda c: renamed(c.keys[7], known.words))
    former_key(pairing)
    references(pairing)
    keys(pairing)
    guesses(pairing)
    what_is_left(pairing)
    for clash in pairing.clashes:
        if clash.target in pairing.right and clash.source in pairing.left:
            pairing.found[clash.target] = clash
    order = {column.name: place for place, column in enumerate(target.table.columns)}
    return tuple(sorted(pairing.found.values(), key=lambda match: order[match.target]))


KeyOf = Callable[[ColumnWords], str]


def _by_key(pairing: Pairing, level: int, confidence: float, key: KeyOf, target_key: KeyOf | None = None) -> None:
    """Pairs columns that alone on their side have this key."""
    ones, others = _grouped(pairing.left, key), _grouped(pairing.right, target_key or key)
    for name, group in ones.items():
        facing = others.get(name, [])
        if len(group) == len(facing) == 1:
            _pair(pairing, level, confidence, group[0], facing[0])


def _pair(pairing: Pairing, level: int, confidence: float, one: ColumnWords, other: ColumnWords) -> None:
    fit = pairing.fit(one, other).fit
    strangers = fit is Fit.NEVER or (level > STYLE and pairing.elsewhere(one, other))
    if strangers:
        if level <= STYLE:
            pairing.clashes.append(pairing.judged(one, other, confidence))
        return
    if level > STYLE and fit is Fit.CAST and pairing.other_kind(one, other):
        confidence -= 0.04
    pairing.take(one, other, confidence)


def _grouped(columns: Mapping[str, ColumnWords], key: KeyOf) -> dict[str, list[ColumnWords]]:
    groups: defaultdict[str, list[ColumnWords]] = defaultdict(list)
    for column in columns.values():
        groups[key(column)].append(column)
    return groups
