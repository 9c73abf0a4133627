"""pgbench against a streaming pipeline: how many seconds the target is behind, how long a commit takes to arrive."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.bench.figures import Figure, backlogs, percentile
from tests.bench.ground import Ground, ground, wait_delivered
from tests.bench.watch import watching
from tests.support.pipeline import Settings
from tests.support.processes import Daemon
from tests.support.stack import Stack

BACKLOG_S_FLOOR = 2
SCALE, CLIENTS = 10, 4
EVENTS_PER_TRANSACTION = 4
CAPACITY_S, THROTTLED_S, LATENCY_S = 8, 25, 10
LATENCY_RATE = 500
SAMPLE_S = 0.1
ASYNC = "PGOPTIONS='-c synchronous_commit=off'"
"""So that it is the connector that sets the pace, and not the source's disk."""
CATCH_UP_S = 60

TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.branch (branch_id bigint PRIMARY KEY, balance numeric(20,2), filler text);
CREATE TABLE app.teller (
    teller_id bigint PRIMARY KEY, branch_id bigint, balance numeric(20,2), filler text
);
CREATE TABLE app.account (
    account_id bigint PRIMARY KEY, branch_id bigint, balance numeric(20,2), filler text
);
CREATE TABLE app.entry (
    entry_id bigint PRIMARY KEY, teller_id bigint, branch_id bigint, account_id bigint,
    amount numeric(20,2), made_at timestamp
);
"""


def _entry(table: str, to: str, key: dict[str, str], balance: str, **columns: str) -> dict[str, Any]:
    amounts = {("amount" if balance == "delta" else "balance"): f"cast({balance} as numeric(20,2))"}
    wide = {name: f"cast({source} as bigint)" for name, source in columns.items() if name.endswith("_id")}
    rest = {name: source for name, source in columns.items() if name not in wide}
    return {"from": f"public.pgbench_{table}", "to": f"app.{to}", "key": key, "columns": wide | amounts | rest}


TABLES = (
    _entry("branches", "branch", {"branch_id": "cast(bid as bigint)"}, "bbalance", filler="cast(filler as text)"),
    _entry(
        "tellers", "teller", {"teller_id": "cast(tid as bigint)"}, "tbalance", branch_id="bid",
        filler="cast(filler as text)",
    ),
    _entry(
        "accounts", "account", {"account_id": "cast(aid as bigint)"}, "abalance", branch_id="bid",
        filler="cast(filler as text)",
    ),
    _entry(
        "history", "entry", {"entry_id": "hid"}, "delta", teller_id="tid", branch_id="bid", account_id="aid",
        made_at="mtime",
    ),
)  # fmt: skip
SINGLE_ROW = "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, 1, 0, clock_timestamp());\n"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When each row was written at the source (at the latest), and when it had been applied."""

    rows: list[tuple[float, float]]

    @property
    def delays(self) -> list[float]:
        """Seconds from the one to the other."""
        return [applied - written for written, applied in self.rows]

    @property
    def backlogs(self) -> list[float]:
        """Seconds behind, sampled while rows were written."""
        begin, end = min(row[0] for row in self.rows), max(row[0] for row in self.rows)
        return backlogs(self.rows, [begin + i * SAMPLE_S for i in range(int((end - begin) / SAMPLE_S))])


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure and verify."""
    settings = Settings(partitions=4, workers=2, sections={"backfill": {"chunk_rows": 50_000}})
    with ground(stack, "backlog", "", TARGET_SQL, TABLES, settings) as at:
        prepare(at)
        capacity = _capacity(at)
        yield Figure("backlog: the connector delivers, pgbench unthrottled", capacity, "events/s")
        with at.pipeline.run() as daemon:
            at.pipeline.wait_lag_zero(daemon)
            rate = capacity / 2 / EVENTS_PER_TRANSACTION
            streamed = _watched(at, daemon, f"-R {rate:.0f} -T {THROTTLED_S}", 0.02)
            script = at.pipeline.directory / "single.sql"
            script.write_text(SINGLE_ROW)
            single = _watched(at, daemon, f"-f {script} -R {LATENCY_RATE} -T {LATENCY_S}", 0.005)
            at.pipeline.wait_lag_zero(daemon)
        _verify(at)
    late = streamed.backlogs
    yield Figure("backlog: events/s while it is measured", _rate(streamed) * EVENTS_PER_TRANSACTION, "events/s")
    yield Figure("backlog: p50", percentile(late, 0.5), "s")
    yield Figure("backlog: p99", percentile(late, 0.99), "s", BACKLOG_S_FLOOR, at_most=True)
    yield Figure(f"latency: p50, {LATENCY_RATE} changes/s", percentile(single.delays, 0.5) * 1e3, "ms")
    yield Figure(f"latency: p99, {LATENCY_RATE} changes/s", percentile(single.delays, 0.99) * 1e3, "ms")


def _rate(arrivals: Arrivals) -> float:
    written = [row[0] for row in arrivals.rows]
    return len(written) / (max(written) - min(written))


def prepare(at: Ground) -> None:
    """Fill the source and apply the connector."""
    at.shell(f"{at.program('pgbench')} -i -q -I dtGp -s {SCALE} '{at.databases.source_url}'")
    at.source.execute(
        "ALTER TABLE pgbench_history ADD COLUMN hid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY; ANALYZE"
    )
    at.pipeline.command("connector", "apply")


def _pgbench(at: Ground, options: str) -> int:
    """Run it; returns the number of transactions."""
    command = f"{ASYNC} {at.program('pgbench')} -n -c {CLIENTS} {options} '{at.databases.source_url}'"
    found = re.search(r"transactions actually processed: (\d+)", at.shell(command))
    assert found is not None
    return int(found[1])


def _capacity(at: Ground) -> float:
    """Events a second from pgbench's start until the last of them is in Kafka, which pgbench outruns or just feeds."""
    ends = _Ends(at)
    began = time.monotonic()
    events = EVENTS_PER_TRANSACTION * _pgbench(at, f"-T {CAPACITY_S}")
    wait_delivered(at, ends.look)
    ends.close()
    return events / (ends.moved - began)


