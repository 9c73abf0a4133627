"""What the mapping makes of staged rows beside what the target has for them: nothing is written.

The same expressions as project and merge, in the target's engine, over the same staged relation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.seams import Staged, StagedText
from connectors.sql.dialect import GONE, NUMBER, Dialect
from connectors.sql.merge import cast, firsts, made_by, matches, passes
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from mappers.mapping import Entry
from mappers.projection import qualified, quote

TextValues = Mapping[str, str | None]
"""Target column -> its value, in a text that differs where the value does (`Values.text`)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One staged row and one target row of its key. expected: None where the mapping makes no row of it.

    found: None where the target has none. differing: target columns whose values are not equal.
    """

    number: int
    expected: TextValues | None
    found: TextValues | None
    differing: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether the target has what the mapping makes."""
        return (self.expected is None) == (self.found is None) and not self.differing


def compare(transaction: SqlTransaction, entry: Entry, relation: str) -> list[Compared]:
    """Every staged row beside its target row; several where several target rows carry its source key."""
    d = transaction.dialect
    return [_compared(d, entry, row) for row in transaction.rows(comparison(d, entry, relation))]


def compare_all(
    transaction: SqlTransaction, mapped: MappedTable, rows: Sequence[StagedText]
) -> list[tuple[Entry, list[Compared]]]:
    """The same for every entry of a source table, in the mapping's order; stages the rows."""
    found: list[tuple[Entry, list[Compared]]] = []
    for part in mapped.parts:
        relation = transaction.stage_text(part, rows)
        found += [(entry, compare(transaction, entry, relation)) for entry in part.entries]
    return sorted(found, key=lambda pair: pair[0].index)


def comparison(d: Dialect, entry: Entry, relation: str) -> str:
    """The query of `compare`: ordinal, whether the row passes, whether a target row is there, then both, by column."""
    values = ", ".join(_column(d, entry, column.name) for column in entry.columns)
    match = made_by(d, entry)
    if entry.makers.explode:
        match += f" AND {matches(d, entry, entry.key, [cast(d, entry, column) for column in entry.key])}"
    rows = firsts(d, entry, relation)
    return (
        f"SELECT s.{NUMBER}, ({passes(entry)}), t.{quote(entry.key[0])} IS NOT NULL, {values} FROM {rows} AS s "
        f"LEFT JOIN {qualified(entry.target)} AS t ON {match} ORDER BY 1"
    )


def _column(d: Dialect, entry: Entry, name: str) -> str:
    kind = entry.target.column(name).type
    made, held = d.values.text(cast(d, entry, name), kind), d.values.text(f"t.{quote(name)}", kind)
    return f"CASE WHEN {passes(entry)} THEN {made} END, {held}"


def _compared(d: Dialect, entry: Entry, row: tuple[object, ...]) -> Compared:
    number, taken, there, *values = row
    made, held = _texts(entry, values[0::2]), _texts(entry, values[1::2])
    differing = [name for name in made if not d.values.equal(entry.target.column(name).type, made[name], held[name])]
    return Compared(
        int(str(number)),
        made if taken else None,
        held if there else None,
        tuple(differing) if taken and there else (),
    )


def _texts(entry: Entry, values: list[object]) -> TextValues:
    names = (column.name for column in entry.columns)
    return {name: None if value is None else str(value) for name, value in zip(names, values, strict=True)}


def passing_any(transaction: SqlTransaction, mapped: MappedTable, rows: Sequence[Staged]) -> set[int]:
    """Ordinals of rows of the stream that belong into any target table; stages the rows."""
    found: set[int] = set()
    for part in mapped.parts:
        relation = transaction.stage(part, rows)
        found.update(*(passing(transaction, entry, relation) for entry in part.entries))
    return found


def passing(transaction: SqlTransaction, entry: Entry, relation: str) -> set[int]:
    """Ordinals of staged rows that belong into the entry's target table."""
    query = f"SELECT s.{NUMBER} FROM {relation} AS s WHERE NOT s.{GONE} AND {passes(entry)}"
    return {int(row[0]) for row in transaction.rows(query)}
