"""The pipeline's own state: mappings that changed, dead letters, the ledger, what is left to do. Pure."""

from __future__ import annotations

from connectors.chunks import ChunkState, Ledger
from daemon.doctor.case import CONTROL, MAPPING, Case
from daemon.doctor.findings import Check, How, Skipped, Verdict, fail, warn
from daemon.doctor.words import counted
from daemon.drift import differences
from daemon.status import phase_of

AREA = "pipeline"
NEED = (CONTROL,)
NEW = "the pipeline was not started yet"


def _started(case: Case) -> Verdict:
    row = case.control.row
    if row is None:
        return NEW
    return f"{phase_of(case.control.chunks)}, " + ("sealed by its cutover" if row.sealed else "not sealed")


def _fingerprints(case: Case) -> Verdict:
    stored = case.control.fingerprints
    if case.mapping.faults:
        return Skipped("the mapping does not resolve")
    faults = [
        fail(
            "its mapping changed since its rows were made",
            f"changeover run --accept-mapping {entry.target.full_name} "
            f"# keeps the rows; --rebackfill {entry.target.full_name} makes them anew",
            How.SHELL,
            entry.name,
        )
        for entry in case.mapping.entries
        if stored.get(entry.name, entry.fingerprint) != entry.fingerprint
    ]
    return faults or (f"{counted(len(stored), 'mapping')}, unchanged" if stored else NEW)


def _source_tables(case: Case) -> Verdict:
    stored = case.control.shapes
    if case.mapping.faults:
        return Skipped("the mapping does not resolve")
    faults = []
    for name in dict.fromkeys(entry.source.full_name for entry in case.mapping.entries if stored):
        mine = [entry for entry in case.mapping.entries if entry.source.full_name == name]
        inputs = frozenset[str]().union(*(entry.inputs for entry in mine))
        if name in stored and (found := differences(stored[name], case.mapping.shapes.get(name), inputs).stops):
            rebackfill = f"changeover run --rebackfill {mine[0].target.full_name} # makes the rows anew"
            faults.append(fail(found[0].what, rebackfill, How.SHELL, name))
    return faults or (f"{counted(len(stored), 'table')}, as when their rows were made" if stored else NEW)


def _chunks(case: Case) -> Verdict:
    chunks = case.control.chunks
    left = sum(chunk.state is not ChunkState.DONE for chunk in chunks)
    return f"{left} of {counted(len(chunks), 'chunk')} left" if chunks else NEW


def _ledger(case: Case) -> Verdict:
    faults = []
    for position in case.control.positions:
        if not position.ledger.balanced:
            about = f"{position.topic}[{position.partition}]"
            seen = f"of {position.ledger.consumed} consumed events not each has one outcome"
            faults.append(fail(seen, "report this as a bug, then changeover verify", How.SETTING, about))
    total = sum((position.ledger for position in case.control.positions), Ledger())
    return faults or f"{total.consumed:,} events consumed, each with one outcome"


def _dead_letters(case: Case) -> Verdict:
    faults = [
        warn(
            f"{counted(count, 'dead letter')}: their rows are not current",
            f"changeover dlq retry --table {table} # once the cause is mended: `changeover dlq list` tells it",
            How.SHELL,
            table,
        )
        for table, count in sorted(case.control.dead_letters.items())
    ]
    return faults or "none is open"


def _differences(case: Case) -> Verdict:
    faults = [
        warn(
            f"a verification found {counted(count, 'difference')}",
            f"changeover resync --table {table} --findings",
            How.SHELL,
            table,
        )
        for table, count in sorted(case.control.differences.items())
    ]
    return faults or "none is open"


def _paused(case: Case) -> Verdict:
    faults = [
        warn("it is paused: its events wait", f"changeover resume --table {table}", How.SHELL, table)
        for table in case.control.paused
    ]
    return faults or "no table is paused"


def _suspicion(case: Case) -> Verdict:
    if case.control.suspicion:
        return [warn(f"rows must be verified: {case.control.suspicion}", "changeover verify", How.SHELL)]
    return "nothing casts doubt on the rows"


CHECKS = (
    Check("state", "said: where the pipeline stands", _started, NEED),
    Check("mappings", "no mapping changed since its rows were made", _fingerprints, (CONTROL, MAPPING)),
    Check("source tables", "no source table was altered so that its rows changed", _source_tables, (CONTROL, MAPPING)),
    Check("chunks", "said: what is left of the backfill", _chunks, NEED),
    Check("ledger", "every consumed event has exactly one outcome", _ledger, NEED),
    Check("dead letters", "none is open", _dead_letters, NEED),
    Check("differences", "no difference that a verification found is open", _differences, NEED),
    Check("paused", "no table is paused", _paused, NEED),
    Check("suspicion", "nothing casts doubt on the rows", _suspicion, NEED),
)
