"""Reads what tables are from MariaDB's catalogue, with a snapshot that was taken before it.

DDL waits for the transactions that use its table, and those that come after it for it: a catalogue that is read after a
snapshot was taken is not older than what any transaction wrote that the snapshot sees.

MariaDB numbers neither tables nor columns for good. What can be told: names, definitions, and the storage's number,
which is another after the table was rewritten, emptied, or dropped and created (that takes the privilege PROCESS).

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pymysql

from connectors.mariadb.errors import RIGHTS
from connectors.mariadb.session import Raw, is_mariadb
from connectors.shape import ColumnShape, Part, Shape

Names = Sequence[tuple[str, str]]
"""(database, name) of tables."""
_COLUMNS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COALESCE(COLLATION_NAME, ''), IS_NULLABLE,
       COALESCE(GENERATION_EXPRESSION, ''), COLUMN_KEY
  FROM information_schema.COLUMNS WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({}) ORDER BY ORDINAL_POSITION"""
_WRITTEN = """
SELECT TABLE_SCHEMA, TABLE_NAME, CONCAT_WS(' ', COUNT(*), SUM(CRC32(c)), SUM(CRC32(REVERSE(c))))
  FROM (SELECT TABLE_SCHEMA, TABLE_NAME, CONCAT_WS('|', ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE,
               COALESCE(COLLATION_NAME, ''), COALESCE(GENERATION_EXPRESSION, '')) AS c
          FROM information_schema.COLUMNS WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({})) AS x GROUP BY 1, 2"""
_KEYS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS
 WHERE INDEX_NAME = 'PRIMARY' AND (TABLE_SCHEMA, TABLE_NAME) IN ({}) ORDER BY SEQ_IN_INDEX"""
_STORAGE = "SELECT NAME, TABLE_ID FROM information_schema.{} WHERE NAME = {} OR NAME LIKE {}"


def read_shapes(raw: Raw, names: Names) -> dict[str, Shape]:
    """schema.name -> the table's shape; a table that is not there is absent."""
    if not names:
        return {}
    columns: dict[str, dict[str, ColumnShape]] = defaultdict(dict)
    for schema, table, name, type_, collation, nullable, expression, _ in _run(raw, _COLUMNS, names):
        spelled = f"{type_} {collation}".strip()
        written = f"{spelled} {nullable} {expression}"
        columns[f"{schema}.{table}"][name] = ColumnShape(zlib.crc32(str(name).encode()), spelled, written)
    keys: dict[str, list[str]] = defaultdict(list)
    for schema, table, name in _run(raw, _KEYS, names):
        keys[f"{schema}.{table}"].append(str(name))
    there = [(schema, name) for schema, name in names if f"{schema}.{name}" in columns]
    return {
        full: Shape(
            identity=full,
            named=full,
            owner="",
            published="yes",
            rows_identity="f",
            key=tuple(keys[full]),
            partitioned=False,
            columns=columns[full],
            parts=_parts(raw, schema, name),
            replaceable=True,
        )
        for schema, name in there
        for full in (f"{schema}.{name}",)
    }


def read_written(raw: Raw, identities: Iterable[str]) -> dict[str, str]:
    """Identity -> a text that differs once a column was added, dropped or altered; "" for a table that is gone."""
    wanted = list(identities)
    split = [(schema, name) for schema, _, name in (identity.partition(".") for identity in wanted)]
    found = {f"{schema}.{table}": str(written) for schema, table, written in _run(raw, _WRITTEN, split)}
    return {identity: found.get(identity, "") for identity in wanted}


def column_types(raw: Raw, schema: str, name: str) -> dict[str, str]:
    """Column -> its type as COLUMN_TYPE spells it now."""
    rows = _run(raw, _COLUMNS, [(schema, name)])
    return {str(row[2]): str(row[3]) for row in rows}


def exists(raw: Raw, identity: str) -> bool:
    """Whether there is a table of this name."""
    schema, _, name = identity.partition(".")
    return bool(_run(raw, _COLUMNS, [(schema, name)]))


def _parts(raw: Raw, schema: str, name: str) -> dict[str, Part]:
    """The table's storage, a piece for each partition; none where the account may not see it."""
    encoded = f"CONCAT(CONVERT({_quoted(schema)} USING filename), '/', CONVERT({_quoted(name)} USING filename))"
    place = f"CONVERT(CAST({encoded} AS BINARY) USING utf8mb4)"
    view = "INNODB_SYS_TABLES" if is_mariadb(raw) else "INNODB_TABLES"
    try:
        with raw.cursor() as cursor:
            cursor.execute(_STORAGE.format(view, place, f"CONCAT(REPLACE({place}, '_', '\\\\_'), '#P#%')"))
            rows = list(cursor.fetchall())
    except pymysql.Error as error:
        if error.args and error.args[0] in RIGHTS:
            return {}
        raise
    return {str(where): Part(str(where), str(number)) for where, number in rows}


def _run(raw: Raw, query: str, names: Names) -> list[Any]:
    pairs = ", ".join(f"({_quoted(schema)}, {_quoted(name)})" for schema, name in names)
    with raw.cursor() as cursor:
        cursor.execute(query.format(pairs))
        return list(cursor.fetchall())


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
