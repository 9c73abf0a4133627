"""What `doctor` asks of PostgreSQL, as frozen facts. Nothing is judged here, nothing is written, no lock is waited for.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from connectors.postgresql import statements
from connectors.postgresql.catalogue import ServerFacts, load_tables, locale_of, server_facts, table_grants
from connectors.postgresql.publication import Publication, differing_partitions, publication
from connectors.postgresql.slots import Slot, read_slot
from connectors.seams import MissingGrant
from mappers.mapping import Table

READ_ONLY = {
    "default_transaction_read_only": "on",
    "statement_timeout": "4000",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "20000",
}
"""Settings of the sessions of `doctor`, milliseconds: harmless on a server that is in use."""
READS = ("SELECT",)
WRITES = ("SELECT", "INSERT", "UPDATE", "DELETE")

_SQL = statements.load("doctor.sql")
Names = Iterable[tuple[str, str]]
"""(schema, name) of tables."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """How a server is just now. Limits are -1 where there is none; idle_slot_limit_s 0.

    clock_ahead_s: how far its clock is ahead of this machine's. wal_bytes: None where the role may not see it.
    """

    clock_ahead_s: float
    max_wal_senders: int
    wal_senders: int
    slot_limit_bytes: int
    idle_slot_limit_s: int
    sees_sessions: bool
    wal_bytes: int | None
    connections_max: int
    connections_used: int
    database_limit: int
    database_used: int
    role_limit: int
    role_used: int
    superuser: bool


@dataclass(frozen=True, slots=True)
class OldTransaction:
    """A session's transaction that has been open for long."""

    pid: int
    database: str
    role: str
    state: str
    age_s: float


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A transaction that was prepared and never ended. quoted: its name as an SQL literal."""

    gid: str
    database: str
    quoted: str
    age_s: float


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table is besides its columns. unlogged: the table or its partitions that are, quoted."""

    table: str
    quoted: str
    partitioned: bool
    is_partition: bool
    row_security: bool
    unlogged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A user's trigger. enabled: O(rigin), A(lways) or R(eplica)."""

    table: str
    name: str
    enabled: str
    to_origin: str
    to_disabled: str


@dataclass(frozen=True, slots=True)
class CheckConstraint:
    """A check constraint. columns: those it looks at. drop: the statement that removes it."""

    table: str
    name: str
    definition: str
    columns: tuple[str, ...]
    drop: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index. arbiter: ON CONFLICT can name its columns. partial: it has a WHERE or an expression."""

    table: str
    name: str
    is_primary: bool
    is_unique: bool
    is_exclusion: bool
    arbiter: bool
    deferrable: bool
    columns: tuple[str, ...]
    partial: bool
    definition: str
    drop: str


@dataclass(frozen=True, slots=True)
class InexactText:
    """A column in which texts are equal that are not the same. exact: the statement that mends it."""

    table: str
    column: str
    why: str
    exact: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What the role lacks besides the tables, as the statement that grants it; None where it lacks nothing."""

    temporary: str | None
    create_schema: str | None
    use_schema: str | None
    use_tables: str | None
    replica_role: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """What is asked of both sides. tables: by full name; what is not there is absent. old_s: how old is long."""

    where: str
    server: ServerFacts
    state: ServerState
    locale: str
    tables: Mapping[str, Table]
    table_states: Mapping[str, TableState]
    indexes: tuple[Index, ...]
    checks: tuple[CheckConstraint, ...]
    texts: tuple[InexactText, ...]
    grants: tuple[MissingGrant, ...]
    transactions: tuple[OldTransaction, ...]
    prepared: tuple[PreparedTransaction, ...]
    old_s: float


@dataclass(frozen=True, slots=True)
class SourceState:
    """The source. published: table -> whether a row filter or a column list cuts it, of all that is published.

    partitions: (parent, partition, quoted) whose replica identity is not the parent's.
    """

    side: Side
    slot: Slot | None
    publication: Publication | None
    publication_id: str
    published: Mapping[str, bool]
    partitions: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class TargetState:
    """The target. filled: tables that have rows; one that may not be read is absent from both."""

    side: Side
    rights: Rights
    triggers: tuple[Trigger, ...]
    sequences: Mapping[str, int]
    filled: frozenset[str]


