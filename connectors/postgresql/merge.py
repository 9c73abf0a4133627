"""The SQL of project and merge, for one mapping entry over one staged relation. Pure: text in, text out.

`s` is the staged relation: the source's columns, and what `stage.py` puts beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.postgresql.stage import GONE, GROUP, NUMBER
from mappers.mapping import Entry
from mappers.projection import qualified, quote


def passes(entry: Entry) -> str:
    """Whether a staged row belongs into this target table; a filter that is unknown keeps it out."""
    gone = f"NOT s.{GONE}"
    return f"{gone} AND ({entry.where.sql}) IS TRUE" if entry.where else gone


def cast(entry: Entry, column: str) -> str:
    """The column's expression in exactly the target's type (checked at the start to lose nothing)."""
    return f"CAST({entry.expression(column).sql} AS {entry.target.column(column).type})"


def projected(entry: Entry, columns: Sequence[str]) -> str:
    """A select list of target columns."""
    return ", ".join(f"{cast(entry, column)} AS {quote(column)}" for column in columns)


def filtered(entries: Sequence[Entry], relation: str) -> str | None:
    """Ordinals of live rows that no entry takes: filtered by the mapping. None where no row can be."""
    if any(entry.where is None for entry in entries):
        return None
    taken = " OR ".join(f"({passes(entry)})" for entry in entries)
    return f"SELECT s.{NUMBER} FROM {relation} AS s WHERE NOT s.{GONE} AND NOT ({taken})"


def delete(entry: Entry, relation: str, *, everything: bool = False) -> str:
    """Removes the target rows of source rows that are gone or no longer pass the filter; or of all staged keys."""
    leaves = "true" if everything else f"NOT ({passes(entry)})"
    target = qualified(entry.target)
    if not entry.key_is_derived:
        carried = _equal(entry.carrier, [f"s.{quote(column)}" for column in entry.source_key])
        moved = " OR ".join(f"t.{quote(k)} IS DISTINCT FROM {cast(entry, k)}" for k in entry.key)
        return f"DELETE FROM {target} AS t USING {relation} AS s WHERE {carried} AND ({leaves} OR {moved})"
    keys = projected(entry, entry.key)
    gone = f"SELECT {keys} FROM {relation} AS s WHERE {leaves}"
    return f"DELETE FROM {target} AS t USING ({gone}) AS d WHERE {_equal(entry.key, _of('d', entry.key))}"


def made_by(entry: Entry) -> str:
    """Whether target row `t` is what source row `s` makes; of `s` only the source key need be set."""
    if entry.key_is_derived:
        return _equal(entry.key, [cast(entry, column) for column in entry.key])
    return _equal(entry.carrier, [f"s.{quote(column)}" for column in entry.source_key])


def upsert(entry: Entry, relation: str, *, sparing: bool = False) -> str:
    """Writes the rows that travelled whole. sparing: those that are there already, to the letter, are not touched."""
    columns = [column.name for column in entry.columns]
    names = ", ".join(map(quote, columns))
    rest = [column for column in columns if column not in entry.key]
    key = ", ".join(map(quote, entry.key))
    changes = ", ".join(f"{quote(column)} = excluded.{quote(column)}" for column in rest)
    conflict = f"DO UPDATE SET {changes}" if rest else "DO NOTHING"
    if rest and sparing:
        conflict += f" WHERE {_row('t', rest)} IS DISTINCT FROM {_row('excluded', rest)}"
    return (
        f"INSERT INTO {qualified(entry.target)} AS t ({names}) OVERRIDING SYSTEM VALUE "
        f"SELECT {projected(entry, columns)} FROM {relation} AS s WHERE s.{GROUP} = 0 AND {passes(entry)} "
        f"ON CONFLICT ({key}) {conflict}"
    )


def insert(entry: Entry, relation: str) -> str:
    """Writes rows that must not be there yet: a chunk."""
    columns = [column.name for column in entry.columns]
    names = ", ".join(map(quote, columns))
    return (
        f"INSERT INTO {qualified(entry.target)} ({names}) OVERRIDING SYSTEM VALUE "
        f"SELECT {projected(entry, columns)} FROM {relation} AS s WHERE {passes(entry)}"
    )


def absent(entry: Entry, relation: str, group: int) -> str:
    """Ordinals of rows that travelled without some values and have no target row to keep those values of."""
    match = _equal(entry.key, [cast(entry, key) for key in entry.key])
    if not entry.key_is_derived:
        match += " AND " + _equal(entry.carrier, [f"s.{quote(column)}" for column in entry.source_key])
    there = f"SELECT FROM {qualified(entry.target)} AS t WHERE {match}"
    return (
        f"SELECT s.{NUMBER} FROM {relation} AS s WHERE s.{GROUP} = {group} AND {passes(entry)} AND NOT EXISTS ({there})"
    )


def update(entry: Entry, relation: str, group: int, untouched: frozenset[str]) -> str | None:
    """Writes what did travel of rows in a group; None where nothing did."""
    columns = [c.name for c in entry.columns if c.name not in untouched and c.name not in entry.key]
    if not columns:
        return None
    rows = f"SELECT {projected(entry, [*entry.key, *columns])} FROM {relation} AS s"
    changes = ", ".join(f"{quote(column)} = p.{quote(column)}" for column in columns)
    rows += f" WHERE s.{GROUP} = {group} AND {passes(entry)}"
    return (
        f"UPDATE {qualified(entry.target)} AS t SET {changes} FROM ({rows}) AS p "
        f"WHERE {_equal(entry.key, _of('p', entry.key))}"
    )


def conflicts(entry: Entry, relation: str, columns: Sequence[str], wanted: Sequence[str]) -> str:
    """Rows of the target that hold a unique value which a staged row needs: their `wanted` columns, as text."""
    needed = [column for column in columns if any(c.name == column for c in entry.columns)]
    other = " OR ".join(f"t.{quote(key)} IS DISTINCT FROM p.{quote(key)}" for key in entry.key)
    both = list(dict.fromkeys([*needed, *entry.key]))
    rows = f"SELECT {projected(entry, both)} FROM {relation} AS s WHERE {passes(entry)}"
    texts = ", ".join(f"t.{quote(column)}::text" for column in wanted)
    match = _equal(needed, _of("p", needed))
    return f"SELECT DISTINCT {texts} FROM {qualified(entry.target)} AS t JOIN ({rows}) AS p ON {match} WHERE {other}"


def duplicates(entry: Entry, relation: str, columns: Sequence[str]) -> str:
    """Whether two staged rows need the same unique value: then no order of writing them can be right."""
    there = [column for column in columns if any(c.name == column for c in entry.columns)]
    present = " AND ".join(f"p.{quote(column)} IS NOT NULL" for column in there)
    rows = f"SELECT {projected(entry, there)} FROM {relation} AS s WHERE {passes(entry)}"
    groups = ", ".join(_of("p", there))
    return f"SELECT true FROM ({rows}) AS p WHERE {present} GROUP BY {groups} HAVING count(*) > 1 LIMIT 1"


def _row(alias: str, columns: Sequence[str]) -> str:
    """A row as text: not every type can be compared, but every one can be written."""
    return f"ROW({', '.join(_of(alias, columns))})::text"


def _of(alias: str, columns: Sequence[str]) -> list[str]:
    return [f"{alias}.{quote(column)}" for column in columns]


def _equal(columns: Sequence[str], values: Sequence[str]) -> str:
    return " AND ".join(f"t.{quote(column)} = {value}" for column, value in zip(columns, values, strict=True))
