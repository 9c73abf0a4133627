"""What `changeover status` and /status say: read from the control state, the broker and the source's log. Versioned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.chunks import ChunkRow, ChunkState, Ledger, Position
from connectors.control.verification import SweepRow
from connectors.source_log import LogState
from daemon.verify.age import verified

VERSION = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a status is made of. ends: (topic, partition) -> high watermark, where the broker answered.

    mapped: the tables of the configuration; others are left over from an older one. rows_per_second: the backfill's
    pace in each process, 0 for no limit.
    sweeps: the newest first. findings: entry -> differences that nobody has mended. suspicion: as it is stored.
    """

    pipeline: str
    positions: Sequence[Position]
    chunks: Sequence[ChunkRow]
    rows_expected: Mapping[str, int]
    ends: Mapping[tuple[str, int], int]
    log: LogState
    dead_letters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(table, reason) -> open letters."""
    paused: frozenset[str] = frozenset()
    mapped: frozenset[str] = frozenset()
    rows_per_second: int = 0
    sweeps: Sequence[SweepRow] = ()
    findings: Mapping[str, int] = field(default_factory=dict)
    suspicion: str | None = None
    notes: Sequence[str] = ()
    """How the target is used, where its engine leaves a choice."""
    ignored: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Table -> columns that were added at the source and are left alone."""


def phase_of(chunks: Sequence[ChunkRow]) -> str:
    """new, backfilling or streaming: computed from the chunks, never stored. Pure."""
    if not chunks:
        return "new"
    return "streaming" if all(chunk.state is ChunkState.DONE for chunk in chunks) else "backfilling"


def status_of(facts: Facts) -> dict[str, Any]:
    """The status as plain data. Pure."""
    ledger = sum((position.ledger for position in facts.positions), Ledger())
    return {
        "version": VERSION,
        "pipeline": facts.pipeline,
        "phase": phase_of(facts.chunks),
        "tables": {name: _table(name, facts) for name in sorted({chunk.table for chunk in facts.chunks})},
        "ledger": asdict(ledger),
        "ledger_balanced": all(position.ledger.balanced for position in facts.positions),
        "backlog_events": sum(_behind(position, facts) for position in facts.positions),
        "dead_letters_open": sum(facts.dead_letters.values()),
        "last_applied_source_timestamp": max((p.source_time_us for p in facts.positions), default=0) / 1e6,
        "log": asdict(facts.log),
        "rows_per_second": facts.rows_per_second or None,
        "suspicion": json.loads(facts.suspicion) if facts.suspicion else None,
        "target_notes": list(facts.notes),
    }


def _table(name: str, facts: Facts) -> dict[str, Any]:
    chunks = [chunk for chunk in facts.chunks if chunk.table == name]
    positions = [position for position in facts.positions if position.table == name]
    ledger = sum((position.ledger for position in positions), Ledger())
    return {
        "chunks_done": sum(chunk.state is ChunkState.DONE for chunk in chunks),
        "chunks_total": len(chunks),
        "rows_loaded": sum(chunk.rows for chunk in chunks),
        "bytes_loaded": sum(chunk.bytes for chunk in chunks),
        "rows_expected": facts.rows_expected.get(name, 0),
        "backlog_events": sum(_behind(position, facts) for position in positions),
        "dead_letters_open": sum(count for (table, _), count in facts.dead_letters.items() if table == name),
        "ledger": asdict(ledger),
        "paused": name in facts.paused,
        "mapped": name in facts.mapped,
        "ignored_columns": list(facts.ignored.get(name, ())),
        "verification": _verification(name, facts),
    }


def _verification(name: str, facts: Facts) -> dict[str, Any] | None:
    """None for a table that has never been verified whole."""
    found = verified(facts.sweeps, facts.findings).get(name)
    return asdict(found) if found else None


def _behind(position: Position, facts: Facts) -> int:
    end = facts.ends.get((position.topic, position.partition), position.next_offset)
    return max(0, end - position.next_offset)


def table_lines(status: Mapping[str, Any]) -> list[str]:
    """The status for a terminal."""
    balanced = "balanced" if status["ledger_balanced"] else "NOT BALANCED"
    backlog = f"backlog {status['backlog_events']:,} events"
    lines = [
        f"pipeline {status['pipeline']}: {status['phase']}, {backlog}, ledger {balanced}",
        f"{'table':32} {'chunks':>11} {'done':>5} {'rows':>25} {'MB':>9} {'backlog':>9} {'applied':>12} "
        f"{'verified':>24}",
    ]
    for name, table in status["tables"].items():
        done, total = table["chunks_done"], table["chunks_total"]
        rows = f"{table['rows_loaded']:,} of ~{table['rows_expected']:,}"
        lines.append(
            f"{name:32} {f'{done}/{total}':>11} {done / total:>5.0%} {rows:>25} {table['bytes_loaded'] / 1e6:>9,.1f} "
            f"{table['backlog_events']:>9,} {table['ledger']['applied']:>12,} {_verified(table['verification']):>24}"
            f"{_mark(table)}"
        )
    for name, table in status["tables"].items():
        if table["ignored_columns"]:
            lines.append(f"{name}: ignores new columns: {', '.join(table['ignored_columns'])}")
    if letters := status["dead_letters_open"]:
        lines.append(f"dead letters: {letters} open (`changeover dlq list`)")
    if status["suspicion"]:
        lines.append(f"verification: {status['suspicion']['reason']}; not ready until every row has been verified")
    return [*lines, *(f"target: {note}" for note in status["target_notes"]), _log_line(status["log"])]


def _verified(verification: Mapping[str, Any] | None) -> str:
    if verification is None:
        return "never"
    found = verification["differences"]
    return f"{verification['age_s']:,.0f} s ago, {f'{found:,} DIFFER' if found else 'equal'}"


def _mark(table: Mapping[str, Any]) -> str:
    """What a line of a table ends with, where it does not go on."""
    if not table["mapped"]:
        return "  not in the mapping"
    return "  PAUSED" if table["paused"] else ""


def _log_line(log: Mapping[str, Any]) -> str:
    if log["lost"]:
        return f"{log['name']} {log['lost']} (run `changeover connector apply`)"
    return (
        f"{log['name']}: {'active' if log['active'] else 'NOT ACTIVE'}, {log['retained_bytes'] or 0:,} bytes retained"
    )
