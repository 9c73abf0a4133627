"""The new database as a SQLite file: rights, room, and what its tables would refuse although the source has it. Pure.

What a file does not have is not applicable: roles, connections, replication. Triggers, and keys that fold case, the
mapping's own check refuses.
"""

from __future__ import annotations

from connectors.sqlite.session import MINIMUM
from daemon.doctor.case import CONTROL, MAPPING, SOURCE, TARGET, Case
from daemon.doctor.findings import Check, Fault, How, Skipped, Verdict, fail, warn
from daemon.doctor.target import control_schema
from daemon.doctor.target_tables import empty, plain_columns
from daemon.doctor.words import listed, size
from mappers.names import readable

NEED = (TARGET,)
ROOM = 1.5
"""A row takes about as much in the file as at the source; the log beside it takes more while a chunk is written."""


def _reachable(case: Case) -> Verdict:
    if TARGET in case.errors:
        seen, mend = case.errors[TARGET]
        return [fail(seen, mend or "correct target.url", How.FILE)]
    return f"{case.file.where} is a database"


def _library(case: Case) -> Verdict:
    seen = f"SQLite {'.'.join(map(str, case.file.library))}"
    if case.file.library < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        return [fail(f"{seen} is too old", f"run this with a Python that has SQLite {needed} or later", How.SETTING)]
    return seen


def _writable(case: Case) -> Verdict:
    file, faults = case.file, []
    if not file.writable:
        faults.append(fail("the user may not write to the file", f"chmod u+w {file.where}", How.SHELL))
    if not file.directory_writable:
        seen = "the user may not write to its directory, where SQLite keeps its log"
        faults.append(fail(seen, f"chmod u+wx $(dirname {file.where})", How.SHELL))
    return faults or "the file, and its directory"


def _log(case: Case) -> Verdict:
    """The write-ahead log lets readers in beside the writer; it needs memory that all processes share."""
    file = case.file
    if file.network:
        seen = f"it is on a file system of a network ({file.network}), where locks and the log cannot be relied on"
        return [fail(seen, "put it on a disk of this machine", How.SETTING)]
    return "WAL" if file.journal_mode == "wal" else f"{file.journal_mode}: the first start sets it to WAL"


def _room(case: Case) -> Verdict:
    tables = {entry.source.full_name: entry.source.bytes_estimate for entry in case.mapping.entries}
    needed = int(sum(tables.values()) * ROOM)
    seen = f"{size(case.file.free_bytes)} are free; the mapped tables have about {size(sum(tables.values()))}"
    if case.file.free_bytes < needed:
        return [warn(seen, "make room, or put the file elsewhere: a full disk stops the pipeline", How.SETTING)]
    return seen


def _uniques(case: Case) -> Verdict:
    """Unique constraints besides the key, which nothing at the source keeps; one that folds case is never kept."""
    faults: list[Fault] = []
    for entry in case.mapping.entries:
        filled_by = plain_columns(entry)
        kept = [i for i in case.source.side.indexes if i.table == entry.source.full_name and i.arbiter]
        for unique in entry.target.uniques:
            inside = {filled_by.get(name) for name in unique.columns}
            folds = any("COLLATE" in entry.target.column(name).type for name in unique.columns)
            if set(unique.columns) == set(entry.key):
                continue
            if unique.partial or folds or not any(set(i.columns) <= inside for i in kept):
                why = "takes texts for one that differ at the source" if folds else "nothing at the source keeps it"
                seen = f"{unique.name} ({listed(unique.columns)}): {why}"
                mend = "make sure that the source keeps it; rows that break it are set aside"
                faults.append(warn(seen, mend, How.SETTING, entry.target.full_name))
    return faults or "none that the source does not keep"


def _checks(case: Case) -> Verdict:
    mend = "make sure that every source row meets them; one that does not is set aside"
    faults = [warn("it has CHECK constraints", mend, How.SETTING, name) for name in sorted(case.file.checks)]
    return faults or "no target table has one"


def _foreign_keys(case: Case) -> Verdict:
    having = sorted(name for name, table in case.file.tables.items() if table.foreign_keys)
    if not having:
        return "no target table has one"
    return f"those of {listed(having)} are off while rows are moved; after the cutover `PRAGMA foreign_key_check` tells"


def _lookup(case: Case) -> Verdict:
    """Where the target key is not the source's, rows are found by the columns that carry the source key."""
    faults = []
    for entry in case.mapping.entries:
        carried = () if entry.key_is_derived else entry.carrier
        firsts = [set(columns[: len(carried)]) for columns in case.file.indexed.get(entry.target.full_name, ())]
        if carried and set(carried) not in firsts:
            columns = ", ".join(map(readable, carried))
            seen = f"rows are found by ({columns}), which has no index: every change reads the whole table"
            mend = (
                f"CREATE INDEX {readable(entry.target.name + '_source')} ON {readable(entry.target.name)} ({columns})"
            )
            faults.append(warn(seen, mend, How.TARGET, entry.target.full_name))
    return faults or "rows are found by an index"


def _not_applicable(case: Case) -> Verdict:
    return Skipped("not applicable to a file")


CHECKS = (
    Check("reachable", "the file is there, and is a database", _reachable),
    Check("version", "this Python's SQLite is new enough", _library, NEED),
    Check("writable", "the user may write to the file, and to its directory", _writable, NEED),
    Check("log", "it can have a write-ahead log", _log, NEED),
    Check("room", "the disk has room for the mapped tables", _room, (TARGET, MAPPING)),
    Check("control schema", "of this program's version, or to be made or upgraded", control_schema, NEED),
    Check("foreign keys", "none is checked while rows are moved", _foreign_keys, NEED),
    Check("empty", "tables are empty before their backfill, or keep declared rows", empty, (TARGET, CONTROL)),
    Check("lookup index", "rows that are found by the source's key have an index for it", _lookup, (TARGET, MAPPING)),
    Check("unique constraints", "the source keeps every unique constraint too", _uniques, (SOURCE, TARGET, MAPPING)),
    Check("check constraints", "no target table has one", _checks, NEED),
    Check("grants", "not applicable", _not_applicable),
    Check("connections", "not applicable", _not_applicable),
    Check("locale", "not applicable", _not_applicable),
)
