"""A MariaDB or MySQL source: can it be followed, by this account, for as long as it takes? Pure."""

from __future__ import annotations

from connectors.mariadb.heartbeat_table import by_hand
from connectors.mariadb.log import lost_log, position_of, retained
from connectors.mariadb.wire import refused
from daemon.connector.mariadb_checks import server_problems, table_problems
from daemon.connector.plan import keys_of
from daemon.doctor.case import CONNECT, CONTROL, SOURCE, Case
from daemon.doctor.findings import Check, Fault, How, Skipped, Verdict, fail, warn
from daemon.doctor.source import made, start_over
from daemon.doctor.words import counted, duration, listed, size
from mappers.errors import Problem
from mappers.names import closest

NEED = (SOURCE,)
CLOCK_S = 2.0
KEPT_S = 86_400
"""A binlog that is kept for less than a day leaves little time to mend a connector."""
_DATES = ("date", "datetime", "timestamp")


def _reachable(case: Case) -> Verdict:
    if SOURCE in case.errors:
        seen, mend = case.errors[SOURCE]
        return [fail(seen, mend or "look again: it answers, and is busy or locked", How.SETTING)]
    return f"{case.mariadb_source.where} answers, as {case.mariadb_source.server.account}"


def _server(case: Case) -> Verdict:
    faults = [_fault(problem, "") for problem in server_problems(case.mariadb_source.server)]
    version = ".".join(map(str, case.mariadb_source.server.version))
    return faults or f"{'MariaDB' if case.mariadb_source.server.mariadb else 'MySQL (not run against it)'} {version}"


def _fault(problem: Problem, table: str) -> Fault:
    how = How.SOURCE if problem.hint.startswith(("GRANT", "SET GLOBAL", "ALTER")) else How.SETTING
    return fail(problem.message, problem.hint or "correct it", how, table)


def _durable(case: Case) -> Verdict:
    """What is in the binlog and was lost in a crash, or the other way about, nobody finds out."""
    settings = case.mariadb_source.server.settings
    faults = [
        warn(f"{name} is {settings[name]}: a crash of the server can part its tables from its binlog",
             f"SET GLOBAL {name} = 1", How.SOURCE, name)
        for name in ("sync_binlog", "innodb_flush_log_at_trx_commit")
        if settings.get(name, "1") != "1"
    ]  # fmt: skip
    return faults or "tables and binlog are written together"


def _zero_dates(case: Case) -> Verdict:
    if not case.mariadb_source.server.zero_dates:
        return "sql_mode keeps 0000-00-00 out"
    columns = [
        f"{table.full_name}.{column.name}"
        for table in case.mariadb_source.tables.values()
        for column in table.columns
        if column.native.startswith(("date", "datetime")) and column.nullable
    ]
    if not columns:
        return "no mapped table has a nullable date"
    seen = f"sql_mode lets 0000-00-00 in, which travels as NULL: rows with NULL in {listed(columns)} are read again"
    mend = "SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',NO_ZERO_DATE,NO_ZERO_IN_DATE')"
    return [warn(seen, mend, How.SOURCE)]


def _retention(case: Case) -> Verdict:
    kept = case.mariadb_source.server.kept_s
    if kept and kept < KEPT_S:
        seen = f"the binlog is kept for {duration(kept)}: a connector that stands still for longer loses its place"
        return [warn(seen, "SET GLOBAL binlog_expire_logs_seconds = 604800", How.SOURCE)]
    return f"the binlog is kept for {duration(kept)}" if kept else "the binlog is kept until somebody purges it"


def _log(case: Case) -> Verdict:
    state, offsets = case.mariadb_source, case.connect.offsets
    if state.files is None or state.end is None:
        return Skipped("the account may not see the binlog")
    if not offsets:
        return Skipped("the connector has not committed an offset")
    confirmed = position_of(offsets)
    if gone := lost_log(list(state.files), state.end, confirmed):
        return [fail(f"the connector {gone}: changes were lost that the stream has not seen", *start_over(case))]
    return f"{size(retained(list(state.files), confirmed))} are still to be read"


def _heartbeat(case: Case) -> Verdict:
    state = case.mariadb_source
    if state.row is not None:
        return "it has this pipeline's row"
    if not state.writes:
        mend = f"GRANT ALL PRIVILEGES ON changeover.* TO {state.server.account}"
        return [fail("the account may not make it", mend, How.SOURCE)]
    seen = "it has no row of this pipeline yet"
    if case.managed:
        return [fail(seen, *made(case, ""))]
    return [fail(seen, by_hand(case.config.pipeline), How.SOURCE)]


