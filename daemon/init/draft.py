"""From a proposal to entries that were tried: what `run` would refuse becomes a comment, until nothing is. Pure.

The trial itself is a function that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mappers.errors import Problem
from mappers.mapping import Column, Table
from mappers.names import quote, readable
from mappers.propose.lexicon import BOOKKEEPING
from mappers.propose.records import ColumnMatch, Proposal, TableMatch
from mappers.propose.words import split
from mappers.spec import TableSpec

Refusal = Callable[[Table, Column], str]
"""Why a source column does not travel; empty where it does."""
Trial = Callable[[TableSpec], Sequence[Problem]]
"""What would be refused of an entry; empty where it would run."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the file."""

    match: TableMatch
    starred: bool
    """`columns: "*"` says all of it."""


def drafted(proposal: Proposal, refusal: Refusal, trial: Trial, occupied: frozenset[str]) -> tuple[Item, ...]:
    """The entries, each tried alone; those that cannot be in force carry the reason."""
    return tuple(_tried(_kept(_travelling(match, refusal), occupied), trial) for match in proposal.matches)


def _travelling(match: TableMatch, refusal: Refusal) -> TableMatch:
    """Columns that cannot be followed are not in force, and nothing else is said of them."""
    reasons = {c.source: refusal(match.source, match.source.column(c.source)) for c in match.columns}
    columns = (replace(c, live=False, note=reasons[c.source]) if reasons[c.source] else c for c in match.columns)
    return replace(match, columns=tuple(columns))


def _kept(match: TableMatch, occupied: frozenset[str]) -> TableMatch:
    """The history of schema migrations is each schema's own: with rows of its own it is left alone."""
    own = "_".join(split(match.target.name)) in BOOKKEEPING
    if own and match.target.full_name in occupied:
        why = f"{match.target.full_name} has rows: it keeps the history of the new schema's own migrations"
        return replace(match, live=False, note=why)
    return match


def _tried(match: TableMatch, trial: Trial) -> Item:
    """Leaves out what is refused, column by column, else the whole entry."""
    while True:
        spec = spec_of(match)
        if spec is None:
            match = replace(match, live=False, note=match.note or "no column of it can be filled")
        problems = trial(spec) if spec and match.live else ()
        if not problems:
            return Item(match, starred(match))
        columns = {str(problem.path[3]): _told(problem) for problem in problems if _of_column(problem, match)}
        if columns:
            match = _demoted(match, columns)
        else:
            match = replace(match, live=False, note="\n".join(dict.fromkeys(map(_told, problems))))


def _of_column(problem: Problem, match: TableMatch) -> bool:
    return len(problem.path) > 3 and problem.path[2] in ("columns", "overrides") and problem.path[3] in match.filled


def _told(problem: Problem) -> str:
    return problem.message + (f"; {problem.hint}" if problem.hint else "")


def _demoted(match: TableMatch, reasons: Mapping[str, str]) -> TableMatch:
    def demote(column: ColumnMatch) -> ColumnMatch:
        why = reasons.get(column.target)
        return replace(column, live=False, note=why) if why and column.live else column

    return replace(match, columns=tuple(map(demote, match.columns)))


def spec_of(match: TableMatch) -> TableSpec | None:
    """The entry with every column written out; None where no column is in force."""
    expressions = {column.target: column.expression for column in match.columns if column.live}
    data: dict[str, object] = {"from": table_name(match.source), "to": table_name(match.target), "columns": expressions}
    if match.key:
        data["key"] = {name: expressions[name] for name in match.key if name in expressions}
    if match.source_key:
        data["source_key"] = list(match.source_key)
    return TableSpec.model_validate(data) if expressions else None


def starred(match: TableMatch) -> bool:
    """Whether columns: "*" says the same."""
    there = {column.name for column in match.source.columns}
    star = {column.name for column in match.target.columns if column.name in there and not column.generated}
    return match.filled == star and all(_plain(column) for column in match.columns if column.live)


def _plain(column: ColumnMatch) -> bool:
    """The source column of the same name, as it is."""
    return column.target == column.source and column.expression in (column.source, quote(column.source))


def table_name(table: Table) -> str:
    """The table as `from` and `to` name it."""
    return readable(table.schema, table.name)
