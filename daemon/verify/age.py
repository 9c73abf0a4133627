"""How old the verification of each table is, and what it came to: for `status`, and for the metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.control.verification import SweepRow


@dataclass(frozen=True, slots=True)
class Verified:
    """A source table's newest whole sweep, of all entries that it feeds. age_s: since it began.

    differences: rows that have not been mended since, whichever sweep found them.
    """

    age_s: float
    sweep: int
    differences: int
    unsettled: int


def verified(sweeps: Iterable[SweepRow], findings: Mapping[str, int]) -> dict[str, Verified]:
    """Source table -> its verification, of those that have been swept whole. sweeps: the newest first.

    findings: entry -> open findings.
    """
    newest: dict[str, SweepRow] = {}
    entries: dict[str, set[str]] = {}
    for row in sweeps:
        entries.setdefault(table_of(row.entry), set()).add(row.entry)
        if row.done:
            newest.setdefault(row.entry, row)
    return {
        table: Verified(
            max(newest[entry].age_s for entry in mine),
            min(newest[entry].sweep for entry in mine),
            sum(findings.get(entry, 0) for entry in mine),
            sum(newest[entry].unsettled for entry in mine),
        )
        for table, mine in entries.items()
        if mine <= newest.keys()
    }


def table_of(entry: str) -> str:
    """The source table of an entry, by the entry's name."""
    return entry.partition(" -> ")[0]
