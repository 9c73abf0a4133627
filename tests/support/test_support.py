"""The harness itself: numbering and killing at the proxy, the oracle's eyes, the workload's reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wire, workload
from tests.support.databases import Databases, open_url
from tests.support.oracle import ContentDiffers, Question, assert_equal, compare
from tests.support.polling import NotReached, until
from tests.support.processes import Daemon, leashed
from tests.support.proxy import Kind, Point, Proxy

CLIENT = """
import sys, psycopg
from pathlib import Path
c = psycopg.connect(sys.argv[1])
c.execute("CREATE TABLE IF NOT EXISTS t (a int)")
c.commit()
for number in range(3):
    c.execute("INSERT INTO t VALUES (%s)", (number,))
    with c.cursor().copy("COPY t FROM STDIN") as copy:
        copy.write_row((number + 100,))
    c.commit()
    print("committed", number, flush=True)
"""
INSERT = Kind("daemon", "INSERT INTO t VALUES ($)")
COPY = Kind("daemon", "COPY t FROM STDIN")
COPY_END = Kind("daemon", "end of COPY t FROM STDIN")
COMMIT = Kind("daemon", "COMMIT after end of COPY t FROM STDIN")


def test_until_returns_what_it_found_and_says_what_it_missed() -> None:
    assert until(lambda: 7, 1, "seven") == 7
    with pytest.raises(NotReached, match="a miracle"):
        until(lambda: False, 0.01, "a miracle")


def test_statements_are_alike_whatever_their_literals() -> None:
    one = wire.normalised("SELECT  a FROM t WHERE b IN ($1, $2::TEXT) AND c = 'it''s' AND n < 12")
    two = wire.normalised("SELECT a FROM t WHERE b IN ($1) AND c = '' AND n < 7")
    assert one == two == "SELECT a FROM t WHERE b IN ($) AND c = '…' AND n < #"


class Client:
    """A small program that writes through the proxy, in place of the daemon."""

    def __init__(self, proxy: Proxy, log: Path) -> None:
        self.proxy = proxy
        self.log = log

    def run(self, point: Point | None = None) -> Daemon:
        made: list[Daemon] = []

        def start() -> int:
            begin = self.log.stat().st_size if self.log.exists() else 0
            made.append(Daemon(leashed([sys.executable, "-c", CLIENT, self.proxy.url], self.log, {}), self.log, begin))
            return made[0].pid

        self.proxy.watch(start, point)
        made[0].wait(20)
        return made[0]


@pytest.fixture
def client(databases: Databases, tmp_path: Path) -> Iterator[Client]:
    with Proxy(databases.target_url) as proxy:
        yield Client(proxy, tmp_path / "client.log")


def rows(databases: Databases) -> list[int]:
    with open_url(databases.target_url) as connection:
        return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY a")]


def test_the_proxy_counts_every_statement(client: Client, databases: Databases) -> None:
    daemon = client.run()
    assert daemon.exit_code == 0, daemon.output()
    seen = client.proxy.seen()
    assert seen[INSERT] == seen[COPY] == seen[COPY_END] == seen[COMMIT] == 3
    assert seen[Kind("daemon", "BEGIN")] == 4
    assert rows(databases) == [0, 1, 2, 100, 101, 102]


@pytest.mark.parametrize(
    ("kind", "occurrence", "when", "left"),
    [
        (INSERT, 2, "before", [0, 100]),
        (INSERT, 2, "after", [0, 100]),
        (COPY, 1, "after", []),
        (COPY_END, 2, "before", [0, 100]),
        (COMMIT, 2, "before", [0, 100]),
        (COMMIT, 2, "after", [0, 1, 100, 101]),
        (None, 2, "after", []),
    ],
)
def test_the_proxy_kills_at_one_statement(
    client: Client, databases: Databases, kind: Kind | None, occurrence: int, when: str, left: list[int]
) -> None:
    with open_url(databases.target_url) as connection:
        connection.execute("CREATE TABLE t (a int)")
    daemon = client.run(Point(kind, occurrence, "after" if when == "after" else "before"))
    assert daemon.exit_code == -9
    assert client.proxy.fired is not None
    assert daemon.output().count("committed") == min(1, len(left)), "the answer of the last COMMIT was passed on"
    until(lambda: rows(databases) == left, 5, f"{left}, found {rows(databases)}")


def test_the_oracle_sees_what_differs(databases: Databases) -> None:
    for url in (databases.source_url, databases.target_url):
        with open_url(url) as connection:
            connection.execute("CREATE TABLE t (a int, b text)")
            connection.execute("INSERT INTO t VALUES (1, NULL), (2, ''), (3, 'x'), (3, 'x')")
    question = Question("t", "SELECT a, b FROM t", "SELECT a, b FROM t")
    assert assert_equal(databases.source_url, databases.target_url, [question]) == 4
    for change in ("UPDATE t SET b = '' WHERE a = 1", "DELETE FROM t WHERE a = 2", "INSERT INTO t VALUES (3, 'x')"):
        with open_url(databases.target_url) as connection:
            connection.execute(change.encode())
        with pytest.raises(ContentDiffers, match="t: "):
            assert_equal(databases.source_url, databases.target_url, [question])


def test_the_workload_does_everything(databases: Databases, seed: int) -> None:
    workload.create(databases.source_url, databases.target_url, 2000)
    with workload.Writer(databases.source_url, seed, 2000, rate=2000) as writer:
        until(lambda: len(writer.done) == len(workload.OPERATIONS), 20, "every operation")
        with writer.paused():
            count = writer.count
            with pytest.raises(NotReached):
                until(lambda: writer.count != count, 0.1, "a write")
    answers = compare(databases.source_url, databases.target_url, workload.QUESTIONS)
    assert not any(answer.equal for answer in answers)
    with open_url(databases.source_url) as connection:
        never = connection.execute("SELECT count(*) FROM docs WHERE title = 'never'").fetchone()
        moved = connection.execute("SELECT count(*) FROM seats WHERE label <> 'L' || (number * 3)").fetchone()
    assert never == (0,)
    assert moved is not None
    assert moved[0] > 0
