"""A workload that nobody here wrote: pgbench's four tables move to a renamed, retyped schema while it writes.

pgbench_history has no key. That is refused first, with the statement that mends it; the statement is carried out, and
the table moves with the others.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.stack import Stack

SCALE = 10
CLIENTS = 4
ACCOUNTS = 100_000 * SCALE
RATE = 250
"""Transactions a second: five changed or new rows each. The machine is shared with everything else that runs here."""

TARGET_SQL = """
CREATE SCHEMA bank;
CREATE TABLE bank.branch (branch_no bigint PRIMARY KEY, balance numeric(20,2) NOT NULL);
CREATE TABLE bank.teller (
    teller_no text PRIMARY KEY, branch_no bigint NOT NULL, balance numeric(20,2) NOT NULL, overdrawn boolean NOT NULL
);
CREATE TABLE bank.account (
    id bigint PRIMARY KEY, branch_no bigint NOT NULL, balance numeric(20,2) NOT NULL, remark text NOT NULL
);
CREATE TABLE bank.entry (
    entry_no bigint PRIMARY KEY,
    teller_no text NOT NULL,
    branch_no bigint NOT NULL,
    account_id bigint NOT NULL,
    amount numeric(20,2) NOT NULL CHECK (amount BETWEEN -5000 AND 5000),
    booked_at timestamptz NOT NULL
);
"""

BRANCH = {
    "from": "public.pgbench_branches",
    "to": "bank.branch",
    "key": {"branch_no": "bid"},
    "columns": {"balance": "cast(coalesce(bbalance, 0) as numeric(20,2))"},
}
TELLER = {
    "from": "public.pgbench_tellers",
    "to": "bank.teller",
    "key": {"teller_no": "'T' || tid"},
    "columns": {
        "branch_no": "coalesce(bid, 0)",
        "balance": "cast(coalesce(tbalance, 0) as numeric(20,2))",
        "overdrawn": "coalesce(tbalance, 0) < 0",
    },
}
ACCOUNT = {
    "from": "public.pgbench_accounts",
    "to": "bank.account",
    "key": {"id": "aid"},
    "columns": {
        "branch_no": "coalesce(bid, 0)",
        "balance": "cast(coalesce(abalance, 0) as numeric(20,2))",
        "remark": "trim(coalesce(cast(filler as text), ''))",
    },
}
ENTRY = {
    "from": "public.pgbench_history",
    "to": "bank.entry",
    "key": {"entry_no": "id"},
    "columns": {
        "teller_no": "'T' || coalesce(tid, 0)",
        "branch_no": "coalesce(bid, 0)",
        "account_id": "coalesce(aid, 0)",
        "amount": "cast(coalesce(delta, 0) as numeric(20,2))",
        "booked_at": "coalesce(mtime, timestamp '1970-01-01') at time zone 'UTC'",
    },
}

QUESTIONS = (
    Question(
        "bank.branch",
        "SELECT bid, (bbalance::text || '.00') FROM pgbench_branches",
        "SELECT branch_no, balance FROM bank.branch",
    ),
    Question(
        "bank.teller",
        "SELECT concat('T', tid), bid, tbalance::text || '.00', tbalance < 0 FROM pgbench_tellers",
        "SELECT teller_no, branch_no, balance, overdrawn FROM bank.teller",
    ),
    Question(
        "bank.account",
        "SELECT aid, bid, abalance::text || '.00', rtrim(filler) FROM pgbench_accounts",
        "SELECT id, branch_no, balance, remark FROM bank.account",
    ),
    Question(
        "bank.entry",
        """SELECT id, concat('T', tid), bid, aid, delta::text || '.00', extract(epoch FROM mtime)
           FROM pgbench_history""",
        "SELECT entry_no, teller_no, branch_no, account_id, amount, extract(epoch FROM booked_at) FROM bank.entry",
    ),
)

SUMS = """
SELECT (SELECT sum(balance) FROM bank.branch), (SELECT sum(balance) FROM bank.teller),
       (SELECT sum(balance) FROM bank.account), (SELECT sum(amount) FROM bank.entry)
