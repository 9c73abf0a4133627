"""Findings as lines for people, or as JSON for machines. Pure."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict

from daemon.doctor.findings import Finding, How, Level, worst
from daemon.logs import redact

VERSION = 1
_COLOURS = {Level.OK: "32", Level.SKIPPED: "2", Level.WARN: "33", Level.FAIL: "31"}
_PLACES = {
    How.SOURCE: "SQL at the source",
    How.TARGET: "SQL at the target",
    How.SHELL: "command",
    How.FILE: "in the file",
    How.SETTING: "by hand",
}


def lines(findings: Sequence[Finding], *, colour: bool) -> list[str]:
    """The report for a terminal: aligned, with what mends it below every line that is not ok."""
    area = max((len(finding.area) for finding in findings), default=0)
    name = max((len(finding.name) for finding in findings), default=0)
    found = []
    for finding in findings:
        about = f"{finding.about}: " if finding.about else ""
        seen = redact(f"{about}{finding.seen}").replace("\n", " ")
        level = _coloured(f"{finding.level:7}", finding.level) if colour else f"{finding.level:7}"
        found.append(f"{level} {finding.area:{area}}  {finding.name:{name}}  {seen}")
        if finding.mend:
            found.append(_mend(finding, 8))
    return [*found, "", summary(findings)]


def _mend(finding: Finding, indent: int) -> str:
    text = f"mend ({_PLACES[finding.how]}): {redact(finding.mend)}"
    return textwrap.indent(text, " " * indent)


def _coloured(text: str, level: Level) -> str:
    return f"\033[{_COLOURS[level]}m{text}\033[0m"


def summary(findings: Iterable[Finding]) -> str:
    """How many of each level."""
    counts = Counter(finding.level for finding in findings)
    return ", ".join(f"{counts[level]} {level}" for level in (Level.FAIL, Level.WARN, Level.OK, Level.SKIPPED))


def document(findings: Sequence[Finding]) -> str:
    """The report as JSON, versioned. Levels: ok, skipped, warn, fail. how: where `mend` is put in."""
    items = [{name: redact(value) for name, value in asdict(finding).items()} for finding in findings]
    return json.dumps({"version": VERSION, "findings": items, "worst": worst(findings)}, ensure_ascii=False)


def exit_code(findings: Collection[Finding], *, strict: bool) -> int:
    """1 where something failed; with `strict` also for a warning."""
    level = worst(findings)
    return int(level is Level.FAIL or (strict and level is Level.WARN))
