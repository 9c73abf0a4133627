"""A plan for a terminal, made of the document that --output json shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from daemon.text_table import shown, text_table

WIDTH = 116
_BREAKS = ("FROM", "WHERE", "USING", "ON CONFLICT", "SELECT")
_WORDS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\(|\)|\b(?:" + "|".join(_BREAKS) + r")\b")


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """The lines of a plan."""
    lines = [f"pipeline {plan['pipeline']}: the backfill takes the tables in this order"]
    lines += [f"  {number}. {name}" for number, name in enumerate(plan["order"], start=1)]
    for group, entries in plan["groups"].items():
        lines.append(f"group {group}: {', '.join(entries)}")
    lines += ["", *_estimates(plan)]
    for table in plan["tables"]:
        lines += ["", *_table(table)]
    found = plan["problems"]
    nothing = "Nothing was changed: everything was rolled back."
    lines += ["", f"{found} problem{'s' if found != 1 else ''} found. {nothing}" if found else nothing]
    return lines


def _estimates(plan: Mapping[str, Any]) -> list[str]:
    cells = [["table", "rows", "source", "copied", "chunks", "time (estimate)"]]
    for table in plan["tables"]:
        found = table["estimate"]
        rows = f"{'' if found['rows_exact'] else '~'}{found['rows']:,}"
        chunks = f"{found['chunks_done']}/{found['chunks']}"
        cells.append(
            [table["table"], rows, _mb(found["source_bytes"]), _mb(found["copied_bytes"]), chunks, _time(found)]
        )
    backfill = plan["backfill"]
    pace = f", at most {backfill['rows_per_second']:,} rows/s" if backfill["rows_per_second"] else ""
    total = "not known" if plan["seconds"] is None else f"about {plan['seconds']:,.0f} s"
    return [*text_table(cells, 0), f"backfill: {total} with {backfill['workers']} workers{pace}"]


def _mb(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.1f} MB"


def _time(found: Mapping[str, Any]) -> str:
    if found["seconds"] is None:
        return "not measured"
    if not found["measured_rows"]:
        return "done"
    return f"{found['seconds']:,.1f} s, from {found['measured_rows']:,} rows"


def _table(table: Mapping[str, Any]) -> list[str]:
    key = ", ".join(f"{name} {kind}" for name, kind in table["key"].items())
    push = table["pushdown"]
    how = f"by the source ({'binary' if push['binary'] else 'text'} COPY)" if push["possible"] else "by the target"
    why = f": {push['reason']}" if push["reason"] else ""
    lines = [f"=== {table['table']}", f"key: {key}", f"projection of the backfill: {how}{why}"]
    lines.append(f"TRUNCATE at the source: {table['truncate']}")
    lines += [
        "stage:",
        *_statements(table["stage"]["ddl"]),
        f"  {'stage':9} :=",
        *_laid_out(table["stage"]["relation"]),
    ]
    for entry in table["entries"]:
        lines += ["", f"{entry['entry']} (group {entry['group']}, key {', '.join(entry['target_key'])})"]
        for part, statements in entry["sql"].items():
            lines.append(f"  {part}")
            for name, statement in statements.items():
                lines += [f"    -- {name}", *_laid_out(statement)]
    return [*lines, "", *_sample(table)]


def _statements(statements: list[str]) -> list[str]:
    return [line for statement in statements for line in _laid_out(statement)]


def _laid_out(statement: str, indent: str = "    ") -> list[str]:
    """A statement over several lines: broken before its clauses, outside of brackets, and where it is too long."""
    pieces, depth, at = [], 0, 0
    for match in _WORDS.finditer(statement):
        word = match.group()
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif word in _BREAKS and depth == 0 and match.start() > at:
            pieces.append(statement[at : match.start()].strip())
            at = match.start()
    pieces.append(statement[at:].strip())
    lines = []
    for piece in pieces:
        lines += wrap(
            piece,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _sample(table: Mapping[str, Any]) -> list[str]:
    sample = table["sample"]
    lines = [f"sample: {sample['tried']:,} rows tried, {len(sample['rows'])} shown; all of it was rolled back"]
    for problem in table["problems"]:
        where = f"key {' '.join(problem['key'])}: " if problem["key"] else ""
        lines.append(f"  PROBLEM {where}{problem['error']}")
    for row in sample["rows"]:
        lines += _row(row)
    return lines


def _row(row: Mapping[str, Any]) -> list[str]:
    left = [f"{name} = {shown(value)}" for name, value in row["source"].items()]
    if row["error"]:
        return ["", *text_table([[cell, ""] for cell in left]), f"  -> ERROR: {row['error']}"]
    lines = []
    for entry, target in row["targets"].items():
        right = ["filtered out"]
        if not target["filtered"]:
            right = [f"{name} = {shown(value)}" for name, value in target["row"].items()]
            right += [] if target["written"] else ["NOT WRITTEN"]
        height = max(len(left), len(right))
        cells = zip(left + [""] * (height - len(left)), right + [""] * (height - len(right)), strict=True)
        lines += ["", f"  {entry}", *text_table([[a, "|", b] for a, b in cells])]
    return lines
