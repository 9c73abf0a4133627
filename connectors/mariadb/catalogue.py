"""Reads MariaDB's and MySQL's catalogue into the records of `mappers.mapping`. A table's schema is its database.

Types are spelled as COLUMN_TYPE has them, and text in another character set than utf8mb4 with that behind it. MariaDB
keeps json as longtext with a check: it is called json here, as MySQL calls it. Errors of the driver pass through as
they are: callers run under `session.translated`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymysql.cursors import DictCursor

from connectors.mariadb.session import Raw, is_mariadb
from mappers.mapping import Column, ForeignKey, Table, UniqueConstraint

Names = Iterable[tuple[str, str]]
"""(database, name) of tables."""
Rows = Sequence[Mapping[str, Any]]
_Key = tuple[str, str]
_ByTable = Mapping[_Key, Rows]

SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
BYTEWISE = frozenset(("utf8mb4_nopad_bin", "utf8mb3_nopad_bin", "ascii_nopad_bin", "utf8mb4_0900_bin"))
"""Collations that compare texts as their UTF-8 bytes. utf8mb4_bin does not: it pads, so that 'a' equals 'a '."""

_TABLES = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, ENGINE AS storage, coalesce(TABLE_ROWS, 0) AS row_count,
       coalesce(DATA_LENGTH, 0) + coalesce(INDEX_LENGTH, 0) AS size
  FROM information_schema.TABLES
 WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND {TABLE_SCHEMA/TABLE_NAME} ORDER BY 1, 2"""
_COLUMNS = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, COLUMN_NAME AS name, COLUMN_TYPE AS type, DATA_TYPE AS kind,
       IS_NULLABLE = 'YES' AS nullable, COLUMN_DEFAULT AS preset, EXTRA AS extra,
       coalesce(GENERATION_EXPRESSION, '') <> '' OR EXTRA LIKE '%%GENERATED ALWAYS%%' AS generated,
       coalesce(COLLATION_NAME, '') AS collation
  FROM information_schema.COLUMNS WHERE {TABLE_SCHEMA/TABLE_NAME} ORDER BY ORDINAL_POSITION"""
_INDEXES = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, INDEX_NAME AS name, COLUMN_NAME AS col, SUB_PART IS NOT NULL AS prefix
  FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND {TABLE_SCHEMA/TABLE_NAME}
 ORDER BY INDEX_NAME, SEQ_IN_INDEX"""
_FOREIGN_KEYS = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, CONSTRAINT_NAME AS name, COLUMN_NAME AS col,
       REFERENCED_TABLE_SCHEMA AS other_schema, REFERENCED_TABLE_NAME AS other, REFERENCED_COLUMN_NAME AS other_col
  FROM information_schema.KEY_COLUMN_USAGE
 WHERE REFERENCED_TABLE_NAME IS NOT NULL AND {TABLE_SCHEMA/TABLE_NAME} ORDER BY 3, ORDINAL_POSITION"""
_TRIGGERS = """
SELECT EVENT_OBJECT_SCHEMA AS s, EVENT_OBJECT_TABLE AS t, TRIGGER_NAME AS name
  FROM information_schema.TRIGGERS WHERE {EVENT_OBJECT_SCHEMA/EVENT_OBJECT_TABLE} ORDER BY 3"""
_JSON = """
SELECT CONSTRAINT_SCHEMA AS s, TABLE_NAME AS t, CHECK_CLAUSE AS clause
  FROM information_schema.CHECK_CONSTRAINTS
 WHERE CHECK_CLAUSE LIKE 'json_valid(%%' AND {CONSTRAINT_SCHEMA/TABLE_NAME}"""

_PLACE = re.compile(r"\{(\w+)/(\w+)\}")
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_JSON_CHECK = re.compile(r'json_valid\((["`])((?:(?!\1).|\1\1)+)\1\)', re.IGNORECASE)
"""The quotes are the session's."""


def load_tables(raw: Raw, names: Names | None = None) -> dict[str, Table]:
    """The named tables, or all of the user's, by full name. A name that is not there is absent from the answer.

    Triggers show only to an account that has the privilege TRIGGER.
    """
    wanted = None if names is None else list(names)
    if wanted is not None and not wanted:
        return {}
    found = _fetch(raw, _TABLES, wanted)
    parts = [_by_table(_fetch(raw, q, wanted)) for q in (_COLUMNS, _INDEXES, _FOREIGN_KEYS, _TRIGGERS)]
    checks = _by_table(_fetch(raw, _JSON, wanted)) if is_mariadb(raw) else {}
    made = (_table(row, checks, *(part.get((row["s"], row["t"]), ()) for part in parts)) for row in found)
    return {table.full_name: table for table in made}


