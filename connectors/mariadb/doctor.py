"""What `doctor` asks of MariaDB or MySQL as a target, as frozen facts. Nothing is judged here, nothing is written.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pymysql
from pymysql.cursors import DictCursor

from connectors.mariadb.catalogue import load_tables
from connectors.mariadb.errors import RIGHTS
from connectors.mariadb.grants import missing_grants, ticked
from connectors.mariadb.session import Raw, is_mariadb, version_of
from connectors.seams import MissingGrant
from mappers.mapping import Table
from mappers.projection import qualified

WRITES = ("SELECT", "INSERT", "UPDATE", "DELETE")
SETTINGS = (
    "max_allowed_packet", "local_infile", "read_only", "binlog_format", "log_bin", "max_connections", "tmpdir",
)  # fmt: skip
_PROBE = "changeover_doctor"
_CONTROL = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "INDEX"))
_TRIGGER = frozenset(("TRIGGER",))
Granted = Sequence[tuple[frozenset[str], str]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check constraint. drop: the statement that removes it."""

    table: str
    name: str
    clause: str
    drop: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index. prefix: it has only the first bytes of a column, or an expression."""

    table: str
    name: str
    columns: tuple[str, ...]
    unique: bool
    prefix: bool

    @property
    def drop(self) -> str:
        """The statement that removes it."""
        schema, _, name = self.table.partition(".")
        return f"DROP INDEX {ticked(self.name)} ON {ticked(schema, name)}"


@dataclass(frozen=True, slots=True)
class MariadbState:
    """The target. tables: by full name; what is not there is absent. loads: rows can be sent to it.

    clock_ahead_s: how far its clock is ahead of this machine's. temporary, control: the statement that grants the right
    to make temporary tables, and to make and use the control database; None where it is there. hides_triggers: names of
    tables whose triggers the account may not see. filled: tables that have rows.
    """

    where: str
    user: str
    product: str
    version: str
    settings: Mapping[str, str]
    connections_used: int
    clock_ahead_s: float
    loads: bool
    tables: Mapping[str, Table]
    indexes: tuple[Index, ...]
    checks: tuple[Check, ...]
    grants: tuple[MissingGrant, ...]
    temporary: str | None
    control: str | None
    hides_triggers: frozenset[str]
    filled: frozenset[str]


def target_state(raw: Raw, where: str, names: Iterable[tuple[str, str]], control: str) -> MariadbState:
    """Everything about the target. control: the name of the control database."""
    wanted = list(names)
    tables = load_tables(raw, wanted)
    grants = missing_grants(raw, [(t.schema, t.name) for t in tables.values()], WRITES)
    unread = {grant.table for grant in grants if "SELECT" in grant.privileges}
    user = str(_one(raw, "SELECT current_user()"))
    found = {str(row["Variable_name"]): str(row["Value"]) for row in _rows(raw, "SHOW VARIABLES")}
    granted = _granted(raw)
    mend = f"GRANT ALL PRIVILEGES ON `{control}`.* TO {_quoted(user)}"
    used = _rows(raw, "SHOW STATUS LIKE 'Threads_connected'")
    return MariadbState(
        where=where,
        user=user,
        product="MariaDB" if is_mariadb(raw) else "MySQL",
        version=version_of(raw).split("-")[0],
        settings={name: found.get(name, "") for name in SETTINGS},
        connections_used=int(str(used[0]["Value"])) if used else 0,
        clock_ahead_s=_clock(raw),
        loads=raw.can_load,
        tables=tables,
        indexes=tuple(_indexes(raw, tables.values())),
        checks=tuple(_checks(raw, tables.values())),
        grants=tuple(grants),
        temporary=_temporary(raw, user),
        control=mend if not _holds(granted, _CONTROL, f"{control}.*") else None,
        hides_triggers=frozenset(n for n, t in tables.items() if not _holds(granted, _TRIGGER, f"{t.schema}.*", n)),
        filled=frozenset(n for n, t in tables.items() if n not in unread and _has_rows(raw, t)),
    )


def _clock(raw: Raw) -> float:
    before = time.time()
    theirs = float(str(_one(raw, "SELECT CAST(unix_timestamp(sysdate(6)) AS CHAR)")))
    return theirs - (before + time.time()) / 2


def _indexes(raw: Raw, tables: Iterable[Table]) -> list[Index]:
    found = []
    for table in tables:
        columns: dict[str, list[dict[str, object]]] = {}
        for row in _rows(raw, f"SHOW INDEX FROM {qualified(table)}"):
            columns.setdefault(str(row["Key_name"]), []).append(row)
        for name, rows in columns.items():
            names = tuple(str(row["Column_name"]) for row in rows if row["Column_name"] is not None)
            prefix = any(row["Sub_part"] is not None or row["Column_name"] is None for row in rows)
            found.append(Index(table.full_name, name, names, not rows[0]["Non_unique"], prefix))
    return found


def _checks(raw: Raw, tables: Iterable[Table]) -> list[Check]:
    """Those that a person wrote; json_valid is the type's own."""
    level = "c.TABLE_NAME = %s" if is_mariadb(raw) else "t.TABLE_NAME = %s"
    query = (
        "SELECT c.CONSTRAINT_NAME AS name, c.CHECK_CLAUSE AS clause FROM information_schema.CHECK_CONSTRAINTS c"
        if is_mariadb(raw)
        else "SELECT c.CONSTRAINT_NAME AS name, c.CHECK_CLAUSE AS clause FROM information_schema.CHECK_CONSTRAINTS c"
        " JOIN information_schema.TABLE_CONSTRAINTS t USING (CONSTRAINT_SCHEMA, CONSTRAINT_NAME)"
    )
    found = []
    for table in tables:
        for row in _rows(raw, f"{query} WHERE c.CONSTRAINT_SCHEMA = %s AND {level}", (table.schema, table.name)):
            clause = str(row["clause"])
            if not clause.startswith("json_valid("):
                drop = f"ALTER TABLE {ticked(table.schema, table.name)} DROP CONSTRAINT {ticked(str(row['name']))}"
                found.append(Check(table.full_name, str(row["name"]), clause, drop))
    return found


