"""The proposal of a whole mapping, from both schemas' tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mappers.mapping import Table
from mappers.propose.columns import match_columns
from mappers.propose.keys import merge_key, stream_key
from mappers.propose.known import Known
from mappers.propose.records import Candidate, ColumnMatch, Proposal, TableMatch
from mappers.propose.sides import TableWords, side, vocabulary
from mappers.propose.split import split_off
from mappers.propose.tables import Tables, match_tables
from mappers.propose.ways import SAME_ENGINE, Ways

MIN_CONFIDENCE = 0.8
"""A guess below this stands in a comment."""


def propose(
    sources: Sequence[Table],
    targets: Sequence[Table],
    min_confidence: float = MIN_CONFIDENCE,
    ways: Ways = SAME_ENGINE,
) -> Proposal:
    """What the target's tables can be filled from, and how. Never two sources for one target."""
    ones = side(sources, vocabulary(targets))
    others = side(targets, vocabulary(sources))
    tables = match_tables(ones, others, min_confidence, ways)
    known = tables.known()
    matches = [_match(ones[one], others[other], tables.confidence[one], known) for one, other in tables.found.items()]
    matches += split_off(matches, ones, others, known)
    taken = {match.target.full_name for match in matches}
    alone = [table for table in sources if table.full_name not in tables.found]
    return Proposal(
        tuple(in_order(matches)),
        tuple((table, tuple(_candidates(tables, table.full_name, known))) for table in alone),
        tuple(table for table in targets if table.full_name not in taken),
    )


def _match(source: TableWords, target: TableWords, confidence: float, known: Known) -> TableMatch:
    return completed(source.table, target.table, confidence, match_columns(source, target, known))


def completed(source: Table, target: Table, confidence: float, columns: tuple[ColumnMatch, ...]) -> TableMatch:
    """The pair with the keys that it needs."""
    return TableMatch(source, target, confidence, columns, merge_key(source, target, columns), stream_key(source))


def _candidates(tables: Tables, name: str, known: Known) -> Iterator[Candidate]:
    """What a table that found no place might be, most likely first."""
    taken = set(tables.found.values())
    for other, confidence in tables.candidates.get(name, ()):
        if other not in taken:
            match = _match(tables.sources[name], tables.targets[other], confidence, known)
            yield Candidate(match.target, confidence, match)


def in_order(matches: Sequence[TableMatch]) -> list[TableMatch]:
    """Tables before those that point to them, else by name; a circle is cut where it is met."""
    by_name: Mapping[str, TableMatch] = {match.target.full_name: match for match in matches}
    made: dict[str, TableMatch] = {}
    entered: set[str] = set()
    for name in sorted(by_name):
        _place(name, by_name, made, entered)
    return list(made.values())


def _place(name: str, by_name: Mapping[str, TableMatch], made: dict[str, TableMatch], entered: set[str]) -> None:
    """Depth first, without recursion: chains of foreign keys may be long."""
    waiting = [name]
    while waiting:
        here = waiting[-1]
        entered.add(here)
        first = sorted(
            key.full_name
            for key in by_name[here].target.references
            if key.full_name in by_name and key.full_name not in entered
        )
        if first:
            waiting.append(first[0])
            continue
        waiting.pop()
        made.setdefault(here, by_name[here])