def load_functions(raw: Raw) -> frozenset[str]:
    """Names of the server's own functions, in lower case; empty where it has no list of them (MySQL)."""
    if not is_mariadb(raw):
        return frozenset()
    with raw.cursor() as cursor:
        cursor.execute("SELECT lower(FUNCTION) FROM information_schema.SQL_FUNCTIONS")
        return frozenset(row[0] for row in cursor.fetchall())


def labels_of(type_name: str) -> tuple[str, ...]:
    """The labels of an enum or set, as COLUMN_TYPE spells it; empty for other types."""
    if not type_name.startswith(("enum(", "set(")):
        return ()
    return tuple(label.replace("''", "'") for label in _LABEL.findall(type_name))


def spelled(column_type: str, collation: str) -> str:
    """A column's type, with the character set of a text that is not utf8mb4: varchar(20) character set latin1."""
    charset = collation.partition("_")[0]
    plain = not collation or charset == "utf8mb4" or column_type.startswith(("enum(", "set("))
    return column_type if plain else f"{column_type} character set {charset}"


def _table(row: Mapping[str, Any], checks: _ByTable, columns: Rows, indexes: Rows, keys: Rows, triggers: Rows) -> Table:
    clauses = "\n".join(check["clause"] for check in checks.get((row["s"], row["t"]), ()))
    json = {name.replace(quote * 2, quote) for quote, name in _JSON_CHECK.findall(clauses)}
    uniques = _uniques(indexes)
    primary = next((unique.columns for unique in uniques if unique.name == "PRIMARY"), ())
    return Table(
        schema=row["s"],
        name=row["t"],
        columns=tuple(_column(column, json) for column in columns),
        key=primary,
        uniques=tuple(unique for unique in uniques if unique.name != "PRIMARY"),
        foreign_keys=tuple(dict.fromkeys(key["name"] for key in keys)),
        rows_estimate=int(row["row_count"]),
        bytes_estimate=int(row["size"]),
        triggers=tuple(trigger["name"] for trigger in triggers),
        references=_references(keys),
        storage=row["storage"] or "",
    )


def _column(row: Mapping[str, Any], json: set[str]) -> Column:
    kind = "json" if row["name"] in json and row["kind"] == "longtext" else spelled(row["type"], row["collation"])
    preset = row["preset"] not in (None, "NULL") or "auto_increment" in row["extra"]
    return Column(
        name=row["name"],
        type=kind,
        nullable=bool(row["nullable"]),
        has_default=preset,
        generated=bool(row["generated"]),
        collation_c=row["collation"] in BYTEWISE,
        labels=labels_of(row["type"]) if row["kind"] == "enum" else (),
        collation=row["collation"],
    )


def _uniques(indexes: Rows) -> tuple[UniqueConstraint, ...]:
    """An index over the first bytes of a column, or over an expression, is partial."""
    grouped: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in indexes:
        grouped[row["name"]].append(row)
    return tuple(
        UniqueConstraint(
            name,
            tuple(row["col"] for row in rows if row["col"] is not None),
            any(row["prefix"] or row["col"] is None for row in rows),
        )
        for name, rows in grouped.items()
    )


def _references(keys: Rows) -> tuple[ForeignKey, ...]:
    grouped: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in keys:
        grouped[row["name"]].append(row)
    return tuple(
        ForeignKey(
            tuple(row["col"] for row in rows),
            rows[0]["other_schema"],
            rows[0]["other"],
            tuple(row["other_col"] for row in rows),
        )
        for rows in grouped.values()
    )


def _fetch(raw: Raw, query: str, names: Sequence[tuple[str, str]] | None) -> Rows:
    """The rows of a catalogue query; `{SCHEMA/TABLE}` in it stands for the columns that the tables are chosen by."""
    place = _PLACE.search(query)
    assert place is not None
    schema, table = place[1], place[2]
    if names is None:
        condition, values = f"{schema} NOT IN ({_marks(SYSTEM)})", list(SYSTEM)
    else:
        pairs = ", ".join(["(%s, %s)"] * len(names))
        schemas = sorted({name[0] for name in names})
        condition = f"{schema} IN ({_marks(schemas)}) AND ({schema}, {table}) IN ({pairs})"
        values = [*schemas, *(part for name in names for part in name)]
    with raw.cursor(DictCursor) as cursor:
        cursor.execute(_PLACE.sub(condition, query), values)
        return list(cursor.fetchall())


def _marks(values: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(values))


def _by_table(rows: Rows) -> _ByTable:
    grouped: defaultdict[_Key, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["s"], row["t"]].append(row)
    return grouped