def source_state(
    conn: psycopg.Connection[Any], where: str, names: Names, slot: str, publication_name: str, old_s: float
) -> SourceState:
    """Everything about the source, on a session with the settings READ_ONLY in autocommit."""
    wanted = list(names)
    found = conn.execute("SELECT oid::text FROM pg_publication WHERE pubname = %s", (publication_name,)).fetchone()
    return SourceState(
        side=_side(conn, where, wanted, READS, old_s),
        slot=read_slot(conn, slot),
        publication=publication(conn, publication_name),
        publication_id=str(found[0]) if found else "",
        published={r["table"]: r["cut"] for r in _rows(conn, "published", {"publication": publication_name})},
        partitions=tuple(differing_partitions(conn, wanted)),
    )


def target_state(
    conn: psycopg.Connection[Any], where: str, names: Names, control_schema: str, old_s: float
) -> TargetState:
    """Everything about the target, on a session with the settings READ_ONLY in autocommit."""
    wanted = list(names)
    side = _side(conn, where, wanted, WRITES, old_s)
    (rights,) = _rows(conn, "rights", {"control": control_schema})
    unread = {grant.table for grant in side.grants if grant.schema_usage or "SELECT" in grant.privileges}
    unread |= {name for name, state in side.table_states.items() if state.row_security}
    readable = [table for table in side.tables.values() if table.full_name not in unread]
    return TargetState(
        side=side,
        rights=Rights(**rights),
        triggers=tuple(Trigger(**row) for row in _rows(conn, "triggers", _arrays(wanted))),
        sequences={row["table"]: row["sequences"] for row in _rows(conn, "sequences", _arrays(wanted))},
        filled=frozenset(table.full_name for table in readable if _has_rows(conn, table)),
    )


def _side(conn: psycopg.Connection[Any], where: str, names: list[tuple[str, str]], rights: Any, old_s: float) -> Side:
    arrays, older = _arrays(names), {"older_s": old_s}
    return Side(
        where=where,
        server=server_facts(conn),
        state=_server_state(conn),
        locale=locale_of(conn),
        tables=load_tables(conn, names),
        table_states={row["table"]: TableState(**_tupled(row)) for row in _rows(conn, "tables", arrays)},
        indexes=tuple(Index(**_tupled(row)) for row in _rows(conn, "indexes", arrays)),
        checks=tuple(CheckConstraint(**_tupled(row)) for row in _rows(conn, "checks", arrays)),
        texts=tuple(InexactText(**row) for row in _rows(conn, "texts", arrays)),
        grants=tuple(table_grants(conn, names, rights)),
        transactions=tuple(OldTransaction(**row) for row in _rows(conn, "transactions", older)),
        prepared=tuple(PreparedTransaction(**row) for row in _rows(conn, "prepared", older)),
        old_s=old_s,
    )


def _server_state(conn: psycopg.Connection[Any]) -> ServerState:
    before = time.time()
    (row,) = _rows(conn, "server", {})
    middle = (before + time.time()) / 2
    wal_bytes = _rows(conn, "wal_bytes", {})[0]["bytes"] if row.pop("sees_wal") else None
    return ServerState(clock_ahead_s=row.pop("clock_s") - middle, wal_bytes=wal_bytes, **row)


def _has_rows(conn: psycopg.Connection[Any], table: Table) -> bool:
    query = SQL("SELECT EXISTS (SELECT FROM {})").format(Identifier(table.schema, table.name))
    row = conn.execute(query).fetchone()
    return bool(row and row[0])


def _rows(conn: psycopg.Connection[Any], name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[name], dict(parameters)).fetchall()


def _arrays(names: Names) -> dict[str, list[str]]:
    pairs = list(names)
    return {"schemas": [schema for schema, _ in pairs], "names": [name for _, name in pairs]}


def _tupled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
