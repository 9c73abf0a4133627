"""The old database as a server: can it be followed, by this role, for as long as it takes? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.sql import Identifier

from connectors.postgresql.slots import Slot, lost
from daemon.doctor.case import CONTROL, SOURCE, Case
from daemon.doctor.databases import clock, reachable, version
from daemon.doctor.findings import Check, Fault, How, Skipped, Verdict, fail, warn
from daemon.doctor.words import duration, size

AREA = "source"
NEED = (SOURCE,)
SPARE_SLOTS = 1
RETAINED_BYTES = 10 << 30
"""So much WAL kept for the slot is worth a warning where nothing limits it."""
SHARE_WARN, SHARE_FAIL = 0.5, 0.9
"""Of what the server keeps for a slot before it gives the slot up."""
SUGGESTED_LIMIT = "50GB"
APPLY = "changeover connector apply"


def _encoding(case: Case) -> Verdict:
    encoding = case.source.side.server.encoding
    if encoding == "SQL_ASCII":
        return [
            fail(
                "the database's encoding is SQL_ASCII: nobody knows what its texts mean",
                "dump it and restore it into a database of encoding UTF8",
                How.SETTING,
            )
        ]
    return encoding


def _primary(case: Case) -> Verdict:
    if case.source.side.server.in_recovery:
        return [fail("it is a standby: it has no publication or slot of its own", "source.url: the primary", How.FILE)]
    return "it is the primary"


def _wal_level(case: Case) -> Verdict:
    level = case.source.side.server.wal_level
    if level != "logical":
        mend = "ALTER SYSTEM SET wal_level = logical -- then restart the server"
        return [fail(f"wal_level is {level}", mend, How.SOURCE)]
    return "wal_level is logical"


def _role(case: Case) -> Verdict:
    server = case.source.side.server
    if not server.can_replicate:
        mend = f"ALTER ROLE {Identifier(server.user).as_string()} REPLICATION"
        return [fail(f"the role {server.user} may not replicate", mend, How.SOURCE)]
    return f"the role {server.user} may replicate"


def _slots(case: Case) -> Verdict:
    server = case.source.side.server
    free = server.max_replication_slots - server.slots_used
    seen = f"{server.slots_used} of {server.max_replication_slots} replication slots are in use"
    if case.source.slot is None and free < 1:
        raised = server.max_replication_slots + 4
        mend = f"ALTER SYSTEM SET max_replication_slots = {raised} -- then restart the server; or drop a slot"
        return [fail(seen, mend, How.SOURCE)]
    return seen


def _wal_senders(case: Case) -> Verdict:
    state, slot = case.source.side.state, case.source.slot
    seen = f"{state.wal_senders} of {state.max_wal_senders} WAL senders are in use"
    if state.wal_senders >= state.max_wal_senders and not (slot and slot.active):
        mend = f"ALTER SYSTEM SET max_wal_senders = {state.max_wal_senders + 4} -- then restart the server"
        return [fail(seen, mend, How.SOURCE)]
    return seen


def _slot(case: Case) -> Verdict:
    name, slot = case.config.source.slot, case.source.slot
    started = case.found_control is not None and case.found_control.row is not None
    if gone := lost(slot):
        if slot is not None or started:
            return [fail(f"the slot {name} {gone}: changes were lost that nobody can bring back", *start_over(case))]
        return [fail(f"there is no slot {name} yet", *made(case, "let the connector run: it makes its slot"))]
    assert slot is not None
    faults = list(_wrong_slot(case, name, slot))
    return faults or f"{name} is read by process {slot.active_pid}"


def _wrong_slot(case: Case, name: str, slot: Slot) -> Iterator[Fault]:
    database = case.source.side.server.database
    if slot.database != database:
        seen = f"the slot {name} is of the database {slot.database}, not of {database}"
        yield fail(seen, f"source.slot: a name that no other database's connector has (not {name})", How.FILE)
    elif slot.plugin != "pgoutput":
        yield fail(f"the slot {name} has the plugin {slot.plugin}, not pgoutput", *start_over(case))
    elif not slot.active:
        yield fail(
            f"nobody reads from the slot {name}: nothing arrives, and the WAL grows",
            *made(case, "start the connector"),
        )


def made(case: Case, otherwise: str) -> tuple[str, How]:
    """What makes a part of the stream: our command, or whoever runs the connector."""
    return (APPLY, How.SHELL) if case.managed else (otherwise, How.SETTING)


def start_over(case: Case) -> tuple[str, How]:
    """What brings back a stream that has a gap: everything is read from the beginning."""
    anew = "changeover run --anew"
    if case.managed:
        return f"changeover connector delete --topics\n{APPLY}\n{anew}", How.SHELL
    return f"{anew} # once whoever runs the connector has made its slot, offsets and topics anew", How.SHELL


def _retained(case: Case) -> Verdict:
    slot, state = case.source.slot, case.source.side.state
    if slot is None:
        return Skipped("there is no slot")
    kept = slot.retained_bytes or 0
    limit = state.slot_limit_bytes
    of = f"of the {size(limit)} that the server keeps at most" if limit >= 0 else "and nothing limits it"
    wal = f", all WAL is {size(state.wal_bytes)}" if state.wal_bytes is not None else ""
    seen = f"{size(kept)} are kept for it, {of}{wal}; PostgreSQL cannot say how much disk is free"
    share = kept / limit if limit > 0 else 0.0
    mend = f"ALTER SYSTEM SET max_slot_wal_keep_size = '{max(kept * 4 >> 30, 1)}GB'; -- less than what is free on the "
    mend += "disk of its WAL\nSELECT pg_reload_conf()"
    if slot.wal_status == "unreserved" or share > SHARE_FAIL:
        return [fail(f"{seen}: the slot is about to be lost", mend, How.SOURCE)]
    if share > SHARE_WARN:
        return [warn(seen, mend, How.SOURCE)]
    if limit < 0 and kept > RETAINED_BYTES:
        return [warn(seen, *made(case, "see why the connector falls behind"))]
    return seen


def _slot_limit(case: Case) -> Verdict:
    state = case.source.side.state
    faults = []
    if state.slot_limit_bytes < 0:
        faults.append(
            warn(
                "max_slot_wal_keep_size is -1: a slot that nobody reads fills the disk",
                f"ALTER SYSTEM SET max_slot_wal_keep_size = '{SUGGESTED_LIMIT}'; -- less than what is free on the disk "
                "of its WAL; a slot that needs more is lost\nSELECT pg_reload_conf()",
                How.SOURCE,
                "max_slot_wal_keep_size",
            )
        )
    if 0 < state.idle_slot_limit_s < 24 * 3600:
        seen = f"idle_replication_slot_timeout is {duration(state.idle_slot_limit_s)}: a connector that stands still "
        mend = "ALTER SYSTEM SET idle_replication_slot_timeout = 0;\nSELECT pg_reload_conf()"
        about = "idle_replication_slot_timeout"
        faults.append(warn(f"{seen}for longer loses its slot", mend, How.SOURCE, about))
    return faults or f"max_slot_wal_keep_size is {size(state.slot_limit_bytes)}"


def _sessions(case: Case) -> Verdict:
    server, state = case.source.side.server, case.source.side.state
    if not state.sees_sessions:
        mend = f"GRANT pg_read_all_stats TO {Identifier(server.user).as_string()}"
        return [warn(f"the role {server.user} sees no other role's sessions", mend, How.SOURCE)]
    return "other sessions can be seen"


def _long_transactions(case: Case) -> Verdict:
    side = case.source.side
    faults = [
        warn(
            f"{old.state or 'open'} for {duration(old.age_s)} ({old.role}, {old.database}): a new slot waits for it, "
            "and WAL and dead rows are kept",
            f"SELECT pg_terminate_backend({old.pid})",
            How.SOURCE,
            f"process {old.pid}",
        )
        for old in side.transactions
    ]
    return faults or f"none is older than {duration(side.old_s)}"


def _prepared(case: Case) -> Verdict:
    side = case.source.side
    faults = [
        warn(
            f"prepared {duration(old.age_s)} ago in {old.database}, and not ended: a new slot waits for it for ever",
            f"ROLLBACK PREPARED {old.quoted} -- in {old.database}; or COMMIT PREPARED, as its application decides",
            How.SOURCE,
            old.gid,
        )
        for old in side.prepared
    ]
    return faults or f"none is older than {duration(side.old_s)}"


def _identity(case: Case) -> Verdict:
    """The start of the pipeline remembers which database it was started on."""
    row = case.control.row
    if row is None:
        return "the pipeline was not started yet"
    identifier = case.source.side.server.system_identifier
    if identifier is None:
        return Skipped("the role may not read the server's identifier")
    if row.source_id != f"{identifier}/{case.source.side.server.database}":
        return [fail("it is another database than the one this pipeline was started on", *start_over(case))]
    if row.stream_id not in ("", case.source.publication_id):
        return [fail("the publication was made anew since this pipeline started: changes were lost", *start_over(case))]
    return "it is the database that the pipeline was started on"


CHECKS = (
    Check("reachable", "the source answers within the time limit", lambda case: reachable(case, SOURCE)),
    Check("version", "PostgreSQL 15 or later", lambda case: version(case.source.side), NEED),
    Check("encoding", "the database's encoding is known", _encoding, NEED),
    Check("primary", "it is not a standby", _primary, NEED),
    Check("wal_level", "wal_level is logical", _wal_level, NEED),
    Check("replication role", "the role may replicate", _role, NEED),
    Check("slots left", "a replication slot is free, or ours is there", _slots, NEED),
    Check("WAL senders left", "a WAL sender is free, or ours runs", _wal_senders, NEED),
    Check("slot", "the replication slot is there, of this database, whole, and read", _slot, NEED),
    Check("retained WAL", "what the server keeps for the slot is far from its limit", _retained, NEED),
    Check("slot limit", "an abandoned slot cannot fill the disk, nor a quiet one be dropped", _slot_limit, NEED),
    Check(
        "sessions visible", "the role sees other sessions, so that the next two checks mean something", _sessions, NEED
    ),
    Check("long transactions", "no transaction has been open for long", _long_transactions, NEED),
    Check("prepared transactions", "no prepared transaction was left behind", _prepared, NEED),
    Check("clock", "its clock is this machine's", lambda case: clock(case.source.side), NEED),
    Check(
        "same database", "it and its publication are those the pipeline was started on", _identity, (SOURCE, CONTROL)
    ),
)
