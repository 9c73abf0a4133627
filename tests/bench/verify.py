"""A million equal rows verified, against their backfill; and what continuous verification does to the source."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench import backfill, backlog
from tests.bench.figures import Figure, percentile, ratio_interval
from tests.bench.ground import Ground, ended, ground
from tests.bench.orders import FILTER, MAPPING, SOURCE_SQL, TARGET_SQL
from tests.bench.procfs import peak_mb
from tests.support.pipeline import Settings
from tests.support.processes import Daemon
from tests.support.stack import Stack

PAIRS = 5
RATIO_CEILING = 0.5
PEAK_MB_CEILING = 150
P99_CEILING = 1.10
CLIENTS, RATE, LEG_S = 4, 200, 8


LOAD_SQL = """
SELECT extract(epoch FROM max(done_at) - %s)::float8, extract(epoch FROM max(done_at) - min(claimed_at))::float8,
    bool_and(coalesce(done_at > %s, false))
FROM changeover.chunk
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One backfill. seconds: from the start of `run` to the last chunk's end. chunks_s: from the first one's claim."""

    seconds: float
    chunks_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """One verification. seconds: as it reports. command_s: from the start of the process to its end."""

    seconds: float
    command_s: float
    peak_mb: float


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure: a backfill from the start of `run` to its last chunk, a verification from its start to its exit."""
    sections = {"backfill": {"chunk_rows": 50_000}, "verify": {"continuous": {"enabled": False}}}
    settings = Settings(partitions=1, workers=backfill.WORKERS, sections=sections)
    with ground(stack, "verify", SOURCE_SQL, TARGET_SQL, [MAPPING | {"where": FILTER}], settings) as at:
        backfill.prepare(at)
        loads, runs = [], []
        for _ in range(PAIRS):
            with at.pipeline.run("run", "--anew") as daemon:
                loads.append(_load(at, daemon))
                at.target.execute("VACUUM ANALYZE app.purchases")
                at.pipeline.wait_lag_zero(daemon)
                runs.append(verified(at))
                ended(daemon)
    whole, chunks = median(load.seconds for load in loads), median(load.chunks_s for load in loads)
    inner, outer = median(run.seconds for run in runs), median(run.command_s for run in runs)
    yield Figure("verify: backfill of a million rows, from the start of run", whole, "s")
    yield Figure("verify: verification of them, from start to exit", outer, "s")
    yield Figure("verify: ratio of the medians", outer / whole, "x", RATIO_CEILING, at_most=True)
    yield Figure("verify: the same without starts: first claim to last chunk", inner / chunks, "x")
    peak = max(run.peak_mb for run in runs)
    yield Figure("verify: peak memory of the command", peak, "MB", PEAK_MB_CEILING, at_most=True)
    yield from _bystanders(stack)


def _bystanders(stack: Stack) -> Iterator[Figure]:
    """The p99 latency of a rate-limited pgbench on the source, with continuous verification at its pace and without."""
    sections: dict[str, dict[str, Any]] = {"verify": {"continuous": {"enabled": "${SWEEP}", "interval_s": 0}}}
    settings = Settings(partitions=4, workers=2, sections={"backfill": {"chunk_rows": 50_000}, **sections})
    with ground(stack, "paced", "", backlog.TARGET_SQL, backlog.TABLES, settings) as at:
        at.pipeline.extra_env["SWEEP"] = "false"
        backlog.prepare(at)
        with _streaming(at, sweeping=False):
            pass
        pairs = [(_p99_ms(at, sweeping=True), _p99_ms(at, sweeping=False)) for _ in range(9)]
    low, middle, high = ratio_interval([with_it / without for with_it, without in pairs])
    yield Figure("verify: pgbench p99 without verification, median", median(pair[1] for pair in pairs), "ms")
    yield Figure("verify: ratio of p99, with and without, nine pairs", middle, "x")
    yield Figure("verify: its 95% interval, upper bound", high, "x")
    yield Figure("verify: its 95% interval, lower bound", low, "x", P99_CEILING, at_most=True)


def _p99_ms(at: Ground, *, sweeping: bool) -> float:
    log = at.pipeline.directory / f"pgbench-{sweeping}"
    for old in at.pipeline.directory.glob("pgbench-*"):
        old.unlink()
    with _streaming(at, sweeping=sweeping):
        options = f"-n -c {CLIENTS} -R {RATE} -T {LEG_S} -l --log-prefix {log}"
        at.shell(f"{backlog.ASYNC} {at.program('pgbench')} {options} '{at.databases.source_url}'")
    lines = [line for file in at.pipeline.directory.glob(f"{log.name}*") for line in file.read_text().splitlines()]
    return percentile([float(line.split()[2]) / 1e3 for line in lines], 0.99)


@contextmanager
def _streaming(at: Ground, *, sweeping: bool) -> Iterator[None]:
    """The daemon, caught up; it does or does not verify."""
    at.pipeline.extra_env["SWEEP"] = str(sweeping).lower()
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        yield
        ended(daemon)


def verified(at: Ground) -> Run:
    """Verify everything while the daemon runs; both sides must be equal."""
    began, peak = time.monotonic(), 0.0
    command = at.pipeline.start("verify", "--output", "json")
    while command.running:
        peak = max(peak, _peak(command.pid))
        time.sleep(0.01)
    seconds, said = time.monotonic() - began, command.output(100_000)
    if command.exit_code != 0:
        raise RuntimeError(f"verify ended with {command.exit_code}: {said[-2000:]}")
    report = json.JSONDecoder().raw_decode(said[said.index('{\n  "version"') :])[0]
    return Run(float(report["seconds"]), seconds, peak)


def _load(at: Ground, daemon: Daemon) -> Load:
    """Wait for the backfill of a daemon that has just been started anew."""
    (began,) = at.target.execute("SELECT clock_timestamp()").fetchone() or ()

    def done() -> Load | None:
        row = at.target.execute(LOAD_SQL, (began, began)).fetchone()
        return Load(float(row[0]), float(row[1])) if row and row[2] else None

    return at.pipeline.until(daemon, done, backfill.BOUND_S, "the backfill")


def _peak(pid: int) -> float:
    try:
        return peak_mb(pid)
    except (OSError, RuntimeError):
        return 0.0
