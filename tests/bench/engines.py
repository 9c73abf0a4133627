"""Half a million rows into another engine, and their verification across both: each from its command's start."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench import verify
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ended, ground
from tests.bench.orders import SOURCE_SQL, VALUES
from tests.support.databases import open_mariadb
from tests.support.pipeline import Settings
from tests.support.processes import Daemon
from tests.support.stack import Stack

ROWS = 500_000
PAIRS = 3
RATIO_CEILING = 1.0
BOUND_S = 300


@dataclass(frozen=True)
class Engine:
    """A target: its table, and what the mapping says in its SQL. workers: of the backfill."""

    kind: str
    table: str
    columns: Mapping[str, str]
    workers: int


MARIADB = Engine(
    "mariadb",
    """CREATE TABLE purchases (
        purchase_id bigint PRIMARY KEY, buyer_id bigint NOT NULL, name longtext NOT NULL, email varchar(80),
        status varchar(20) NOT NULL, total decimal(12,2) NOT NULL, quantity int NOT NULL, ratio double,
        active tinyint(1) NOT NULL, notes longtext, created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL
    )""",
    {
        "buyer_id": "customer_id", "name": "name", "email": "lower(email)", "status": "cast(status as char(20))",
        "total": "cast(total_cents / 100 as decimal(12,2))", "quantity": "quantity", "ratio": "ratio",
        "active": "active = 'Y'", "notes": "notes", "created_at": "created_at", "updated_at": "updated_at",
    },
    2,
)  # fmt: skip
SQLITE = Engine(
    "sqlite",
    """CREATE TABLE purchases (
        purchase_id INTEGER PRIMARY KEY, buyer_id INTEGER NOT NULL, name TEXT NOT NULL, email TEXT,
        status TEXT NOT NULL, total INTEGER NOT NULL, quantity INTEGER NOT NULL, ratio REAL,
        active INTEGER NOT NULL, notes TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    )""",
    {
        "buyer_id": "customer_id", "name": "name", "email": "lower(email)", "status": "status",
        "total": "total_cents", "quantity": "quantity", "ratio": "ratio",
        "active": "active = 'Y'", "notes": "notes", "created_at": "created_at", "updated_at": "updated_at",
    },
    1,
)  # fmt: skip


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure both engines."""
    for engine in (MARIADB, SQLITE):
        yield from _figures(stack, engine)


def _figures(stack: Stack, engine: Engine) -> Iterator[Figure]:
    entry = {"from": "public.orders", "to": "purchases", "key": {"purchase_id": "id"}, "columns": engine.columns}
    sections: dict[str, dict[str, Any]] = {
        "backfill": {"chunk_rows": 20_000},
        "verify": {"continuous": {"enabled": False}},
    }
    settings = Settings(partitions=1, workers=engine.workers, target=engine.kind, sections=sections)
    with ground(stack, f"across_{engine.kind}", SOURCE_SQL, "", [entry], settings) as at:
        _make(at, engine)
        loads, runs = [], []
        for _ in range(PAIRS):
            began = time.monotonic()
            with at.pipeline.run("run", "--anew") as daemon:
                loads.append(_loaded(at, daemon, began, len(loads)))
                at.pipeline.wait_lag_zero(daemon)
                runs.append(verify.verified(at))
                ended(daemon)
    whole, outer = median(loads), median(run.command_s for run in runs)
    yield Figure(f"{engine.kind}: backfill, from the start of run", ROWS / whole, "rows/s")
    yield Figure(f"{engine.kind}: verification, from start to exit", ROWS / outer, "rows/s")
    yield Figure(f"{engine.kind}: ratio of the times", outer / whole, "x", RATIO_CEILING, at_most=True)


def _make(at: Ground, engine: Engine) -> None:
    """The target's table, the source's rows, and the connector."""
    if engine.kind == "sqlite":
        with closing(sqlite3.connect(at.pipeline.target_url.removeprefix("sqlite:///"))) as file:
            file.execute(engine.table)
    else:
        with open_mariadb(at.pipeline.target_url) as cursor:
            cursor.execute(engine.table)
    at.source.execute("SET synchronous_commit = off")
    at.source.execute(f"INSERT INTO orders SELECT {VALUES} FROM generate_series(1, {ROWS}) AS n".encode())
    at.source.execute("VACUUM ANALYZE orders")
    at.pipeline.command("connector", "apply")


def _loaded(at: Ground, daemon: Daemon, began: float, before: int) -> float:
    """Wait for the last chunk of a backfill that has just been started anew; seconds since then."""

    def done() -> bool:
        chunks: Sequence[Any] = list(at.pipeline.chunks().values())
        return bool(chunks) and len(at.pipeline.chunks_done()) == len(chunks)

    at.pipeline.until(daemon, lambda: not done() if before else True, BOUND_S, "the new beginning")
    at.pipeline.until(daemon, done, BOUND_S, "the backfill")
    return time.monotonic() - began
