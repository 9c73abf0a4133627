"""Reads PostgreSQL's catalogue into the records of `mappers.mapping`: tables, functions, the server, missing rights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from connectors.postgresql import statements
from connectors.seams import MissingGrant
from mappers.mapping import Column, ForeignKey, Table, UniqueConstraint

_SQL = statements.load("catalogue.sql")
Names = Iterable[tuple[str, str]]
"""(schema, name) of tables."""
_Rows = Mapping[int, Sequence[dict[str, Any]]]
"""Catalogue rows by the table's oid."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What must be known about a server before a stream is asked of it."""

    version_num: int
    """As server_version_num says it: 180006."""
    wal_level: str
    max_replication_slots: int
    slots_used: int
    in_recovery: bool
    """A standby: it has no publications of its own and writes no logical messages."""
    encoding: str
    can_replicate: bool
    user: str
    database: str
    system_identifier: str | None
    """The cluster's own number, which survives restarts and not re-creation; None where it may not be read."""


def load_tables(conn: psycopg.Connection[Any], names: Names | None = None) -> dict[str, Table]:
    """The named tables, or all of the user's, by full name. A name that is not there is absent from the answer.

    Types are spelled with the schema of all but the built-in ones, whatever the session's search path; a domain shows
    as its base type.
    """
    wanted = None if names is None else list(names)
    if wanted is not None and not wanted:
        return {}
    with _plain_search_path(conn):
        tables = _fetch(conn, "tables", {"all": wanted is None, **_arrays(wanted or ())})
        oids = {"oids": [row["oid"] for row in tables]}
        columns, indexes, keys, references = (
            _by_table(_fetch(conn, query, oids)) for query in ("columns", "indexes", "foreign_keys", "references")
        )
    made = (_table(row, columns, indexes, keys, references) for row in tables)
    return {table.full_name: table for table in made}


def retyped(conn: psycopg.Connection[Any], table: Table) -> dict[str, str]:
    """Column -> its type now, of the columns of this table that have another one; under a search path of pg_catalog."""
    known = {column.name: column.type for column in table.columns}
    rows = _fetch(conn, "types", {"schema": table.schema, "name": table.name})
    if all(known.get(row["name"], row["type"]) == row["type"] for row in rows):
        return {}
    columns = _fetch(conn, "columns", {"oids": [rows[0]["oid"]]})  # a domain shows as its base type there
    return {c["name"]: c["type"] for c in columns if known.get(c["name"], c["type"]) != c["type"]}


def load_functions(conn: psycopg.Connection[Any]) -> frozenset[str]:
    """Names of built-in functions whose every overload is immutable and gives one value for one row."""
    return frozenset(row["name"] for row in _fetch(conn, "functions"))


def locale_of(connection: psycopg.Connection[Any]) -> str:
    """Provider, collation and character type of the database, as one text."""
    query = (
        "SELECT concat_ws('/', d->>'encoding', d->>'datlocprovider', d->>'datcollate', d->>'datctype',"
        " d->>'datlocale', d->>'daticulocale', d->>'datcollversion')"
        " FROM (SELECT to_jsonb(x) AS d FROM pg_database x WHERE datname = current_database()) y"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def server_facts(conn: psycopg.Connection[Any]) -> ServerFacts:
    """What the server is and what the current user may do there."""
    (row,) = _fetch(conn, "server_facts")
    identifier = None
    if row.pop("can_identify"):
        identifier = _fetch(conn, "system_identifier")[0]["system_identifier"]
    return ServerFacts(user=row.pop("username"), system_identifier=identifier, **row)


def table_grants(conn: psycopg.Connection[Any], names: Names, privileges: Sequence[str]) -> list[MissingGrant]:
    """The tables on which the current user lacks some of `privileges` (SELECT, INSERT, ...). Empty: all is well."""
    rows = _fetch(conn, "missing_grants", {**_arrays(names), "privileges": list(privileges)})
    return [MissingGrant(row["table"], tuple(row["privileges"]), row["no_usage"], row["mend"]) for row in rows]


def _table(row: dict[str, Any], columns: _Rows, indexes: _Rows, foreign_keys: _Rows, references: _Rows) -> Table:
    oid = row["oid"]
    own = indexes.get(oid, ())
    return Table(
        schema=row["schema"],
        name=row["name"],
        columns=tuple(_column(column) for column in columns.get(oid, ())),
        key=next((tuple(index["columns"]) for index in own if index["is_primary"]), ()),
        uniques=tuple(
            UniqueConstraint(index["name"], tuple(index["columns"]), index["partial"])
            for index in own
            if not index["is_primary"]
        ),
        foreign_keys=tuple(key["name"] for key in foreign_keys.get(oid, ())),
        replica_identity=row["replica_identity"],
        replica_index=next((tuple(index["columns"]) for index in own if index["is_replica_identity"]), ()),
        rows_estimate=row["rows_estimate"],
        bytes_estimate=row["bytes_estimate"],
        references=tuple(
            ForeignKey(tuple(key["columns"]), key["schema"], key["table"], tuple(key["referenced"]))
            for key in references.get(oid, ())
        ),
    )


def _column(row: dict[str, Any]) -> Column:
    return Column(
        name=row["name"],
        type=row["type"],
        nullable=row["nullable"],
        has_default=row["has_default"],
        generated=row["generated"],
        identity_always=row["identity_always"],
        collation_c=row["collation_c"],
        labels=tuple(row["labels"]),
    )


def _fetch(
    conn: psycopg.Connection[Any], name: str, parameters: Mapping[str, object] | None = None
) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[name], parameters or {}).fetchall()


def _arrays(names: Names) -> dict[str, list[str]]:
    pairs = list(names)
    return {"schemas": [schema for schema, _ in pairs], "names": [name for _, name in pairs]}


def _by_table(rows: Iterable[dict[str, Any]]) -> _Rows:
    grouped: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["oid"]].append(row)
    return grouped


@contextmanager
def _plain_search_path(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Only pg_catalog in the path, for the block: format_type spells a type by what the path shows."""
    with conn.transaction():
        before = _fetch(conn, "search_path")[0]["search_path"]
        conn.execute(_SQL["set_search_path"], {"path": "pg_catalog"})
        yield
        conn.execute(_SQL["set_search_path"], {"path": before})
