"""MariaDB or MySQL as the new database: rights, settings, and what its tables would refuse or not keep. Pure."""

from __future__ import annotations

from connectors.control.schema import DEFAULT_SCHEMA
from connectors.mariadb.grants import ticked
from connectors.mariadb.session import MINIMUM
from daemon.doctor.case import CONTROL, MAPPING, SOURCE, TARGET, Case
from daemon.doctor.databases import CLOCK_S
from daemon.doctor.findings import Check, Fault, How, Verdict, fail, note, warn
from daemon.doctor.target import POOL_CONNECTIONS, control_schema
from daemon.doctor.target_tables import empty
from daemon.doctor.words import counted, duration, size
from mappers.mapping import Table

NEED = (TARGET,)
BOTH = (SOURCE, TARGET, MAPPING)
PACKET_BYTES = 32 << 20
"""A value may be as long as PostgreSQL's events are at most; the server refuses what is longer than a packet."""


def tables(case: Case) -> list[tuple[str, Table]]:
    """The target tables by full name."""
    return sorted(case.mariadb.tables.items())


def alter(table: Table, what: str) -> str:
    """ALTER TABLE, as a person runs it."""
    return f"ALTER TABLE {ticked(table.schema, table.name)} {what}"


def _reachable(case: Case) -> Verdict:
    if TARGET in case.errors:
        seen, mend = case.errors[TARGET]
        return [fail(seen, mend or "look again: it answers, and is busy or locked", How.SETTING)]
    return f"{case.mariadb.where} answers, as {case.mariadb.user}"


def _version(case: Case) -> Verdict:
    found = case.mariadb
    seen, needed = f"{found.product} {found.version}", MINIMUM[found.product]
    if tuple(int(part) for part in found.version.split(".") if part.isdigit()) < needed:
        mend = f"upgrade it to {found.product} {'.'.join(map(str, needed))} or later"
        return [fail(f"{seen} is too old", mend, How.SETTING)]
    return seen if found.product == "MariaDB" else [note(f"{seen}: this program has not been run against MySQL", "")]


def _writable(case: Case) -> Verdict:
    if case.mariadb.settings["read_only"].upper() in ("ON", "1"):
        return [fail("it is read-only, as a replica is", "target.url: the primary", How.FILE)]
    return "it accepts writes"


def _clock(case: Case) -> Verdict:
    ahead = case.mariadb.clock_ahead_s
    seen = f"its clock is {duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    return [warn(seen, "let both synchronise their clocks (NTP)", How.SETTING)] if abs(ahead) > CLOCK_S else seen


def _connections(case: Case) -> Verdict:
    found = case.mariadb
    limit = int(found.settings["max_connections"] or 0)
    free, needed = limit - found.connections_used, POOL_CONNECTIONS + 2 * case.config.backfill.workers
    seen = f"{free} connections are free, about {needed} are needed"
    return [warn(seen, f"SET GLOBAL max_connections = {limit + 100}", How.TARGET)] if free < needed else seen


def _rights(case: Case) -> Verdict:
    found = case.mariadb
    faults = [
        fail(seen, mend, How.TARGET, about)
        for about, seen, mend in (
            ("temporary tables", "the account may not make them; rows are staged in them", found.temporary),
            (DEFAULT_SCHEMA, f"the account may not make and use the database {DEFAULT_SCHEMA}", found.control),
        )
        if mend is not None
    ]
    return faults or f"temporary tables, and the database {DEFAULT_SCHEMA}"


def _grants(case: Case) -> Verdict:
    found = case.mariadb
    faults = [
        fail(f"the account may not {', '.join(g.privileges)} it", g.mend, How.TARGET, g.table) for g in found.grants
    ]
    return faults or counted(len(found.tables), "table")


def _storage(case: Case) -> Verdict:
    faults = [
        fail(f"its engine is {t.storage}: a rollback leaves half of it", alter(t, "ENGINE = InnoDB"), How.TARGET, name)
        for name, t in tables(case)
        if t.storage.lower() != "innodb"
    ]
    return faults or "InnoDB, all of them"


def _triggers(case: Case) -> Verdict:
    found = case.mariadb
    faults: list[Fault] = []
    for name, table in tables(case):
        for trigger in table.triggers:
            drop = f"DROP TRIGGER {ticked(table.schema, trigger)} -- until the cutover"
            faults.append(fail("the trigger fires for every row that is moved", drop, How.TARGET, f"{name}.{trigger}"))
    for name in sorted(found.hides_triggers):
        table = found.tables[name]
        user, _, host = found.user.rpartition("@")
        mend = f"GRANT TRIGGER ON {ticked(table.schema, table.name)} TO '{user}'@'{host}'"
        seen = "the account may not see triggers: whether rows fire any is not known"
        faults.append(warn(seen, mend, How.TARGET, name))
    return faults or "there are none"


def _foreign_keys(case: Case) -> Verdict:
    count = sum(len(table.foreign_keys) for _, table in tables(case))
    return f"{counted(count, 'foreign key')}: sessions do not check them while rows are moved" if count else "none"


def _loading(case: Case) -> Verdict:
    if case.mariadb.loads:
        return "rows are staged by LOAD DATA LOCAL"
    seen = "local_infile is off, or a proxy refuses it: rows are staged by long statements, which is slower"
    return [warn(seen, "SET GLOBAL local_infile = ON", How.TARGET)]


def _packet(case: Case) -> Verdict:
    found = int(case.mariadb.settings["max_allowed_packet"] or 0)
    seen = f"values of up to {size(found)}"
    if found >= PACKET_BYTES:
        return seen
    mend = f"SET GLOBAL max_allowed_packet = {2 * PACKET_BYTES} -- and in the server's configuration"
    return [warn(f"{seen}: rows with longer ones are set aside", mend, How.TARGET)]


def _binlog(case: Case) -> Verdict:
    settings = case.mariadb.settings
    if settings["log_bin"].upper() not in ("ON", "1") or settings["binlog_format"].upper() != "STATEMENT":
        return "rows are logged as rows, or not at all"
    seen = "binlog_format is STATEMENT: READ COMMITTED writes are refused with it"
    return [fail(seen, "SET GLOBAL binlog_format = 'ROW' -- and in the server's configuration", How.TARGET)]


CHECKS = (
    Check("reachable", "the target answers within the time limit", _reachable),
    Check("version", "MariaDB 10.6, or MySQL 8.0.17, or later", _version, NEED),
    Check("writable", "it is not read-only", _writable, NEED),
    Check("clock", "its clock is this machine's", _clock, NEED),
    Check("connections", "enough connections are free", _connections, NEED),
    Check("rights", "temporary tables, and the control database", _rights, NEED),
    Check("control schema", "of this program's version, or to be made or upgraded", control_schema, NEED),
    Check("grants", "the account may read and write every target table", _grants, NEED),
    Check("engine", "every target table has transactions", _storage, NEED),
    Check("binary log", "it is not by statements", _binlog, NEED),
    Check("loading", "rows are sent by LOAD DATA LOCAL", _loading, NEED),
    Check("packets", "values of usual sizes fit", _packet, NEED),
    Check("foreign keys", "none is checked while rows are moved", _foreign_keys, NEED),
    Check("triggers", "none fires while rows are moved", _triggers, NEED),
    Check("empty", "tables are empty before their backfill, or keep declared rows", empty, (TARGET, CONTROL)),
)
