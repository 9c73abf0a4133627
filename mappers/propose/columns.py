"""Which column of one table is which of another: certain names first, then what is left, and only where it is alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mappers.propose.conversion import Conversion, Fit, convert
from mappers.propose.families import read_type
from mappers.propose.known import Known
from mappers.propose.leftovers import Leftover, best_pairs
from mappers.propose.lexicon import CONTRAST, FORMER, ID_WORDS
from mappers.propose.records import ColumnMatch
from mappers.propose.sides import LEVELS, STYLE, ColumnWords, TableWords, renamed
from mappers.propose.similarity import likeness
from mappers.propose.words import name_of

MARGIN = 0.1
"""By how much a guess must be better than any other for the same column, on either side."""
WORTH_A_WORD = 0.55
"""A guess below this is not even mentioned."""


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
        how = convert(one.column, other.column)
        note, live = how.why, how.fit in (Fit.EXACT, Fit.CAST)
        if live and how.fit is Fit.CAST and one.in_key != other.in_key and _other_kind(one, other):
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
        return convert(one.column, other.column)


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
    _former_key(pairing)
    _references(pairing)
    _keys(pairing)
    _guesses(pairing)
    _what_is_left(pairing)
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
    if level > STYLE and fit is Fit.CAST and _other_kind(one, other):
        confidence -= 0.04
    pairing.take(one, other, confidence)


def _grouped(columns: Mapping[str, ColumnWords], key: KeyOf) -> dict[str, list[ColumnWords]]:
    groups: defaultdict[str, list[ColumnWords]] = defaultdict(list)
    for column in columns.values():
        groups[key(column)].append(column)
    return groups


def _other_kind(one: ColumnWords, other: ColumnWords) -> bool:
    return read_type(one.column.type).family is not read_type(other.column.type).family


def _former_key(pairing: Pairing) -> None:
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


def _references(pairing: Pairing) -> None:
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


def _keys(pairing: Pairing) -> None:
    """Primary keys of one column each that are called nothing but some kind of id."""
    one_key, other_key = pairing.source.table.key, pairing.target.table.key
    if len(one_key) != 1 or len(other_key) != 1:
        return
    one, other = pairing.left.get(one_key[0]), pairing.right.get(other_key[0])
    if one is None or other is None or _other_kind(one, other):
        return
    if pairing.fit(one, other).fit is Fit.NEVER or pairing.elsewhere(one, other):
        return
    if one.bare[-1] == other.bare[-1] == "id" or ID_WORDS.issuperset((*one.bare, *other.bare)):
        pairing.take(one, other, 0.88)


def _guesses(pairing: Pairing) -> None:
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


def _what_is_left(pairing: Pairing) -> None:
    """A column that must be filled and the only one of its type that goes nowhere: worth a word, and no more."""
    spoken = {name for clash in pairing.clashes for name in (clash.source, clash.target)}
    for other in list(pairing.right.values()):
        required = not (other.column.nullable or other.column.has_default or other.column.identity_always)
        same = [one for one in pairing.left.values() if one.column.type == other.column.type]
        rivals = [column for column in pairing.right.values() if column.column.type == other.column.type]
        if required and len(same) == len(rivals) == 1 and not spoken & {same[0].column.name, other.column.name}:
            pairing.clashes.append(_offer(pairing.judged(same[0], other, 0.5), "only by what is left over"))


def _offer(match: ColumnMatch, why: str) -> ColumnMatch:
    note = "; ".join(dict.fromkeys(part for part in (why, match.note) if part))
    return ColumnMatch(match.target, match.source, match.expression, match.confidence, False, note)


def _score(pairing: Pairing, one: ColumnWords, other: ColumnWords, anchors: set[tuple[int, int]]) -> float:
    learned = pairing.known.learned
    alike = max(likeness(one.words, other.words, learned), likeness(one.bare, other.bare, learned) - 0.02)
    if alike < 0.5:
        return 0.0
    fit = pairing.fit(one, other).fit
    if fit is Fit.NEVER or pairing.elsewhere(one, other) or one.in_key != other.in_key:
        return 0.0
    score = 0.9 * alike + (0.06 if (one.place, other.place) in anchors else 0.0)
    if one.column.type == other.column.type:
        score += 0.04 + (0.02 if one.column.nullable == other.column.nullable else 0.0)
    elif fit is Fit.DECIDE or _other_kind(one, other):
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