class _Ends:
    """Remembers when the tables' topics last grew."""

    def __init__(self, at: Ground) -> None:
        self.moved = time.monotonic()
        self._sum = -1
        self._consumer = Consumer({"bootstrap.servers": at.databases.stack.kafka, "group.id": "bench"})
        topics = self._consumer.list_topics(timeout=20).topics
        prefix = f"{at.databases.name}.public."
        self._parts = [TopicPartition(t, p) for t in topics if t.startswith(prefix) for p in topics[t].partitions]

    def look(self) -> None:
        """Ask for the ends."""
        total = sum(self._consumer.get_watermark_offsets(part, timeout=20)[1] for part in self._parts)
        if total != self._sum:
            self._sum, self.moved = total, time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def _watched(at: Ground, daemon: Daemon, options: str, every_s: float) -> Arrivals:
    """Run pgbench while looking at the target."""
    row = at.source.execute("SELECT coalesce(max(hid), 0) FROM pgbench_history").fetchone()
    assert row is not None
    with watching(at.databases.target_url, "app.entry", "entry_id", every_s) as watch:
        count = _pgbench(at, options)
        query = "SELECT hid, extract(epoch FROM mtime)::float8 FROM pgbench_history WHERE hid > %s"
        written: dict[int, float] = dict(at.source.execute(query, row).fetchall())
        at.pipeline.until(daemon, lambda: watch.seen.keys() >= written.keys(), CATCH_UP_S, "all rows are applied")
    if len(written) != count:
        raise RuntimeError(f"{count} transactions wrote {len(written)} rows")
    return Arrivals(sorted((moment, watch.seen[hid]) for hid, moment in written.items()))


def _verify(at: Ground) -> None:
    """TPC-B's invariant at the target, and the same sums as at the source."""
    sums = (
        "SELECT (SELECT sum({})::bigint FROM {}), (SELECT sum({})::bigint FROM {}), (SELECT sum({})::bigint FROM {}),"
    )
    sums += " sum({})::bigint, count(*) FROM {}"
    source = ["bbalance", "pgbench_branches", "tbalance", "pgbench_tellers", "abalance", "pgbench_accounts"]
    target = ["balance", "app.branch", "balance", "app.teller", "balance", "app.account"]
    expected = at.source.execute(sums.format(*source, "delta", "pgbench_history").encode()).fetchone()
    actual = at.target.execute(sums.format(*target, "amount", "app.entry").encode()).fetchone()
    if expected != actual or actual is None or len(set(actual[:4])) != 1:
        raise RuntimeError(f"sums of balances differ: {expected} at the source, {actual} at the target")