def _identity(case: Case) -> Verdict:
    """The start of the pipeline remembers which database it was started on."""
    row, state = case.control.row, case.mariadb_source
    if row is None:
        return "the pipeline was not started yet"
    if row.source_id != state.identity:
        return [fail("it is another database than the one this pipeline was started on", *start_over(case))]
    if state.row is not None and row.stream_id not in ("", state.row.stream):
        return [fail("the connector was deleted since this pipeline started: changes were lost", *start_over(case))]
    if state.row is not None and state.end is not None and state.end < state.row.position:
        return [fail("the binlog began anew since the stream was read: changes were lost", *start_over(case))]
    return "it is the database that the pipeline was started on"


def _clock(case: Case) -> Verdict:
    ahead = case.mariadb_source.clock_ahead_s
    seen = f"its clock is {duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > CLOCK_S:
        return [warn(seen, "let both synchronise their clocks (NTP)", How.SETTING)]
    return seen


def _long_transactions(case: Case) -> Verdict:
    old = case.mariadb_source.old
    if old is None:
        mend = f"GRANT PROCESS ON *.* TO {case.mariadb_source.server.account}"
        return [warn("the account sees no other account's sessions", mend, How.SOURCE)]
    faults = [
        warn(
            f"open for {duration(one.age_s)} ({one.account})", f"KILL {one.thread}", How.SOURCE, f"thread {one.thread}"
        )
        for one in old
    ]
    return faults or f"none is older than {duration(case.mariadb_source.old_s)}"


def _tables(case: Case) -> Verdict:
    there = case.mariadb_source.tables
    faults = []
    for name in case.source_names:
        if name not in there:
            near = closest(name, there)
            mend = f"from: {near}" if near else 'from: the exact name, database.table; "Upper" case is quoted'
            faults.append(fail("there is no such table, or it may not be seen", mend, How.FILE, name))
    return faults or counted(len(there), "table")


def _whole(case: Case) -> Verdict:
    keys = keys_of(case.config)
    faults = [
        _fault(problem, table.full_name)
        for table in case.mariadb_source.tables.values()
        for problem in table_problems(table, keys.get((table.schema, table.name), ()))
    ]
    return faults or "every table has a key, snapshots, and a definition that Debezium reads"


def _grants(case: Case) -> Verdict:
    faults = [
        fail("the account may not read it", lack.mend, How.SOURCE, lack.table) for lack in case.mariadb_source.grants
    ]
    return faults or counted(len(case.mariadb_source.tables), "table")


def _cascades(case: Case) -> Verdict:
    faults = [
        fail(each.what, each.mend.replace("; ", " -- "), How.SOURCE, each.table)
        for each in case.mariadb_source.cascades
    ]
    return faults or "no foreign key changes rows of a mapped table"


def _prepared(case: Case) -> Verdict:
    if count := case.mariadb_source.server.prepared:
        seen = (
            f"{count:,} XA transactions were prepared: what they write travels before it is committed, or rolled back"
        )
        return [warn(seen, "keep XA transactions away from the mapped tables", How.SETTING)]
    return "none was prepared since the server started"


def _types(case: Case) -> Verdict:
    """Only said: the mapping refuses the columns that it uses."""
    faults = [
        f"{table.full_name}.{column.name} ({column.native})"
        for table in case.mariadb_source.tables.values()
        for column in table.columns
        if refused(column)
    ]
    return f"{listed(faults)} cannot be mapped" if faults else "every column of every mapped table can be mapped"


CHECKS = (
    Check("reachable", "the source answers within the time limit", _reachable),
    Check("server", "version, binlog settings and rights are what a stream needs", _server, NEED),
    Check("durability", "tables and binlog survive a crash together", _durable, NEED),
    Check("zero dates", "0000-00-00 cannot be written", _zero_dates, NEED),
    Check("binlog retention", "the binlog is kept for a day at least", _retention, NEED),
    Check("binlog", "the server still has what the connector has to read", _log, (SOURCE, CONNECT)),
    Check("heartbeat table", "it is there, with this pipeline's row", _heartbeat, NEED),
    Check("long transactions", "no transaction has been open for long", _long_transactions, NEED),
    Check("clock", "its clock is this machine's", _clock, NEED),
    Check("same database", "server and binlog are those the pipeline was started on", _identity, (SOURCE, CONTROL)),
    Check("tables", "every mapped table is there", _tables, NEED),
    Check("whole tables", "every change of theirs says which row it means", _whole, NEED),
    Check("grants", "the account may read every mapped table", _grants, NEED),
    Check("cascades", "no foreign key changes their rows behind the log", _cascades, NEED),
    Check("XA transactions", "none is prepared", _prepared, NEED),
    Check("types", "said: what cannot be mapped", _types, NEED),
)  # fmt: skip
