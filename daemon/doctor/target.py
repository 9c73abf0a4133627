"""The new database as a server: rights, room, and what it does by itself when rows arrive. Pure."""

from __future__ import annotations

from psycopg.sql import Identifier

from connectors.control.schema import DEFAULT_SCHEMA, VERSION
from daemon.doctor.case import CONTROL, SOURCE, TARGET, Case
from daemon.doctor.databases import clock, grants, reachable, row_security, unlogged, version
from daemon.doctor.findings import Check, How, Verdict, fail, warn
from daemon.doctor.words import counted, listed

AREA = "target"
NEED = (TARGET,)
POOL_CONNECTIONS = 8
"""What the daemon opens besides its workers, at most."""


def _primary(case: Case) -> Verdict:
    if case.target.side.server.in_recovery:
        return [fail("it is a standby, and cannot be written to", "target.url: the primary", How.FILE)]
    return "it is the primary"


def _encoding(case: Case) -> Verdict:
    encoding = case.target.side.server.encoding
    if encoding != "UTF8":
        database = case.target.side.server.database
        mend = f"CREATE DATABASE {_quoted(database + '_utf8')} ENCODING 'UTF8' TEMPLATE template0 -- and use that one"
        return [fail(f"the encoding is {encoding}: not every text can be stored", mend, How.TARGET)]
    return "UTF8"


def _locale(case: Case) -> Verdict:
    if case.found_source is not None and case.source.side.locale == case.target.side.locale:
        return "the same as the source's: the source may run the projection of a backfill"
    return "not the source's: lower(), order and patterns may differ, so the target runs every projection"


def _rights(case: Case) -> Verdict:
    rights = case.target.rights
    faults = [
        fail(seen, mend, How.TARGET, about)
        for about, seen, mend in (
            ("TEMPORARY", "the role may not make temporary tables, in which rows are staged", rights.temporary),
            ("CREATE", f"the role may not create the schema {DEFAULT_SCHEMA}", rights.create_schema),
            ("schema", f"the role may not use, and extend, the schema {DEFAULT_SCHEMA}", rights.use_schema),
            ("control tables", f"the role may not write to every table of {DEFAULT_SCHEMA}", rights.use_tables),
        )
        if mend is not None
    ]
    return faults or f"temporary tables, and the schema {DEFAULT_SCHEMA}"


def control_schema(case: Case) -> Verdict:
    """Whether the control schema is one that this program knows."""
    if CONTROL in case.errors:
        return [fail(case.errors[CONTROL][0], "see the rights above", How.SETTING)]
    found = case.control.version
    if found is None:
        return f"there is no schema {DEFAULT_SCHEMA} yet: the first start makes it"
    if found > VERSION:
        seen = f"the schema {DEFAULT_SCHEMA} has version {found}, this program knows up to {VERSION}"
        return [fail(seen, "install the newer changeover that wrote it", How.SETTING)]
    return f"version {found}" + (f", to be upgraded to {VERSION} by the next start" if found < VERSION else "")


def _connections(case: Case) -> Verdict:
    state = case.target.side.state
    needed = POOL_CONNECTIONS + 2 * case.config.backfill.workers
    server = state.connections_max - state.connections_used
    limits = [(server, f"ALTER SYSTEM SET max_connections = {state.connections_max + 100} -- then restart the server")]
    if not state.superuser:
        side = case.target.side.server
        if state.database_limit >= 0:
            mend = f"ALTER DATABASE {_quoted(side.database)} CONNECTION LIMIT {state.database_used + 2 * needed}"
            limits.append((state.database_limit - state.database_used, mend))
        if state.role_limit >= 0:
            mend = f"ALTER ROLE {_quoted(side.user)} CONNECTION LIMIT {state.role_used + 2 * needed}"
            limits.append((state.role_limit - state.role_used, mend))
    free, mend = min(limits)
    seen = f"{free} connections are free, about {needed} are needed"
    return [warn(seen, mend, How.TARGET)] if free < needed else seen


def _quoted(name: str) -> str:
    return Identifier(name).as_string()


def _foreign_keys(case: Case) -> Verdict:
    tables = case.target.side.tables
    having = {name: table.foreign_keys for name, table in tables.items() if table.foreign_keys}
    mend = case.target.rights.replica_role
    if mend is None:
        return "the role may set session_replication_role: they do not fire while rows are moved"
    faults = [
        fail(f"its foreign keys ({listed(keys)}) would be checked, and tables arrive in no mutual order",
             mend, How.TARGET, name)
        for name, keys in having.items()
    ]  # fmt: skip
    return faults or "no target table has one"


def _triggers(case: Case) -> Verdict:
    """Triggers that would do a second time what the source's application has done."""
    mend, faults = case.target.rights.replica_role, []
    for trigger in case.target.triggers:
        if trigger.enabled != "O":
            kind = "ENABLE ALWAYS" if trigger.enabled == "A" else "ENABLE REPLICA"
            statement = trigger.to_disabled if mend is not None else trigger.to_origin
            seen = f"the trigger is {kind}: it fires for every row that is moved"
            faults.append(warn(seen, statement, How.TARGET, f"{trigger.table}.{trigger.name}"))
        elif mend is not None:
            seen = "the trigger fires for every row that is moved, since the role may not set session_replication_role"
            faults.append(warn(seen, mend, How.TARGET, f"{trigger.table}.{trigger.name}"))
    return faults or "none fires while rows are moved"


def _sequences(case: Case) -> Verdict:
    count = sum(case.target.sequences.values())
    if not count:
        return "no target table has one"
    tables = listed(sorted(case.target.sequences))
    return f"{counted(count, 'sequence')} of {tables}: not moved by the stream, to be set at the cutover"


def _grants(case: Case) -> Verdict:
    return grants(case.target.side, How.TARGET)


def _unlogged(case: Case) -> Verdict:
    return unlogged(case.target.side, How.TARGET, "a crash empties it, and the position stays")


def _row_security(case: Case) -> Verdict:
    return row_security(case.target.side, How.TARGET)


CHECKS = (
    Check("reachable", "the target answers within the time limit", lambda case: reachable(case, TARGET)),
    Check("version", "PostgreSQL 15 or later", lambda case: version(case.target.side), NEED),
    Check("primary", "it is not a standby", _primary, NEED),
    Check("encoding", "UTF8", _encoding, NEED),
    Check("locale", "the same as the source's, or else the target runs every projection", _locale, (SOURCE, TARGET)),
    Check("clock", "its clock is this machine's", lambda case: clock(case.target.side), NEED),
    Check("connections", "enough connections are free", _connections, NEED),
    Check("rights", "temporary tables, and the control schema", _rights, NEED),
    Check("control schema", "of this program's version, or to be made or upgraded", control_schema, NEED),
    Check("grants", "the role may read and write every target table", _grants, NEED),
    Check("row security", "row level security keeps no rows from the role", _row_security, NEED),
    Check("unlogged", "no target table is unlogged", _unlogged, NEED),
    Check("foreign keys", "none is checked while rows are moved", _foreign_keys, NEED),
    Check("triggers", "none fires while rows are moved", _triggers, NEED),
    Check("sequences", "said, since the stream does not move them", _sequences, NEED),
)
