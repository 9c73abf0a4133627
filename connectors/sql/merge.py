"""The SQL of project and merge, for one mapping entry over one staged relation. Pure: text in, text out.

`s` is the staged relation: the source's columns, and what `dialect.py` names beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.sql.dialect import GONE, GROUP, NUMBER, Dialect
from mappers.mapping import Entry
from mappers.projection import qualified, quote

FIRST = '"changeover.first"'


def passes(entry: Entry) -> str:
    """Whether a staged row belongs into this target table; a filter that is unknown keeps it out."""
    gone = f"NOT s.{GONE}"
    return f"{gone} AND ({entry.where.sql}) IS TRUE" if entry.where else gone


def cast(d: Dialect, entry: Entry, column: str) -> str:
    """The column's expression in exactly the target's type."""
    return d.values.cast(entry.expression(column).sql, entry.target.column(column).type)


def projected(d: Dialect, entry: Entry, columns: Sequence[str]) -> str:
    """A select list of target columns."""
    return ", ".join(f"{cast(d, entry, column)} AS {quote(column)}" for column in columns)


def filtered(entries: Sequence[Entry], relation: str) -> str | None:
    """Ordinals of live rows that no entry takes: filtered by the mapping. None where no row can be."""
    if any(entry.where is None for entry in entries):
        return None
    taken = " OR ".join(f"({passes(entry)})" for entry in entries)
    if any(entry.makers.explode for entry in entries):
        some = f"max(CASE WHEN {taken} THEN 1 ELSE 0 END)"
        return f"SELECT s.{NUMBER} FROM {relation} AS s WHERE NOT s.{GONE} GROUP BY s.{NUMBER} HAVING {some} = 0"
    return f"SELECT s.{NUMBER} FROM {relation} AS s WHERE NOT s.{GONE} AND NOT ({taken})"


def delete(d: Dialect, entry: Entry, relation: str, *, everything: bool = False) -> str:
    """Removes the target rows of source rows that are gone or no longer pass the filter; or of all staged keys."""
    if entry.makers.explode:
        return _delete_set(d, entry, relation, everything)
    leaves = "true" if everything else f"NOT ({passes(entry)})"
    if not entry.key_is_derived:
        moved = " OR ".join(
            d.values.distinct(f"t.{quote(k)}", cast(d, entry, k), entry.target.column(k).type) for k in entry.key
        )
        return d.writes.delete(entry, f"{relation} AS s", f"{made_by(d, entry)} AND ({leaves} OR {moved})")
    gone = f"SELECT {projected(d, entry, entry.key)} FROM {relation} AS s WHERE {leaves}"
    return d.writes.delete(entry, f"({gone}) AS d", matches(d, entry, entry.key, of("d", entry.key)))


def _delete_set(d: Dialect, entry: Entry, relation: str, everything: bool) -> str:
    """Removes the target rows of these source keys that no element makes any more."""
    sets = f"SELECT DISTINCT {projected(d, entry, entry.carrier)} FROM {relation} AS s"
    condition = matches(d, entry, entry.carrier, of("d", entry.carrier))
    if not everything:
        kept = matches(d, entry, entry.key, [cast(d, entry, column) for column in entry.key])
        condition += f" AND NOT EXISTS (SELECT 1 FROM {relation} AS s WHERE {passes(entry)} AND {kept})"
    return d.writes.delete(entry, f"({sets}) AS d", condition)


def twins(d: Dialect, entry: Entry, relation: str) -> str | None:
    """Elements of one list that make the same target key; None where there can be none, or the first counts."""
    if entry.makers.explode is None or entry.makers.explode.first_only:
        return None
    keys = ", ".join(cast(d, entry, column) for column in entry.key)
    return f"SELECT 1 FROM {relation} AS s WHERE {passes(entry)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"


def firsts(d: Dialect, entry: Entry, relation: str) -> str:
    """The relation with the first of the elements that make the same target key, where the mapping asks for that."""
    explode = entry.makers.explode
    if explode is None or not explode.first_only:
        return relation
    keys = ", ".join(cast(d, entry, column) for column in entry.key)
    place = f"row_number() OVER (PARTITION BY {keys} ORDER BY s.{quote(explode.ordinal)}) AS {FIRST}"
    return f"(SELECT * FROM (SELECT s.*, {place} FROM {relation} AS s WHERE {passes(entry)}) AS f WHERE f.{FIRST} = 1)"


def made_by(d: Dialect, entry: Entry) -> str:
    """Whether target row `t` is what source row `s` makes; of `s` only the source key need be set."""
    if entry.key_is_derived:
        return matches(d, entry, entry.key, [cast(d, entry, column) for column in entry.key])
    return matches(d, entry, entry.carrier, [cast(d, entry, column) for column in entry.carrier])


def upsert(d: Dialect, entry: Entry, relation: str, *, sparing: bool = False) -> Sequence[str]:
    """Writes the rows that travelled whole. sparing: those that are there already, to the letter, are not touched."""
    return d.writes.upsert(entry, whole(d, entry, relation), sparing=sparing)


def whole(d: Dialect, entry: Entry, relation: str) -> str:
    """Target rows of the source rows that travelled whole: the entry's columns, in order."""
    columns = [column.name for column in entry.columns]
    rows = f"{firsts(d, entry, relation)} AS s"
    return f"SELECT {projected(d, entry, columns)} FROM {rows} WHERE s.{GROUP} = 0 AND {passes(entry)}"


