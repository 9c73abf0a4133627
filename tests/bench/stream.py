"""One daemon applies a preloaded topic: JSON with schemas, twelve columns, one partition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from tests.bench.figures import Figure
from tests.bench.ground import Ground, ended, ground, wait_delivered
from tests.bench.orders import MAPPING, SOURCE_SQL, TARGET_SQL, VALUES, rows_equal
from tests.bench.procfs import cpu_s, peak_mb
from tests.support.pipeline import Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.stack import Stack

EVENTS_PER_S_FLOOR = 30_000
PEAK_MB_FLOOR = 250
INSERTS, UPDATES = 240_000, 120_000
ROWS_PER_TRANSACTION = 20
PASSES = 3
APPLY_BOUND_S = 120

LOAD = f"""
DO $$ BEGIN
    FOR i IN 0 .. {INSERTS // ROWS_PER_TRANSACTION - 1} LOOP
        INSERT INTO orders SELECT {VALUES}
            FROM generate_series(i * {ROWS_PER_TRANSACTION} + 1, (i + 1) * {ROWS_PER_TRANSACTION}) AS n;
        COMMIT;
    END LOOP;
    FOR i IN 0 .. {UPDATES // ROWS_PER_TRANSACTION - 1} LOOP
        UPDATE orders SET status = 'closed', total_cents = total_cents + 1, updated_at = clock_timestamp()
            WHERE id IN (SELECT (i * {ROWS_PER_TRANSACTION} + k)::bigint * 7919 % {INSERTS} + 1
                           FROM generate_series(1, {ROWS_PER_TRANSACTION}) AS k);
        COMMIT;
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True)
class Pass:
    """How the topic was applied once."""

    events: int
    seconds: float
    cpu_s: float
    peak_mb: float


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure and verify."""
    settings = Settings(partitions=1, workers=1, sections={"connect": {"schemas_enable": True}})
    with ground(stack, "stream", SOURCE_SQL, TARGET_SQL, [MAPPING], settings) as at:
        preload(at, LOAD)
        passes = []
        for _ in range(PASSES):
            passes.append(apply(at, INSERTS + UPDATES))
            rows_equal(at)
    speed = median(found.events / found.seconds for found in passes)
    cpu = median(found.cpu_s / found.events * 1e6 for found in passes)
    yield Figure("stream: one worker, preloaded topic, median", speed, "events/s", EVENTS_PER_S_FLOOR)
    yield Figure("stream: CPU time of the daemon, median", cpu, "us/event")
    yield Figure("stream: peak memory of the daemon", max(p.peak_mb for p in passes), "MB", PEAK_MB_FLOOR, at_most=True)


def preload(at: Ground, load: str) -> None:
    """Start the pipeline on empty tables, end the daemon, remember its state, and then fill the topics."""
    at.pipeline.command("connector", "apply")
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        ended(daemon)
    at.target.execute("CREATE TABLE checkpoint_start AS TABLE changeover.checkpoint")
    at.source.execute("SET synchronous_commit = off")
    at.source.execute(load.encode())
    wait_delivered(at)


def apply(at: Ground, events: int) -> Pass:
    """Run the daemon over all that was preloaded; timed from the first position it commits to the last."""
    targets = ", ".join(str(table["to"]) for table in at.pipeline.settings.tables)
    at.target.execute(f"TRUNCATE {targets}; DELETE FROM changeover.checkpoint".encode())
    at.target.execute("INSERT INTO changeover.checkpoint SELECT * FROM checkpoint_start")
    at.target.execute("CHECKPOINT")
    before = consumed(at)
    with at.pipeline.run() as daemon:
        at.pipeline.until(daemon, lambda: consumed(at) > before, 60, "the first batch is applied")
        began, used, first = time.monotonic(), cpu_s(daemon.pid), consumed(at)
        seconds = _finish(at, daemon, before + events) - began
        found = Pass(consumed(at) - first, seconds, cpu_s(daemon.pid) - used, peak_mb(daemon.pid))
        ended(daemon)
    return found


def consumed(at: Ground) -> int:
    """Events consumed so far, as the target's checkpoints have them."""
    row = at.target.execute("SELECT sum(consumed) FROM changeover.checkpoint WHERE table_name IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])


def _finish(at: Ground, daemon: Daemon, events: int) -> float:
    """The moment at which this many events had been consumed."""

    def look() -> float:
        if not daemon.running:
            raise RuntimeError(f"the daemon ended with {daemon.exit_code}:\n{daemon.output()}")
        return time.monotonic() if consumed(at) >= events else 0

    return until(look, APPLY_BOUND_S, lambda: f"{consumed(at)} of {events} events are applied")
