"""What the demo found, and the table it ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deploy.demo.oracle import TableResult, describe
from deploy.demo.probe import Window, percentile
from deploy.demo.product import Status
from deploy.demo.screen import Screen

_YES_NO = {True: "yes", False: "NO"}


@dataclass
class Findings:
    """What the demo has seen; `faults` make it fail."""

    faults: list[str] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    restarts: list[tuple[str, float]] = field(default_factory=list)
    """What was killed, and after how many seconds its work went on."""
    lags: list[float] = field(default_factory=list)
    """End-to-end lags in seconds, sorted, of the stream, without those of the windows."""
    written: dict[str, Any] = field(default_factory=dict)
    """What the application said at its end."""
    tables: list[TableResult] = field(default_factory=list)
    trust: str = ""
    """What came of the rows that were damaged."""

    @property
    def identical(self) -> bool:
        """Whether every table is what it must be."""
        return bool(self.tables) and all(table.identical for table in self.tables)


def show(screen: Screen, found: Findings, status: Status, total_s: float, download_s: float) -> None:
    """Print everything: the tables, the figures, the faults, the verdict."""
    screen.plain()
    _tables(screen, found.tables)
    screen.plain()
    for name, value in _figures(found, status, total_s, download_s):
        screen.plain(f"{name:<32} {value}")
    screen.plain()
    for fault in found.faults:
        screen.plain(f"FAULT: {fault}", "red")
    if found.faults:
        screen.plain("FAILED", "red")
    else:
        screen.plain("moved: not one row lost or invented", "green")


def _tables(screen: Screen, tables: list[TableResult]) -> None:
    rows = [[t.table, *(f"{n:,}" for n in (t.rows, t.missing, t.extra, t.different))] for t in tables]
    totals = (sum(t.rows for t in tables), sum(t.missing for t in tables), sum(t.extra for t in tables))
    rows.append(["total", *(f"{n:,}" for n in (*totals, sum(t.different for t in tables)))])
    screen.table(["table", "rows", "missing", "extra", "different"], rows)
    for table in tables:
        for line in describe(table)[1:]:
            screen.plain(f"{table.table} {line.strip()}", "red")


def _figures(found: Findings, status: Status, total_s: float, download_s: float) -> list[tuple[str, str]]:
    written = found.written
    return [
        ("written meanwhile", f"{written['transactions']:,} transactions, {written['rows_changed']:,} rows"),
        ("rate of the application", f"{written['rate']:.0f} transactions a second"),
        ("events", f"{status.consumed:,}"),
        ("restarts", str(len(found.restarts))),
        *((f"  kill -9: {what}", f"goes on after {seconds:.1f} s") for what, seconds in found.restarts),
        ("end-to-end lag", _lag(found.lags)),
        ("ledger", ", ".join(f"{name} {count:,}" for name, count in status.ledger.items())),
        ("ledger balanced", _YES_NO[status.balanced]),
        ("verification", found.trust),
        ("identical", _YES_NO[found.identical]),
        ("total time", f"{total_s:.0f} s" + (f", and {download_s:.0f} s of downloads" if download_s else "")),
    ]


def _lag(lags: list[float]) -> str:
    if not lags:
        return "no sample"
    p50, p99 = percentile(lags, 0.5) * 1000, percentile(lags, 0.99) * 1000
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms ({len(lags):,} rows of a probe while streaming, recoveries left out)"
