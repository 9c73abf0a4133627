"""An explanation for a terminal, made of the document that --output json shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.text_table import shown, text_table


def explanation_lines(it: Mapping[str, Any]) -> list[str]:
    """The lines of a `document`."""
    lines = [f"{it['table']} {' '.join(it['key'])}   (pipeline {it['pipeline']})", ""]
    lines += _source(it["source"])
    for target in it["targets"]:
        lines += ["", *_target(target)]
    lines += ["", *_control(it), "", *_events(it["events"]), "", it["verdict"]]
    return lines


def _source(source: Mapping[str, Any]) -> list[str]:
    if "error" in source:
        return [f"source: not read: {source['error']}"]
    if source["row"] is None:
        return [f"source: no row (snapshot {source['snapshot']})"]
    rows = [[name, shown(value)] for name, value in source["row"].items()]
    return [f"source row (snapshot {source['snapshot']})", *text_table(rows)]


def _target(target: Mapping[str, Any]) -> list[str]:
    lines = [f"{target['entry']}: {'agrees' if target['agrees'] else 'DOES NOT AGREE'}"]
    for row in target["rows"]:
        makes, has = row["mapping_makes"], row["target_has"]
        if makes is None and has is None:
            lines.append("  the mapping makes no row, the target has none")
            continue
        columns = list(makes or has)
        cells = [["column", "the mapping makes", "the target has", ""]]
        for name in columns:
            mark = "<- differs" if name in row["differing"] else ""
            cells.append([name, _value(makes, name), _value(has, name), mark])
        lines += text_table(cells)
    return lines


def _value(row: Mapping[str, Any] | None, name: str) -> str:
    return "no row" if row is None else shown(row[name])


def _control(it: Mapping[str, Any]) -> list[str]:
    unknown = "error" in it["source"] and it["chunk"] is None
    lines = ["chunk: only the source knows" if unknown else _chunk(it["chunk"])]
    fence = it["fence"]
    lines.append(f"key fence: {f'read again from the source at snapshot {fence}' if fence else 'none'}")
    for letter in it["dead_letters"]:
        lines.append(f"dead letter {letter['id']}, {letter['state']}: {letter['error']} ({letter['parked']} parked)")
    for finding in it["findings"]:
        columns = f" in {', '.join(finding['columns'])}" if finding["columns"] else ""
        lines.append(f"finding {finding['id']} of {finding['entry']}: {finding['kind']}{columns}")
    if it["paused"]:
        lines.append("the table is paused")
    return lines


def _chunk(chunk: Mapping[str, Any] | None) -> str:
    if chunk is None:
        return "chunk: none, the pipeline has not started with this table"
    lower, upper = (", ".join(chunk[side]) if chunk[side] else "..." for side in ("lower", "upper"))
    snapshot = f" at snapshot {chunk['snapshot']}" if chunk["snapshot"] else ""
    done = f", done {chunk['done_at']}" if chunk["done_at"] and chunk["state"] == "done" else ""
    where = f"chunk {chunk['number']} of {chunk['chunks']}, keys [{lower}, {upper})"
    return f"{where}: {chunk['state']}{snapshot}{done}, attempt {chunk['attempt']}"


def _events(events: Mapping[str, Any]) -> list[str]:
    if events["error"]:
        return [f"events: not read: {events['error']}"]
    lines = [f"events: {len(events['last'])} of {events['found']} found, {_looked_at(events)}"]
    if events["unreadable"]:
        lines.append(f"  {events['unreadable']} events there cannot be decoded, and may be this key's")
    cells = [["where", "op", "source time", "transaction", "sequence", "what became of it"]]
    cells += [_event(event) for event in events["last"]]
    return [*lines, *text_table(cells)] if events["last"] else lines


def _looked_at(events: Mapping[str, Any]) -> str:
    parts: Sequence[Mapping[str, Any]] = events["looked_at"]
    where = ", ".join(f"[{part['partition']}] {part['start']} to {part['end']}" for part in parts)
    how = f"its partition of {events['partitions']} by the key's hash" if events["by_hash"] else "all partitions"
    return f"in {how}: offsets {where}"


def _event(event: Mapping[str, Any]) -> list[str]:
    together = event["transaction"]
    when = f" in offsets {together['start']} to {together['end']} at {together['at']}" if together else ""
    sequence = "/".join(str(part) for part in event["sequence"] or ())
    detail = f": {event['detail']}" if event["detail"] else ""
    where = f"[{event['partition']}] {event['offset']}"
    xid = "" if event["xid"] is None else str(event["xid"])
    return [where, event["op"], event["source_time"], xid, sequence, f"{event['outcome']}{detail}{when}"]
