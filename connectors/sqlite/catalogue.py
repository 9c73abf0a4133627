"""Reads SQLite's schema into the records of `mappers.mapping`. Names of tables are found in whatever case they have.

A column's type is its declared one, with the collation behind it where that is not BINARY. What converts nothing is
spelled ANY: a column without a type, and ANY in a STRICT table; elsewhere ANY is a numeric type like any other word.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from connectors.seams import Names
from mappers.dialects.sqlite.affinity import ANY
from mappers.mapping import Column, ForeignKey, Table, UniqueConstraint
from mappers.projection import quote

SCHEMA = "main"
_TABLES = (
    "SELECT s.name, l.strict, l.wr FROM main.sqlite_schema AS s JOIN pragma_table_list AS l"
    " ON l.schema = 'main' AND l.name = s.name"
    " WHERE s.type = 'table' AND l.type = 'table' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_COLUMNS = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1"
_INDEXES = "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?, 'main')"
_INDEXED = "SELECT cid, name, coll FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno"
_REFERENCES = 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?, \'main\') ORDER BY id, seq'
_TRIGGERS = "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name"
_SORTED = re.compile(r"k\(\d+,(.*)\)")
_STEADY = 0x800
"""SQLITE_DETERMINISTIC."""


def load_tables(raw: sqlite3.Connection, names: Names | None = None) -> dict[str, Table]:
    """The named tables, or all but the control tables, by full name. A name that is not there is absent."""
    found = {row[0].lower(): row for row in raw.execute(_TABLES)}
    if names is None:
        wanted = [(row[0], row) for row in found.values() if not row[0].lower().startswith("changeover_")]
    else:
        wanted = [(name, found[name.lower()]) for schema, name in names if schema == SCHEMA and name.lower() in found]
    made = [_table(raw, name, bool(strict), bool(without_rowid)) for name, (_, strict, without_rowid) in wanted]
    return {table.full_name: table for table in made}


def load_functions(raw: sqlite3.Connection) -> frozenset[str]:
    """Names of built-in scalar functions that SQLite calls deterministic. The dialect sees to `now` in dates."""
    query = f"SELECT name FROM pragma_function_list WHERE builtin AND type = 's' AND flags & {_STEADY}"
    return frozenset(row[0].lower() for row in raw.execute(query))


def triggers(raw: sqlite3.Connection, table: Table) -> list[str]:
    """Names of the table's triggers."""
    return [row[0] for row in raw.execute(_TRIGGERS, (table.name,))]


def key_collations(raw: sqlite3.Connection, table: Table, key: Sequence[str]) -> set[str]:
    """The collations that the unique indexes over exactly these columns compare by."""
    wanted = {name.lower() for name in key}
    indexes = (
        raw.execute(_INDEXED, (name,)).fetchall() for name, *_ in raw.execute(_INDEXES, (table.name,)).fetchall()
    )
    return {row[2].upper() for rows in indexes if {str(row[1]).lower() for row in rows} == wanted for row in rows}


def _table(raw: sqlite3.Connection, name: str, strict: bool, without_rowid: bool) -> Table:
    rows = list(raw.execute(_COLUMNS, (name,)))
    key = tuple(row[0] for row in sorted((row for row in rows if row[4]), key=lambda row: row[4]))
    collations = _collations(raw, name, [row[0] for row in rows])
    alias = len(key) == 1 and not without_rowid and next(r[1] for r in rows if r[4]).upper() == "INTEGER"
    columns = tuple(_column(row, collations[row[0]], strict, without_rowid, alias) for row in rows)
    uniques = tuple(
        _unique(raw, index, bool(partial))
        for index, unique, origin, partial in raw.execute(_INDEXES, (name,)).fetchall()
        if unique and origin != "pk"
    )
    keys = {number: list(rows) for number, rows in groupby(raw.execute(_REFERENCES, (name,)), lambda row: row[0])}
    names = tuple(f"{number} to {rows[0][1]}" for number, rows in keys.items())
    return Table(SCHEMA, name, columns, key, uniques, names, references=tuple(map(_reference, keys.values())))


def _reference(rows: Sequence[Any]) -> ForeignKey:
    """A key that names no columns points to the other table's primary key."""
    to = tuple(row[3] for row in rows)
    return ForeignKey(tuple(row[2] for row in rows), SCHEMA, rows[0][1], () if None in to else to)


def _column(row: Sequence[Any], collation: str, strict: bool, without_rowid: bool, alias: bool) -> Column:
    name, declared, not_null, default, place, hidden = row
    in_key = bool(place) and (alias or without_rowid)
    return Column(
        name=name,
        type=_type(declared, strict) + ("" if collation == "BINARY" else f" COLLATE {collation}"),
        nullable=not (not_null or in_key),
        has_default=default is not None or (alias and bool(place)),
        generated=hidden in (2, 3),
        collation_c=collation == "BINARY",
    )


def _type(declared: str, strict: bool) -> str:
    if declared.upper() == ANY and not strict:
        return "NUMERIC"
    return declared or ANY


def _unique(raw: sqlite3.Connection, index: str, partial: bool) -> UniqueConstraint:
    """An index over an expression has no name for it."""
    rows = raw.execute(_INDEXED, (index,)).fetchall()
    plain = [row[1] for row in rows if row[0] >= 0]
    return UniqueConstraint(index, tuple(plain), partial or len(plain) < len(rows))


def _collations(raw: sqlite3.Connection, table: str, columns: Sequence[str]) -> dict[str, str]:
    """Column -> its collation, which no pragma tells: read from how SQLite would sort by the columns."""
    order = ", ".join(f"+{quote(name)}" for name in columns)
    for row in raw.execute(f"EXPLAIN SELECT 1 FROM main.{quote(table)} ORDER BY {order}"):
        if row[1] == "SorterOpen" and (found := _SORTED.match(str(row[5]))):
            names = [part.lstrip("-").upper() for part in found[1].split(",")]
            return {c: "BINARY" if n == "B" else n for c, n in zip(columns, names, strict=True)}
    raise sqlite3.DatabaseError(f"the collations of {table} cannot be read")
