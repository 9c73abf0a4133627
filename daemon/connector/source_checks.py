"""What a source must offer before a stream is asked of it: every problem at once, each with the SQL that mends it.

Some of these would hurt the live application rather than the stream: PostgreSQL refuses UPDATE and DELETE on a
published table whose rows it cannot identify.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.sql import Identifier

from connectors.postgresql.catalogue import ServerFacts, load_tables, server_facts
from connectors.postgresql.publication import differing_partitions
from connectors.postgresql.slots import read_slot
from mappers.errors import ConfigError, Problem
from mappers.keys import mend_no_key
from mappers.mapping import Table

OLDEST_SERVER = 150_000
SOURCE = ("source",)
SERVER = ("source", "server")
"""Where the problems are: of the server as a whole, or of a table, whose name follows SOURCE."""
CARRIED_ARRAYS = frozenset(
    ("integer", "bigint", "text", "character varying", "character", "uuid", "json", "jsonb", "date")
)
"""Element types of arrays for which Debezium says that an unchanged TOAST value did not travel. For any other array,
and for `UNMARKED`, it has no such word: it fails on it (or, in its default mode, sends NULL)."""
UNMARKED = frozenset(("bit varying", "path", "polygon"))
_MODIFIER = re.compile(r"\([^)]*\)")


def check_source(
    conn: psycopg.Connection[Any], tables: Mapping[tuple[str, str], tuple[str, ...]], slot: str
) -> dict[str, Table]:
    """The mapped tables as the source has them; `tables` maps each to its configured source key.

    Raises ConfigError with everything that is missing.
    """
    facts = server_facts(conn)
    found = load_tables(conn, tables)
    problems = list(_server_problems(facts, slot_exists=read_slot(conn, slot) is not None))
    for (schema, name), key in tables.items():
        table = found.get(f"{schema}.{name}")
        if table is None:
            path = (*SOURCE, f"{schema}.{name}")
            problems.append(Problem(path, "there is no such table", "correct its name in the mapping (it is exact)"))
        else:
            problems += table_problems(table, key)
    for parent, partition, quoted in differing_partitions(conn, tables):
        message = f"the replica identity of its partition {partition} is not the same"
        identity = "FULL" if found[parent].replica_identity == "f" else "DEFAULT"
        problems.append(Problem((*SOURCE, parent), message, f"ALTER TABLE {quoted} REPLICA IDENTITY {identity}"))
    if problems:
        raise ConfigError(problems)
    return found


def _server_problems(facts: ServerFacts, *, slot_exists: bool) -> Iterator[Problem]:
    if facts.version_num < OLDEST_SERVER:
        yield Problem(
            SERVER, f"PostgreSQL {facts.version_num // 10_000} is too old", "15 is the oldest that is supported"
        )
    if facts.in_recovery:
        yield Problem(SERVER, "it is a standby", "set source.url to the primary")
    if facts.wal_level != "logical":
        yield Problem(
            SERVER, f"wal_level is {facts.wal_level}", "ALTER SYSTEM SET wal_level = logical, then restart the server"
        )
    if not facts.can_replicate:
        user = Identifier(facts.user).as_string()
        yield Problem(SERVER, f"the role {facts.user} may not replicate", f"ALTER ROLE {user} REPLICATION")
    if not slot_exists and facts.slots_used >= facts.max_replication_slots:
        message = f"all {facts.max_replication_slots} replication slots are in use"
        yield Problem(
            SERVER, message, "drop one that nobody reads, or raise max_replication_slots and restart the server"
        )


def table_problems(table: Table, source_key: tuple[str, ...]) -> Iterator[Problem]:
    """What keeps a table's changes from travelling whole. `source_key` is the configured one, or empty. Pure."""
    path = (*SOURCE, table.full_name)
    key = source_key or table.key
    full = f"ALTER TABLE {Identifier(table.schema, table.name).as_string()} REPLICA IDENTITY FULL"
    unknown = sorted(set(source_key) - {column.name for column in table.columns})
    if unknown:
        yield Problem(path, f"its source_key names columns that are not there: {', '.join(unknown)}")
    elif not key:
        yield Problem(path, "it has no primary key", mend_no_key(table))
    elif missing := _unidentified(table, key):
        message = f"its replica identity does not carry {', '.join(missing)}: deletes and key changes would be lost"
        yield Problem(path, message, full)
    if table.replica_identity != "f" and (fragile := fragile_columns(table)):
        message = (
            f"Debezium cannot say of {', '.join(fragile)} that a large value is unchanged, "
            "and would stop at an update that leaves it alone"
        )
        yield Problem(path, message, full)


def fragile_columns(table: Table) -> list[str]:
    """Columns whose unchanged TOAST values Debezium cannot express: they need REPLICA IDENTITY FULL."""
    return [
        f"{column.name} ({column.type})" for column in table.columns if not column.generated and _fragile(column.type)
    ]


def _fragile(type_: str) -> bool:
    plain = _MODIFIER.sub("", type_)
    return plain.removesuffix("[]") not in CARRIED_ARRAYS if plain.endswith("[]") else plain in UNMARKED


def _unidentified(table: Table, key: tuple[str, ...]) -> list[str]:
    """The key's columns that the log does not carry for a deleted or re-keyed row."""
    carried = {"d": set(table.key), "i": set(table.replica_index), "f": set(key)}.get(table.replica_identity, set())
    return [column for column in key if column not in carried]