"""
"""What TPC-B says must be equal, whatever happened."""


def test_pgbench_moves_while_it_writes(
    stack: Stack, databases: Databases, pipeline: Callable[[Settings], Pipeline], tmp_path: Path
) -> None:
    with open_url(databases.target_url) as target:
        target.execute(TARGET_SQL.encode())
    _pgbench(stack, "-i", "-q", "-s", str(SCALE), databases.source_url)
    moved = pipeline(Settings([BRANCH, TELLER, ACCOUNT, ENTRY], chunk_rows=100_000))
    with _writing(stack, databases, tmp_path / "pgbench.log") as written:
        _mend_what_is_refused(moved, databases)
        moved.command("connector", "apply")
        before = written(100)
        with moved.run() as daemon:
            moved.until(daemon, moved.chunks_done, 60, "the first chunk")
            during = written()
            assert len(moved.chunks_done()) < len(moved.chunks()), "the backfill was over before it could be seen"
            moved.until(daemon, lambda: _all_done(moved), 90, "the backfill")
            assert written(1) > during > before
            written(5 * RATE)
            moved.wait_lag_zero(daemon)  # with the writes going on: the barrier is of the moment it was asked for
            written.stop()
            rows = moved.verify(QUESTIONS, daemon)
    assert rows > ACCOUNTS + 6 * RATE
    with open_url(databases.target_url) as target:
        sums = target.execute(SUMS).fetchone()
        moved_money = target.execute("SELECT count(*) FROM bank.account WHERE balance <> 0").fetchone()
    assert sums is not None
    assert len(set(sums)) == 1, f"branches, tellers, accounts and history do not agree: {sums}"
    assert moved_money is not None
    assert moved_money[0] > RATE


def _mend_what_is_refused(moved: Pipeline, databases: Databases) -> None:
    """The table without a key: exit 2, one line that names it and says a statement. That statement is then run."""
    refused = moved.call("connector", "apply")
    lines = refused.said.splitlines()
    assert (refused.code, len(lines)) == (2, 1), refused
    assert re.match(rf"changeover: {re.escape(str(moved.config))}:\d+:\d+: tables\.3\.from: ", lines[0]), lines[0]
    assert "public.pgbench_history: it has no primary key" in lines[0]
    mend = re.search(r"ALTER TABLE public\.pgbench_history [^;]+", lines[0])
    assert mend is not None, lines[0]
    with open_url(databases.source_url) as source:
        source.execute(mend[0].encode())


def _all_done(moved: Pipeline) -> bool:
    chunks = moved.chunks()
    return bool(chunks) and all(chunk.state == "done" for chunk in chunks.values())


class Written:
    """How much pgbench has written; called with a number, waits until there is that much more."""

    def __init__(self, process: subprocess.Popen[bytes], databases: Databases, log: Path) -> None:
        self._process = process
        self._databases = databases
        self._log = log

    def __call__(self, more: int = 0) -> int:
        with open_url(self._databases.source_url) as source:
            wanted = self._count(source) + more
            return until(lambda: self._reached(source, wanted), 60, f"{more} more transactions of pgbench")

    def _reached(self, source: Any, wanted: int) -> int:
        assert self._process.poll() is None, f"pgbench ended: {self._log.read_text()}"
        count = self._count(source)
        return count if count >= max(1, wanted) else 0

    def _count(self, source: Any) -> int:
        found = source.execute("SELECT count(*) FROM pgbench_history").fetchone()
        return int(found[0])

    def stop(self) -> None:
        """End it, and its transactions with it."""
        self._process.terminate()
        self._process.wait(20)
        with open_url(self._databases.source_url) as source:
            until(lambda: not _clients(source), 20, "the end of pgbench's sessions")


def _clients(source: Any) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench' AND datname = current_database()"
    return int(source.execute(query).fetchone()[0])


@contextmanager
def _writing(stack: Stack, databases: Databases, log: Path) -> Iterator[Written]:
    argv = [stack.programs / "pgbench", "-n", "-c", str(CLIENTS), "-R", str(RATE), "-T", "600", databases.source_url]
    with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            yield Written(process, databases, log)
        finally:
            process.kill()


def _pgbench(stack: Stack, *arguments: str) -> None:
    done = subprocess.run([stack.programs / "pgbench", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