def _temporary(raw: Raw, user: str) -> str | None:
    """Tried: temporary tables leave nothing behind."""
    database = str(_one(raw, "SELECT database()"))
    try:
        raw.query(f"CREATE TEMPORARY TABLE {_PROBE} (n int)")
        raw.query(f"DROP TEMPORARY TABLE {_PROBE}")
    except pymysql.Error as error:
        if error.args and error.args[0] in RIGHTS:
            return f"GRANT CREATE TEMPORARY TABLES ON `{database}`.* TO {_quoted(user)}"
        raise
    return None


def _granted(raw: Raw) -> list[tuple[frozenset[str], str]]:
    """(rights, database.table) of what the account was granted."""
    found = []
    for row in _rows(raw, "SHOW GRANTS"):
        rights, _, rest = str(next(iter(row.values()))).removeprefix("GRANT ").partition(" ON ")
        place = rest.partition(" TO ")[0]
        for mark in ("`", '"', "\\"):
            place = place.replace(mark, "")
        found.append((frozenset(rights.split(", ")), place))
    return found


def _holds(granted: Granted, needed: frozenset[str], *places: str) -> bool:
    """Whether one grant on one of these places, or on everything, has all of the rights."""
    return any(
        place in ("*.*", *places) and ("ALL PRIVILEGES" in rights or needed <= rights) for rights, place in granted
    )


def _has_rows(raw: Raw, table: Table) -> bool:
    return bool(_rows(raw, f"SELECT 1 AS found FROM {qualified(table)} LIMIT 1"))


def _rows(raw: Raw, query: str, values: Sequence[str] | None = None) -> list[dict[str, object]]:
    with raw.cursor(DictCursor) as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


def _one(raw: Raw, query: str) -> object:
    with raw.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return row[0] if row else None


def _quoted(user: str) -> str:
    name, _, host = user.rpartition("@")
    return f"'{name}'@'{host}'"
