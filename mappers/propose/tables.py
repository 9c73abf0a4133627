"""Which table of one schema is which of the other: by name, by columns, by what points where.

None of them decides alone where another speaks against it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mappers.propose.columns import match_columns
from mappers.propose.evidence import Evidence, column_likeness, name_likeness
from mappers.propose.known import Known, known
from mappers.propose.leftovers import Leftover, best_pairs
from mappers.propose.lexicon import CONTRAST, ID_WORDS
from mappers.propose.sides import TableWords
from mappers.propose.ways import Ways

MARGIN = 0.06
ROUNDS = 5
_WORTH_COMPARING = 0.25
_NEAREST = 6
"""How many candidates of a table are compared column by column."""


@dataclass(slots=True)
class Tables:
    """The matching of two schemas while it is made. found: source table -> target table, by full name."""

    sources: Mapping[str, TableWords]
    targets: Mapping[str, TableWords]
    min_confidence: float
    ways: Ways
    found: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    keyed: dict[str, str] = field(default_factory=dict)
    """Source table -> target table with a primary key of the same telling name."""
    pointing: tuple[dict[str, set[str]], dict[str, set[str]]] = ({}, {})
    """On either side: table -> the tables that point to it."""
    candidates: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    """Source tables that found none -> what they might have become."""

    def known(self) -> Known:
        """What the columns may build on."""
        return known(self.found, _words(self), self.min_confidence, self.ways)


def match_tables(
    sources: Mapping[str, TableWords], targets: Mapping[str, TableWords], min_confidence: float, ways: Ways
) -> Tables:
    """The tables that are each other's, each at most once."""
    tables = Tables(sources, targets, min_confidence, ways)
    tables.weights = _weights([*sources.values(), *targets.values()])
    near = _near(tables)
    tables.keyed = _keyed(sources, targets)
    tables.pointing = _pointing(sources), _pointing(targets)
    for _ in range(ROUNDS):
        so_far = tables.known()
        evidence = {pair: _evidence(tables, *pair, so_far) for pair in _open(tables, near, so_far)}
        before = len(tables.found)
        _accept(tables, evidence)
        tables.candidates = _candidates(tables, evidence)
        if len(tables.found) == before:
            break
    return tables


def _accept(tables: Tables, evidence: Mapping[tuple[str, str], Evidence]) -> None:
    weighed = [Leftover(one, other, found.total) for (one, other), found in evidence.items() if found.total > 0.3]
    for pair in best_pairs(weighed, 0.0, MARGIN):
        confidence = evidence[pair.source, pair.target].confidence
        if pair.clear and confidence >= tables.min_confidence:
            tables.found[pair.source] = pair.target
            tables.confidence[pair.source] = round(confidence, 2)


def _candidates(tables: Tables, evidence: Mapping[tuple[str, str], Evidence]) -> dict[str, list[tuple[str, float]]]:
    made: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    taken = set(tables.found.values())
    for (one, other), found in evidence.items():
        if one not in tables.found and other not in taken and found.confidence >= 0.4:
            made[one].append((other, round(min(found.confidence, 0.79), 2)))
    return {one: sorted(others, key=lambda c: (-c[1], c[0]))[:3] for one, others in made.items()}


def _weights(tables: list[TableWords]) -> dict[str, float]:
    """Column key -> how telling it is: what is in every table says nothing about any."""
    counts = Counter(key for table in tables for key in {column.keys[-1] for column in table.columns})
    most = math.log(1 + len(tables))
    return {key: max(0.08, math.log((1 + len(tables)) / (1 + n)) / most) for key, n in counts.items()}


def _near(tables: Tables) -> dict[str, list[str]]:
    """Source table -> target tables with telling columns in common, most telling first."""
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for name, table in tables.targets.items():
        for key in {column.keys[-1] for column in table.columns}:
            holders[key].append(name)
    made: dict[str, list[str]] = {}
    for name, table in tables.sources.items():
        shared: Counter[str] = Counter()
        for key in {column.keys[-1] for column in table.columns}:
            for other in holders.get(key, ()):
                shared[other] += tables.weights[key]  # type: ignore[assignment]
        sizes = {other: max(len(table.columns), len(tables.targets[other].columns)) for other in shared}
        ranked = sorted(shared, key=lambda other: (-shared[other] / math.sqrt(sizes[other]), other))
        made[name] = ranked[:_NEAREST]
    return made


