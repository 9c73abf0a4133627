"""Columns that are known by what they are for: keys, and the only way to another table."""

from __future__ import annotations

from collections import defaultdict

from mappers.propose.known import Known
from mappers.propose.lexicon import CONTRAST, FORMER, ID_WORDS
from mappers.propose.pair import Fit
from mappers.propose.pairing import Pairing
from mappers.propose.sides import ColumnWords
from mappers.propose.similarity import likeness
from mappers.propose.words import name_of


def former_key(pairing: Pairing) -> None:
    """legacy_id: the new schema keeps the old key."""
    key = pairing.source.table.key
    if len(key) != 1 or key[0] not in pairing.left:
        return
    one = pairing.left[key[0]]
    keepers = [
        other
        for other in pairing.right.values()
        if len(other.bare) == 2 and other.bare[1] == "id" and other.bare[0] in FORMER
    ]
    if len(keepers) == 1 and pairing.fit(one, keepers[0]).fit in (Fit.EXACT, Fit.CAST):
        pairing.take(one, keepers[0], 0.9)


def references(pairing: Pairing) -> None:
    """The only foreign key that is left to a table, and the only one to what that table became."""
    ones: defaultdict[str, list[ColumnWords]] = defaultdict(list)
    others: defaultdict[str, list[ColumnWords]] = defaultdict(list)
    for one in pairing.left.values():
        if one.reference and one.reference.full_name in pairing.known.tables:
            ones[pairing.known.tables[one.reference.full_name]].append(one)
    for other in pairing.right.values():
        if other.reference:
            others[other.reference.full_name].append(other)
    for table, group in ones.items():
        facing = others.get(table, [])
        if len(group) == len(facing) == 1 and pairing.fit(group[0], facing[0]).fit in (Fit.EXACT, Fit.CAST):
            confidence = _role_likeness(group[0], facing[0], table, pairing.known)
            if confidence >= pairing.known.min_confidence:
                pairing.take(group[0], facing[0], confidence)


def _role_likeness(one: ColumnWords, other: ColumnWords, table: str, known: Known) -> float:
    """By what the columns' names say besides the table that they point to."""
    assert one.reference is not None
    named = frozenset(word for part in (one.reference.table, table) for word in _table_words(part))
    mine, yours = _role(one, named), _role(other, named)
    if mine == yours:
        return 0.9
    if CONTRAST.intersection(mine) or CONTRAST.intersection(yours) or (mine and yours):
        alike = likeness(mine, yours, known.learned)
        return 0.9 * alike if alike > 0.9 else 0.0
    return 0.84


def _table_words(name: str) -> tuple[str, ...]:
    return name_of(name.rpartition(".")[2]).canonical


def _role(column: ColumnWords, named: frozenset[str]) -> tuple[str, ...]:
    return tuple(word for word in column.words if word not in named and word not in ("id", "key", "fk", "code"))


def keys(pairing: Pairing) -> None:
    """Primary keys of one column each that are called nothing but some kind of id."""
    one_key, other_key = pairing.source.table.key, pairing.target.table.key
    if len(one_key) != 1 or len(other_key) != 1:
        return
    one, other = pairing.left.get(one_key[0]), pairing.right.get(other_key[0])
    if one is None or other is None or pairing.other_kind(one, other):
        return
    if pairing.fit(one, other).fit is Fit.NEVER or pairing.elsewhere(one, other):
        return
    if one.bare[-1] == other.bare[-1] == "id" or ID_WORDS.issuperset((*one.bare, *other.bare)):
        pairing.take(one, other, 0.88)
