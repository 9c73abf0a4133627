"""The names of a whole schema: what they have in common, and the keys by which the same column is found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mappers.mapping import Column, ForeignKey, Table
from mappers.propose.families import Family, read_type
from mappers.propose.lexicon import CONTRAST, FLAG_NOISE, HUNGARIAN, TABLE_PREFIXES, TABLE_SUFFIXES, TIME_NOISE
from mappers.propose.similarity import abbreviates, word_likeness
from mappers.propose.words import Name, name_of, singular, split

LEVELS = (1.0, 0.99, 0.98, 0.97, 0.95, 0.94, 0.93, 0.92)
"""How sure it is that columns with the same key are the same: as written, style, number, words, order, prefix, noise,
table."""
STYLE = 2
"""The last level that only differs in writing."""
_TIMES = (Family.DATE, Family.CLOCK, Family.TIMESTAMP, Family.INSTANT)
_STAMPED = frozenset(("created", "updated", "deleted"))
_PLAIN_SCHEMAS = frozenset(("public", "dbo", "main", ""))


@dataclass(frozen=True, slots=True)
class ColumnWords:
    """A column's name in every form. keys: by level, from as written to what is left without noise."""

    column: Column
    place: int
    words: tuple[str, ...]
    bare: tuple[str, ...]
    """Without the words of its table."""
    keys: tuple[str, ...]
    reference: ForeignKey | None
    in_key: bool
    unique: bool


@dataclass(frozen=True, slots=True)
class TableWords:
    """A table, the words of its name, and its columns'."""

    table: Table
    name: Name
    words: tuple[str, ...]
    """Canonical, without what all tables of the schema begin with."""
    with_schema: tuple[str, ...]
    columns: tuple[ColumnWords, ...]


@dataclass(frozen=True, slots=True)
class Habits:
    """What is in every name of a schema, and so says nothing. prefixes: of tables. typed: columns name their type."""

    prefixes: frozenset[str]
    suffixes: frozenset[str]
    typed: bool


def vocabulary(tables: Iterable[Table]) -> frozenset[str]:
    """Every word of the names of these tables and their columns, as written and singular."""
    found: set[str] = {"id", "at", "by", "on", "is"}
    for table in tables:
        for name in (table.schema, table.name, *(column.name for column in table.columns)):
            for word in split(name):
                found |= {word, singular(word)}
    return frozenset(found)


def side(tables: Sequence[Table], known: frozenset[str]) -> dict[str, TableWords]:
    """The tables' words by full name. known: the words of the other side."""
    habits = _habits(tables)
    return {table.full_name: _table(table, habits, known) for table in tables}


def _habits(tables: Sequence[Table]) -> Habits:
    names = [split(table.name) for table in tables]
    columns = [parts for table in tables for column in table.columns if len(parts := split(column.name)) > 1]
    typed = sum(parts[0] in HUNGARIAN for parts in columns) > 0.6 * len(columns)
    return Habits(_shared(names, 0) | TABLE_PREFIXES, _shared(names, -1) | TABLE_SUFFIXES, bool(columns) and typed)


def _shared(names: Sequence[tuple[str, ...]], place: int) -> frozenset[str]:
    """The word that most names begin or end with."""
    counts = Counter(parts[place] for parts in names if len(parts) > 1)
    return frozenset(word for word, n in counts.items() if len(names) >= 4 and n > 0.6 * len(names))


def _table(table: Table, habits: Habits, known: frozenset[str]) -> TableWords:
    name = name_of(table.name, known)
    words = _without_habit(name.canonical, habits)
    prefix = _column_prefix(table)
    own = frozenset(word for word in (*name.canonical, *words) if word not in CONTRAST)
    schema = () if table.schema.lower() in _PLAIN_SCHEMAS else name_of(table.schema, known).canonical
    references = {key.columns[0]: key for key in table.references if len(key.columns) == 1}
    uniques = {unique.columns[0] for unique in table.uniques if len(unique.columns) == 1 and not unique.partial}
    columns = tuple(
        _column(column, place, prefix, habits, own, known, references.get(column.name), table.key, uniques)
        for place, column in enumerate(table.columns)
    )
    return TableWords(table, name, words, (*schema, *words), columns)


def _without_habit(words: tuple[str, ...], habits: Habits) -> tuple[str, ...]:
    if len(words) > 1 and words[0] in habits.prefixes:
        words = words[1:]
    if len(words) > 1 and words[-1] in habits.suffixes:
        words = words[:-1]
    return words


def _column_prefix(table: Table) -> str:
    """The word that most of the table's columns begin with: cust_id, cust_name, cust_phone."""
    firsts = Counter(parts[0] for column in table.columns if len(parts := split(column.name)) > 1)
    if not firsts:
        return ""
    word, count = firsts.most_common(1)[0]
    return word if count >= 3 and count >= 0.7 * len(table.columns) else ""


def _column(
    column: Column,
    place: int,
    prefix: str,
    habits: Habits,
    own: frozenset[str],
    known: frozenset[str],
    reference: ForeignKey | None,
    key: Sequence[str],
    uniques: set[str],
) -> ColumnWords:
    name = name_of(column.name, known)
    stripped = _stripped(name, prefix, habits)
    base = name_of("_".join(stripped), known).canonical if stripped else name.canonical
    quiet = _quiet(base, column, reference)
    bare = _bare(quiet, own, read_type(column.type).family in _TIMES)
    keys = (column.name, name.flat, name.root, " ".join(name.canonical), _set(name.canonical), _set(base), _set(quiet),
            _set(bare))  # fmt: skip
    return ColumnWords(column, place, quiet, bare, keys, reference, column.name in key, column.name in uniques)


def _stripped(name: Name, prefix: str, habits: Habits) -> tuple[str, ...]:
    """The words without the prefixes that say nothing; empty where there is none."""
    parts = split(name.raw)
    before = parts
    if len(parts) > 1 and ((habits.typed and parts[0] in HUNGARIAN) or parts[0] in ("fk", "pk")):
        parts = parts[1:]
    if len(parts) > 1 and prefix and parts[0] == prefix:
        parts = parts[1:]
    return parts if parts != before else ()


def _quiet(words: tuple[str, ...], column: Column, reference: ForeignKey | None) -> tuple[str, ...]:
    """Without the words that only say what the type says too."""
    family = read_type(column.type).family
    noise: frozenset[str] = frozenset()
    if family in _TIMES or (_STAMPED.intersection(words) and "by" not in words):
        noise = TIME_NOISE
    elif family is Family.BOOLEAN or (family is Family.INTEGER and words[:1] in (("is",), ("has",))):
        noise = FLAG_NOISE
    elif reference is not None:
        noise = frozenset(("id", "fk"))
    return tuple(word for word in words if word not in noise) or words


def _bare(words: tuple[str, ...], own: frozenset[str], time: bool) -> tuple[str, ...]:
    """Without the words of the table. order_date, ordered_at and date all are an order's own time."""
    left = tuple(word for word in words if word not in own and not _short_for(word, own))
    if time and all(word in TIME_NOISE or any(word_likeness(word, name) >= 0.9 for name in own) for word in left):
        return ("its time",)
    return left or words


def _short_for(word: str, own: frozenset[str]) -> bool:
    return len(word) < 5 and word not in CONTRAST and any(abbreviates(word, name) for name in own)


def _set(words: tuple[str, ...]) -> str:
    return " ".join(sorted(words))


def renamed(key: str, learned: Mapping[str, str]) -> str:
    """A key of the target in the source's words, as far as they were learned."""
    return " ".join(sorted(learned.get(word, word) for word in key.split(" ")))