def _open(tables: Tables, near: Mapping[str, list[str]], known: Known) -> Iterator[tuple[str, str]]:
    """The pairs that are worth comparing and not settled yet."""
    taken = set(tables.found.values())
    for one, source in tables.sources.items():
        if one in tables.found:
            continue
        for other, target in tables.targets.items():
            if other not in taken and (other in near[one] or name_likeness(source, target, known) >= 0.6):
                yield one, other


def _evidence(tables: Tables, one: str, other: str, known: Known) -> Evidence:
    source, target = tables.sources[one], tables.targets[other]
    columns, mass = column_likeness(tables.weights, source, target, match_columns(source, target, known))
    graph = _graph(tables, source, target)
    schema, key = _schema_likeness(tables, source, target), tables.keyed.get(one) == other
    return Evidence(name_likeness(source, target, known), columns, mass, schema, graph, key)


def _keyed(sources: Mapping[str, TableWords], targets: Mapping[str, TableWords]) -> dict[str, str]:
    """Tables whose primary key is a column like actor_id that is no foreign key, once on either side."""
    mine, yours = _key_names(sources), _key_names(targets)
    return {tables[0]: yours[name][0] for name, tables in mine.items() if len(tables) == len(yours.get(name, ())) == 1}


def _key_names(tables: Mapping[str, TableWords]) -> dict[str, list[str]]:
    made: defaultdict[str, list[str]] = defaultdict(list)
    for full_name, table in tables.items():
        keys = [column for column in table.columns if column.in_key]
        if len(keys) == 1 and keys[0].reference is None and not ID_WORDS.issuperset(keys[0].words):
            made[keys[0].keys[4]].append(full_name)
    return made


def _schema_likeness(tables: Tables, source: TableWords, target: TableWords) -> float:
    """A little more for the same schema, or for the one where the others went."""
    if source.table.schema.lower() == target.table.schema.lower():
        return 0.07
    moved = Counter(
        other.rpartition(".")[0] for one, other in tables.found.items() if one.rpartition(".")[0] == source.table.schema
    )
    if moved and moved.most_common(1)[0][0] == target.table.schema:
        return 0.07
    return 0.05 if source.with_schema[:-1] and source.with_schema == target.with_schema else 0.0


def _graph(tables: Tables, source: TableWords, target: TableWords) -> float:
    """0 to 1: how well the tables that they point to, and that point to them, are each other's."""
    mine = {(False, tables.found.get(key.full_name, "")) for key in source.table.references}
    mine |= {(True, tables.found.get(name, "")) for name in tables.pointing[0].get(source.table.full_name, ())}
    yours = {(False, key.full_name) for key in target.table.references}
    yours |= {(True, name) for name in tables.pointing[1].get(target.table.full_name, ())}
    settled = {(inward, name) for inward, name in mine if name}
    if not settled or not yours:
        return 0.0
    reachable = {pair for pair in yours if pair[1] in tables.found.values()}
    union = settled | reachable
    return len(settled & yours) / len(union) if union else 0.0


def _pointing(tables: Mapping[str, TableWords]) -> dict[str, set[str]]:
    made: defaultdict[str, set[str]] = defaultdict(set)
    for name, table in tables.items():
        for key in table.table.references:
            made[key.full_name].add(name)
    return made


def _words(tables: Tables) -> dict[str, str]:
    """Target word -> source word, of tables that are each other's and differ in one word."""
    made: dict[str, str] = {}
    refuted: set[str] = set()
    for one, other in tables.found.items():
        mine, yours = tables.sources[one].words, tables.targets[other].words
        here, there = [w for w in mine if w not in yours], [w for w in yours if w not in mine]
        telling = CONTRAST.isdisjoint((*here, *there))
        if len(here) == len(there) == 1 and telling and made.setdefault(there[0], here[0]) != here[0]:
            refuted.add(there[0])
    return {word: found for word, found in made.items() if word not in refuted}
