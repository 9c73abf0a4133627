"""What `changeover verify` says: JSON, versioned, or lines for a terminal. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sql.sides import Shape
from daemon.verify.mask import Mask
from daemon.verify.suspects import Difference, Kind, differing
from daemon.verify.sweep import Tally

VERSION = 1
COLUMN_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Report:
    """A verification that ran to its end. sweep: None for a sample. sample: percent, None for everything."""

    pipeline: str
    sweep: int | None
    sample: float | None
    seconds: float
    tallies: Sequence[Tally]

    @property
    def rows(self) -> int:
        """How many were compared, of all tables."""
        return sum(tally.rows for tally in self.tallies)

    @property
    def differences(self) -> int:
        """How many are left, of all tables."""
        return sum(tally.kinds.total() + tally.earlier for tally in self.tallies)


def report_of(report: Report, mask: Mask) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "version": VERSION,
        "pipeline": report.pipeline,
        "sweep": report.sweep,
        "sample_percent": report.sample,
        "equal": report.differences == 0,
        "differences": report.differences,
        "unsettled": sum(tally.unsettled for tally in report.tallies),
        "repaired": sum(tally.repaired for tally in report.tallies),
        "rows": report.rows,
        "seconds": round(report.seconds, 3),
        "tables": [_table(tally) for tally in report.tallies],
        "findings": [
            finding_of(tally.job.shape, difference, mask) for tally in report.tallies for difference in tally.shown
        ],
    }


def _table(tally: Tally) -> dict[str, Any]:
    entry = tally.job.shape.entry
    return {
        "source": entry.source.full_name,
        "target": entry.target.full_name,
        "rows": tally.rows,
        "slices": len(tally.job.slices),
        "compared_by": "ranges" if tally.job.shape.aligned else "buckets",
        "projected_at": "source" if tally.job.shape.pushed else "target",
        "extra_rows_checked": entry.not_empty != "keep",
        "suspects": tally.suspects,
        **{kind.value: tally.kinds[kind] for kind in Kind},
        "unsettled": tally.unsettled,
        "repaired": tally.repaired,
    }


def finding_of(shape: Shape, difference: Difference, mask: Mask) -> dict[str, Any]:
    """One difference with its values, as far as they may be shown."""
    entry = shape.entry
    suspect, kind = difference.suspect, difference.kind
    found: dict[str, Any] = {
        "source": entry.source.full_name,
        "target": entry.target.full_name,
        "kind": kind.value,
        "source_key": mask.source_key(entry, suspect.source_key),
        "target_key": mask.target_key(entry, suspect.target_key),
    }
    if kind is Kind.DIFFERENT:
        expected, actual = difference.expected or (), difference.actual or ()
        names = [column.name for column in entry.columns]
        found["columns"] = [
            {
                "name": names[i],
                "expected": mask.value(entry, names[i], expected[i]),
                "actual": mask.value(entry, names[i], actual[i]),
            }
            for i in differing_columns(shape, difference)
        ]
    return found


def differing_columns(shape: Shape, difference: Difference) -> list[int]:
    """Which of the entry's columns differ, by number."""
    return differing(len(shape.types), difference, shape.equal_at)


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for a terminal."""
    made = [f"{'table':44} {'rows':>12} {'missing':>8} {'extra':>8} {'different':>9} {'unsettled':>9} {'repaired':>8}"]
    for table in report["tables"]:
        extra = f"{table['extra']:,}" if table["extra_rows_checked"] else "-"
        made.append(
            f"{table['source'] + ' -> ' + table['target']:44} {table['rows']:>12,} {table['missing']:>8,} {extra:>8} "
            f"{table['different']:>9,} {table['unsettled']:>9,} {table['repaired']:>8,}"
        )
    if any(not table["extra_rows_checked"] for table in report["tables"]):
        made.append("-: the table keeps rows of others (if_not_empty: keep), so that extra rows cannot be told")
    for finding in report["findings"]:
        made += _finding_lines(finding)
    if report["differences"] > len(report["findings"]):
        made.append(f"and {report['differences'] - len(report['findings']):,} more")
    return [*made, _verdict(report)]


def _finding_lines(finding: Mapping[str, Any]) -> Iterator[str]:
    origin = f" of {finding['source']} {_key(finding['source_key'])}" if finding["source_key"] else ""
    yield f"{finding['kind']}: {finding['target']} {_key(finding['target_key'])}{origin}"
    for column in finding.get("columns", ()):
        yield f"    {column['name']}: {_shown(column['expected'])} expected, {_shown(column['actual'])} found"


def _verdict(report: Mapping[str, Any]) -> str:
    what = "sample" if report["sample_percent"] is not None else "verification"
    result = "equal" if report["equal"] else f"NOT EQUAL, {report['differences']:,} differences"
    changing = f"; {report['unsettled']:,} rows changed too often to be compared" if report["unsettled"] else ""
    return f"{what}: {result}, {report['rows']:,} rows in {report['seconds']:,.1f} s{changing}"


def _key(key: Sequence[str | None]) -> str:
    return json.dumps(key, ensure_ascii=False)


def _shown(value: str | None) -> str:
    text = "NULL" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= COLUMN_WIDTH else f"{text[:COLUMN_WIDTH]}…"
