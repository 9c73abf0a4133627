"""A million rows through a mapping, and the same rows from psql into psql: in turn, in the same run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from tests.bench.figures import Figure
from tests.bench.ground import Ground, ended, ground
from tests.bench.orders import FILTER, MAPPING, SOURCE_SQL, TARGET_SQL, VALUES, rows_equal
from tests.support.pipeline import Settings
from tests.support.polling import until
from tests.support.stack import Stack

RATIO_FLOOR = 0.75
ROWS = 1_000_000
PAIRS = 3
WORKERS = 2
"""The configuration's default."""
BOUND_S = 120


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure and verify. Rates count rows that arrive: fewer than are read with the mapping, whose filter drops 2%."""
    settings = Settings(partitions=1, workers=WORKERS, sections={"backfill": {"chunk_rows": 50_000}})
    with ground(stack, "backfill", SOURCE_SQL, TARGET_SQL, [MAPPING | {"where": FILTER}], settings) as at:
        prepare(at)
        psql, ours = [], []
        for _ in range(PAIRS):
            psql.append(copy(at))
            ours.append(backfill(at))
        rows_equal(at, FILTER)
    yield Figure("backfill: psql COPY | psql COPY, text, median", median(psql), "rows/s")
    yield Figure("backfill: with a mapping, 2 workers, median", median(ours), "rows/s")
    yield Figure("backfill: ratio of the medians", median(ours) / median(psql), "x", RATIO_FLOOR)


def prepare(at: Ground) -> None:
    """Fill the source, plan the chunks, and remember that state."""
    at.source.execute("SET synchronous_commit = off")
    at.source.execute(f"INSERT INTO orders SELECT {VALUES} FROM generate_series(1, {ROWS}) AS n".encode())
    at.source.execute("VACUUM ANALYZE orders")
    at.target.execute(SOURCE_SQL.replace("TABLE orders", "TABLE copied").encode())
    at.pipeline.command("connector", "apply")
    with at.pipeline.run("run", "--no-backfill") as daemon:
        at.pipeline.until(daemon, at.pipeline.chunks, 60, "the chunks are planned")
        ended(daemon)
    at.target.execute("CREATE TABLE chunk_start AS TABLE changeover.chunk")


def copy(at: Ground) -> float:
    """Rows a second from psql to psql."""
    at.target.execute("TRUNCATE copied")
    _settle(at)
    psql, urls = at.program("psql"), at.databases
    read = f"{psql} -X -q '{urls.source_url}' -c 'COPY orders TO STDOUT'"
    write = f"{psql} -X -q -v ON_ERROR_STOP=1 '{urls.target_url}' -c 'COPY copied FROM STDIN'"
    began = time.monotonic()
    at.shell(f"{read} | {write}", BOUND_S)
    return ROWS / (time.monotonic() - began)


def backfill(at: Ground) -> float:
    """Rows a second through the workers that `changeover run` would start, from their launch to their end."""
    at.target.execute("TRUNCATE app.purchases")
    at.target.execute("DELETE FROM changeover.chunk")
    at.target.execute("INSERT INTO changeover.chunk SELECT * FROM chunk_start")
    _settle(at)
    began = time.monotonic()
    workers = [at.pipeline.start("backfill", "--share", str(WORKERS)) for _ in range(WORKERS)]
    try:
        until(lambda: not any(worker.running for worker in workers), BOUND_S, "the workers are done")
        seconds = time.monotonic() - began
        failed = [worker.output() for worker in workers if worker.exit_code != 0]
    finally:
        for worker in workers:
            worker.end()
    if failed:
        raise RuntimeError(f"a worker failed:\n{failed[0]}")
    row = at.target.execute("SELECT count(*) FROM app.purchases").fetchone()
    assert row is not None
    return float(row[0]) / seconds


def _settle(at: Ground) -> None:
    for connection in (at.source, at.target):
        connection.execute("CHECKPOINT")
