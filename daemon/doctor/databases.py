"""Checks that both databases have in common. Pure."""

from __future__ import annotations

from psycopg.sql import Identifier

from connectors.postgresql.doctor import Side
from connectors.seams import MissingGrant
from daemon.connector.source_checks import OLDEST_SERVER
from daemon.doctor.case import Case
from daemon.doctor.findings import Fault, How, Verdict, fail, warn
from daemon.doctor.words import counted, duration

CLOCK_S = 2.0
"""Clocks that differ by more make lags and ages hard to read. No decision rests on a clock."""


def reachable(case: Case, side: str) -> Verdict:
    """Whether a side answered."""
    if side in case.errors:
        seen, mend = case.errors[side]
        return [fail(seen, mend or "look again: it answers, and is busy or locked", How.SETTING)]
    found = dict(case.sides())[side]
    return f"{found.where} answers, as role {found.server.user}"


def version(side: Side) -> Verdict:
    """Whether the server is new enough."""
    number = side.server.version_num
    seen = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST_SERVER:
        return [fail(f"{seen} is too old", "upgrade it to PostgreSQL 15 or later", How.SETTING)]
    return seen


def clock(side: Side) -> Verdict:
    """Whether its clock is this machine's."""
    ahead = side.state.clock_ahead_s
    seen = f"its clock is {duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > CLOCK_S:
        return [warn(seen, "let both synchronise their clocks (NTP)", How.SETTING)]
    return seen


def grants(side: Side, how: How) -> Verdict:
    """Whether the role has the rights on the mapped tables."""
    faults = [fail(f"the role may not {_rights(lack)} it", lack.mend, how, lack.table) for lack in side.grants]
    return faults or f"{counted(len(side.tables), 'table')}"


def _rights(lack: MissingGrant) -> str:
    rights = ", ".join(lack.privileges) or "use the schema of"
    return f"{rights} (nor use its schema:)" if lack.schema_usage and lack.privileges else rights


def row_security(side: Side, how: How) -> Verdict:
    """Whether row level security hides rows of the mapped tables from the role."""
    role = Identifier(side.server.user).as_string()
    faults: list[Fault] = [
        fail(f"row level security hides rows from {side.server.user}", f"ALTER ROLE {role} BYPASSRLS", how, name)
        for name, state in side.table_states.items()
        if state.row_security
    ]
    return faults or "it hides no rows"


def unlogged(side: Side, how: How, why: str) -> Verdict:
    """Whether a mapped table is unlogged."""
    faults = [
        fail(f"it is unlogged: {why}", f"ALTER TABLE {quoted} SET LOGGED", how, name)
        for name, state in side.table_states.items()
        for quoted in state.unlogged
    ]
    return faults or "none is unlogged"
