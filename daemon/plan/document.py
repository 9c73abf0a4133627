"""`plan`: what a run will do, table by table, as plain data. Pure, from what was read and tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from connectors.chunks import EVERYTHING, ChunkRow, ChunkState, Range
from connectors.seams import Pushdown
from connectors.sql import merge
from connectors.sql.dialect import Dialect
from connectors.sql.stage import Stage
from connectors.tables import MappedTable
from connectors.transfer import statements
from daemon.masking import Mask
from daemon.plan.sample import Sample, Shown
from mappers.mapping import Entry

VERSION = 1
STAGED = "stage"
"""How the staged relation is called in the statements shown; it is written out once, as `relation`."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is known of one source table. rows: of the source; exact: counted, not estimated.

    chunks: as they are planned already; empty before the table's start. partitions: of its topic, or to be.
    """

    mapped: MappedTable
    pushdown: Pushdown
    dialect: Dialect
    stage: Stage
    rows: int
    exact: bool
    chunks: Sequence[ChunkRow]
    partitions: int
    not_empty: Sequence[str]
    sample: Sample


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the backfill."""

    workers: int
    chunk_rows: int
    rows_per_second: int | None


def document(pipeline: str, facts: Sequence[TableFacts], limits: Limits, mask: Mask) -> dict[str, Any]:
    """The plan for --output json."""
    ordered = sorted(facts, key=lambda fact: fact.mapped.name)
    groups: dict[str, list[str]] = {}
    for entry in (entry for fact in ordered for entry in fact.mapped.entries):
        groups.setdefault(entry.group, []).append(entry.name)
    tables = [_table(fact, limits, mask) for fact in ordered]
    seconds = [table["estimate"]["seconds"] for table in tables]
    return {
        "version": VERSION,
        "pipeline": pipeline,
        "order": [fact.mapped.name for fact in ordered],
        "groups": groups,
        "backfill": asdict(limits),
        "seconds": None if None in seconds else round(sum(seconds), 1),
        "tables": tables,
        "problems": sum(len(table["problems"]) for table in tables),
    }


def _table(fact: TableFacts, limits: Limits, mask: Mask) -> dict[str, Any]:
    mapped = fact.mapped
    return {
        "table": mapped.name,
        "key": dict(zip(mapped.form.columns, mapped.form.types, strict=True)),
        "estimate": estimate(fact, limits),
        "pushdown": asdict(fact.pushdown),
        "truncate": on_truncate(mapped, fact.partitions),
        "stage": {"ddl": list(fact.stage.ddl()), "relation": fact.stage.typed(fact.stage.wire_name)},
        "entries": [_entry(fact, entry) for entry in mapped.entries],
        "sample": {
            "tried": fact.sample.tried,
            "rows": [_shown(mapped, shown, mask) for shown in fact.sample.shown],
        },
        "problems": _problems(fact, mask),
    }


def estimate(fact: TableFacts, limits: Limits) -> dict[str, Any]:
    """Rows, bytes, chunks and seconds. The seconds are those of the sample, as if every row were like its rows."""
    left = [chunk for chunk in fact.chunks if chunk.state is not ChunkState.DONE]
    count = len(fact.chunks) or max(1, -(-fact.rows // limits.chunk_rows))
    share = len(left) / count if fact.chunks else 1.0
    sample = fact.sample
    seconds = copied = None
    if sample.seconds is not None and sample.bytes is not None:
        tried = max(1, sample.tried)
        copied = round(sample.bytes / tried * fact.rows)
        seconds = sample.seconds / tried * fact.rows * share / min(limits.workers, count)
        if limits.rows_per_second:
            seconds = max(seconds, fact.rows * share / limits.rows_per_second)
    elif not left and fact.chunks:
        seconds = 0.0
    return {
        "rows": fact.rows,
        "rows_exact": fact.exact,
        "source_bytes": fact.mapped.table.bytes_estimate,
        "copied_bytes": copied,
        "chunks": count,
        "chunks_done": len(fact.chunks) - len(left),
        "seconds": None if seconds is None else round(seconds, 1),
        "measured_rows": sample.tried if sample.seconds is not None else 0,
    }


def on_truncate(mapped: MappedTable, partitions: int) -> str:
    """What a TRUNCATE at the source leads to (rule 10)."""
    kept = [entry.target.full_name for entry in mapped.entries if entry.not_empty == "keep"]
    if partitions > 1:
        return f"stops the pipeline: its topic has {partitions} partitions, and a truncate has no order among them"
    if kept:
        return f"stops the pipeline: {', '.join(kept)} keeps rows that are not its own"
    return "empties the target, and every chunk is read again"


def _entry(fact: TableFacts, entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry.name,
        "group": entry.group,
        "target_key": list(entry.key),
        "key_is_derived": entry.key_is_derived,
        "sql": {"backfill": _backfill(fact, entry), "stream": _stream(fact, entry)},
    }


def _backfill(fact: TableFacts, entry: Entry) -> dict[str, str]:
    """The statements of one chunk; of the first one, where the table has several."""
    part = Range(fact.chunks[0].lower, fact.chunks[0].upper) if fact.chunks else EVERYTHING
    shown = statements(fact.mapped, entry, part, fact.pushdown, fact.stage)
    return shown if fact.pushdown.possible else {**shown, "insert": merge.insert(fact.dialect, entry, STAGED)}


def _stream(fact: TableFacts, entry: Entry) -> dict[str, str]:
    upsert = "; ".join(merge.upsert(fact.dialect, entry, STAGED))
    made = {"delete": merge.delete(fact.dialect, entry, STAGED), "upsert": upsert}
    left_out = merge.filtered(fact.mapped.entries, STAGED)
    return {"filtered": left_out, **made} if left_out else made


def _shown(mapped: MappedTable, shown: Shown, mask: Mask) -> dict[str, Any]:
    return {
        "source": mask.source(dict(zip(mapped.columns, shown.row, strict=True))),
        "error": shown.error or None,
        "targets": {
            entry.name: _target(mapped, entry, shown, number, mask) for number, entry in enumerate(mapped.entries)
        }
        if not shown.error
        else {},
    }


def _target(mapped: MappedTable, entry: Entry, shown: Shown, number: int, mask: Mask) -> Mapping[str, Any]:
    """filtered, or the row; written: whether it stood in the target as the mapping makes it."""
    (first, *_) = shown.entries[number]
    if first.expected is None:
        return {"filtered": True, "row": None, "written": False}
    return {"filtered": False, "row": mask.target(entry, first.expected), "written": first.agrees}


def _problems(fact: TableFacts, mask: Mask) -> list[dict[str, Any]]:
    mapped = fact.mapped
    problems: list[dict[str, Any]] = [
        {"key": mask.key(mapped.form.columns, failure.key), "error": failure.error} for failure in fact.sample.failures
    ]
    if fact.sample.error:
        problems.append({"key": None, "error": fact.sample.error})
    for name in fact.not_empty:
        problems.append({"key": None, "error": f"{name} has rows: `run` refuses, unless `if_not_empty: keep`"})
    return problems
