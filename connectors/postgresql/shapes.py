"""Reads what tables are from PostgreSQL's catalogue, with the snapshot that it was read at.

A transaction that writes a table after an ALTER of it was either the one that altered it, or had to wait for its locks,
which are released after its commit can be seen. So a catalogue read at a snapshot that sees a transaction is not older
than what that transaction wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from connectors.postgresql import statements
from connectors.shape import ColumnShape, Part, Shape
from connectors.snapshot import Snapshot

_STATEMENTS = statements.load("shapes.sql")
Names = Iterable[tuple[str, str]]
"""(schema, name) of tables."""


def read_shapes(
    connection: psycopg.Connection[Any], names: Names, publication: str
) -> tuple[Snapshot, dict[str, Shape]]:
    """(what was seen, schema.name -> the table's shape) of at least one name; a table that is not there is absent."""
    pairs = list(names)
    wanted = {"schemas": [schema for schema, _ in pairs], "names": [name for _, name in pairs]}
    rows = statements.fetch(connection, _STATEMENTS["shapes"], {**wanted, "publication": publication})
    found = {row["table"]: _shape(row) for row in rows if row["identity"] is not None}
    return Snapshot.parse(rows[0]["snapshot"]), found


def read_written(connection: psycopg.Connection[Any], identities: Iterable[str]) -> tuple[Snapshot, dict[str, str]]:
    """(what was seen, identity -> a text that differs once a column was added, dropped or altered); "" for one gone."""
    rows = statements.fetch(connection, _STATEMENTS["written"], {"oids": [int(number) for number in identities]})
    return Snapshot.parse(rows[0]["snapshot"]), {row["identity"]: row["written"] for row in rows}


def name_of(connection: psycopg.Connection[Any], identity: str) -> str | None:
    """The name that this table has now; None where it is gone."""
    rows = statements.fetch(connection, _STATEMENTS["name_of"], {"oid": identity})
    return rows[0]["name"] if rows else None


def _shape(row: Mapping[str, Any]) -> Shape:
    plain = ("identity", "named", "owner", "published", "rows_identity", "partitioned")
    return Shape(
        **{name: row[name] for name in plain},
        key=tuple(row["key"]),
        columns={name: ColumnShape(**column) for name, column in (row["columns"] or {}).items()},
        parts={number: Part(**part) for number, part in (row["parts"] or {}).items()},
    )