def insert(d: Dialect, entry: Entry, relation: str) -> str:
    """Writes rows that must not be there yet: a chunk."""
    columns = [column.name for column in entry.columns]
    relation = firsts(d, entry, relation)
    query = f"SELECT {projected(d, entry, columns)} FROM {relation} AS s WHERE {passes(entry)}"
    return d.writes.insert(entry, columns, query)


def absent(d: Dialect, entry: Entry, relation: str, group: int) -> str:
    """Ordinals of rows that travelled without some values and have no target row to keep those values of."""
    match = matches(d, entry, entry.key, [cast(d, entry, key) for key in entry.key])
    if not entry.key_is_derived:
        match += f" AND {made_by(d, entry)}"
    there = f"SELECT 1 FROM {qualified(entry.target)} AS t WHERE {match}"
    return (
        f"SELECT s.{NUMBER} FROM {relation} AS s WHERE s.{GROUP} = {group} AND {passes(entry)} AND NOT EXISTS ({there})"
    )


def update(d: Dialect, entry: Entry, relation: str, group: int, untouched: frozenset[str]) -> str | None:
    """Writes what did travel of rows in a group; None where nothing did."""
    columns = [c.name for c in entry.columns if c.name not in untouched and c.name not in entry.key]
    if not columns:
        return None
    rows = f"SELECT {projected(d, entry, [*entry.key, *columns])} FROM {relation} AS s"
    rows += f" WHERE s.{GROUP} = {group} AND {passes(entry)}"
    changes = [(column, f"p.{quote(column)}") for column in columns]
    return d.writes.update(entry, f"({rows}) AS p", matches(d, entry, entry.key, of("p", entry.key)), changes)


def conflicts(d: Dialect, entry: Entry, relation: str, columns: Sequence[str], wanted: Sequence[str]) -> str:
    """Rows of the target that hold a unique value which a staged row needs: their `wanted` columns, as text."""
    needed = [column for column in columns if any(c.name == column for c in entry.columns)]
    other = " OR ".join(
        d.values.distinct(f"t.{quote(k)}", f"p.{quote(k)}", entry.target.column(k).type) for k in entry.key
    )
    rows = f"SELECT {projected(d, entry, list(dict.fromkeys([*needed, *entry.key])))} FROM {relation} AS s"
    rows += f" WHERE {passes(entry)}"
    texts = ", ".join(d.values.text(f"t.{quote(column)}", entry.target.column(column).type) for column in wanted)
    held = [d.values.collides(f"t.{quote(c)}", f"p.{quote(c)}", entry.target.column(c)) for c in needed]
    match = " AND ".join(held)
    return f"SELECT DISTINCT {texts} FROM {qualified(entry.target)} AS t JOIN ({rows}) AS p ON {match} WHERE {other}"


def duplicates(d: Dialect, entry: Entry, relation: str, columns: Sequence[str]) -> str:
    """Whether two staged rows need the same unique value: then no order of writing them can be right."""
    there = [column for column in columns if any(c.name == column for c in entry.columns)]
    present = " AND ".join(f"p.{quote(column)} IS NOT NULL" for column in there)
    rows = f"SELECT {projected(d, entry, there)} FROM {relation} AS s WHERE {passes(entry)}"
    groups = ", ".join(of("p", there))
    return f"SELECT 1 FROM ({rows}) AS p WHERE {present} GROUP BY {groups} HAVING count(*) > 1 LIMIT 1"


def of(alias: str, columns: Sequence[str]) -> list[str]:
    """These columns of that alias."""
    return [f"{alias}.{quote(column)}" for column in columns]


def matches(d: Dialect, entry: Entry, columns: Sequence[str], values: Sequence[str]) -> str:
    """Whether the target's columns hold these values."""
    pairs = zip(columns, values, strict=True)
    return " AND ".join(d.values.match(f"t.{quote(name)}", value, entry.target.column(name)) for name, value in pairs)
