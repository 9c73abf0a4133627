"""What would become of a batch, as plain data and for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from connectors.tables import MappedTable
from daemon.explain.key_history import Told
from daemon.masking import Mask
from daemon.plan.batch import Rehearsed
from daemon.text_table import text_table

VERSION = 1


def document(pipeline: str, it: Rehearsed, tables: Mapping[str, MappedTable], mask: Mask) -> dict[str, Any]:
    """For --output json."""
    names = {part.topic: part.table for part in it.batch.slices}
    counts: dict[str, int] = {}
    for one in it.told:
        counts[str(one.outcome)] = counts.get(str(one.outcome), 0) + 1
    return {
        "version": VERSION,
        "pipeline": pipeline,
        "partitions": [
            {"topic": p.topic, "partition": p.partition, "table": p.table, "start": p.start, "end": p.end}
            for p in it.batch.slices
        ],
        "outcomes": counts,
        "ledger": asdict(it.ledger),
        "behind": it.behind,
        "error": it.error or None,
        "events": [_event(one, tables.get(names.get(one.seen.topic) or ""), mask) for one in it.told],
    }


def _event(one: Told, mapped: MappedTable | None, mask: Mask) -> dict[str, Any]:
    change = one.seen.change
    key = mask.key(mapped.form.columns, mapped.form.texts(change.key)) if mapped is not None and change.key else []
    return {
        "topic": one.seen.topic,
        "partition": one.seen.partition,
        "offset": change.offset,
        "op": change.op,
        "key": key,
        "outcome": str(one.outcome),
        "detail": one.detail,
    }


def batch_lines(it: Mapping[str, Any], most: int) -> list[str]:
    """The lines of a document. most: how many events to list."""
    if not it["events"]:
        waits = f"; {it['error']}" if it["error"] else ""
        return [f"pipeline {it['pipeline']}: no event waits to be applied{waits}"]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in it["outcomes"].items())
    lines = [f"pipeline {it['pipeline']}: the next batch has {len(it['events'])} events: {counts}"]
    lines += [f"  {p['topic']}[{p['partition']}] offsets {p['start']} to {p['end']}" for p in it["partitions"]]
    cells = [["where", "op", "key", "what would become of it"]]
    for event in it["events"][:most]:
        detail = f": {event['detail']}" if event["detail"] else ""
        where = f"{event['topic']}[{event['partition']}] {event['offset']}"
        cells.append([where, event["op"], " ".join(event["key"]), f"{event['outcome']}{detail}"])
    lines += ["", *text_table(cells)]
    if len(it["events"]) > most:
        lines.append(f"  and {len(it['events']) - most} more (--events N, or --output json)")
    if it["behind"]:
        lines.append(f"{it['behind']} offsets are behind this batch")
    if it["error"]:
        lines.append(f"THE STREAM WOULD STOP: {it['error']}")
    return [*lines, "Nothing was changed: everything was rolled back."]
