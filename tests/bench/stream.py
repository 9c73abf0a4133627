"""One daemon applies a preloaded topic: JSON with schemas, twelve columns, one partition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.figures import Figure
from tests.bench.ground import Ground, ended, ground, wait_delivered
from tests.bench.orders import MAPPING, SOURCE_SQL, TARGET_SQL, VALUES, rows_equal
from tests.bench.procfs import cpu_s, peak_mb
from tests.support.pipeline import Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.stack import Stack

EVENTS_PER_S_FLOOR = 30_000
RSS_MB_FLOOR = 250
INSERTS, UPDATES = 240_000, 120_000
ROWS_PER_TRANSACTION = 20
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
    """How the topic was applied."""

    events: int
    seconds: float
    cpu_s: float
    peak_mb: float


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure and verify."""
    settings = Settings(partitions=1, workers=1, chunk_rows=100_000, sections={"connect": {"schemas_enable": True}})
    with ground(stack, "stream", SOURCE_SQL, TARGET_SQL, [MAPPING], settings) as at:
        preload(at)
        done = apply(at)
        rows_equal(at)
    yield Figure("stream: one worker, preloaded topic", done.events / done.seconds, "events/s", EVENTS_PER_S_FLOOR)
    yield Figure("stream: peak memory of the daemon", done.peak_mb, "MB", RSS_MB_FLOOR, at_most=True)
    yield Figure("stream: CPU time of the daemon", done.cpu_s / done.events * 1e6, "us/event")


def preload(at: Ground) -> None:
    """Start the pipeline on an empty table, end the daemon, and then fill the topic."""
    at.pipeline.command("connector", "apply")
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        ended(daemon)
    at.source.execute("SET synchronous_commit = off")
    at.source.execute(LOAD.encode())
    wait_delivered(at)


def apply(at: Ground) -> Pass:
    """Run the daemon over the topic; timed from the first position it commits to the last."""
    before, _ = at.progress()
    with at.pipeline.run() as daemon:
        until(lambda: at.progress()[0] > before, 60, lambda: f"the first batch is applied:\n{daemon.output()}")
        began, used, (first, _) = time.monotonic(), cpu_s(daemon.pid), at.progress()
        seconds = _finish(at, daemon, before + INSERTS + UPDATES) - began
        found = Pass(at.progress()[0] - first, seconds, cpu_s(daemon.pid) - used, peak_mb(daemon.pid))
        ended(daemon)
    return found


def _finish(at: Ground, daemon: Daemon, events: int) -> float:
    """The moment at which this many events had been consumed."""

    def look() -> float:
        if not daemon.running:
            raise RuntimeError(f"the daemon ended with {daemon.exit_code}:\n{daemon.output()}")
        return time.monotonic() if at.progress()[0] >= events else 0

    return until(look, APPLY_BOUND_S, lambda: f"{at.progress()[0]} of {events} events are applied")
