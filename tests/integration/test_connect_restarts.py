"""Kafka Connect is killed and restarted ten times in the midst of COPYs, large transactions and key changes.

Nothing is lost and nothing is invented: with Connect's transactional mode, and without it, where a restarted connector
sends again what it had sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import torrent
from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon
from tests.support.stack import Stack
from tests.support.torrent import Torrent

RESTARTS = 10
ROWS = 4_000
DELIVERED_BYTES = 400_000
"""So much log must a restarted connector have confirmed before it is killed again: it is under way then."""
Make = Callable[[Settings], Pipeline]


@pytest.fixture(params=[True, False], ids=["transactional", "plain"])
def transactional(request: pytest.FixtureRequest, stack: Stack) -> Iterator[bool]:
    """Connect's mode, which is the workers' setting; put back at the end."""
    wanted = bool(request.param)
    if not wanted:
        stack.connect_exactly_once(False)
    yield wanted
    if not wanted:
        stack.connect_exactly_once(True)


def confirmed(pipeline: Pipeline) -> int:
    """How far the connector has confirmed the log."""
    with open_url(pipeline.databases.source_url) as connection:
        row = connection.execute(
            "SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE database = current_database()"
        ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def restart(pipeline: Pipeline, daemon: Daemon, writer: Torrent) -> None:
    """Kill Connect once it is under way, and start it again."""
    before = confirmed(pipeline)

    def under_way() -> bool:
        writer.check()
        return confirmed(pipeline) > before + DELIVERED_BYTES

    pipeline.until(daemon, under_way, 180, "the connector delivers")
    pipeline.databases.stack.kill("connect")
    pipeline.databases.stack.start("connect")


def test_nothing_is_lost_and_nothing_is_invented(
    transactional: bool, databases: Databases, pipeline: Make, seed: int
) -> None:
    torrent.create(databases.source_url, databases.target_url, ROWS)
    mode = "required" if transactional else "off"
    moved = pipeline(Settings(tables=torrent.TABLES, chunk_rows=500, exactly_once=mode))
    moved.command("connector", "apply")
    times = []
    with Torrent(databases.source_url, seed, f"changeover_{databases.name}") as writer, moved.run() as daemon:
        moved.until(daemon, lambda: moved.chunks_done(), 120, "the first chunk is done")
        for _ in range(RESTARTS):
            began = time.monotonic()
            restart(moved, daemon, writer)
            times.append(time.monotonic() - began)
        writer.stop()
        rows = moved.verify(torrent.QUESTIONS, daemon)
    said = ", ".join(f"{seconds:.1f}" for seconds in times)
    print(f"{rows} rows equal after {moved.consumed()} events, {dict(writer.done)}; restarts took {said} s")
    assert min(writer.done[name] for name in ("copy", "change_many", "move_keys", "label_keys")) >= 2
