"""A chunk's claim ends with the session that made it, on every engine: at once, and never before."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from connectors.chunks import ChunkRow, ChunkState
from connectors.control.pipeline import PipelineRow
from connectors.control.store import ControlStore
from connectors.sqlite import owners
from daemon.backfill.claims import release_abandoned
from mappers.errors import TransientError
from tests.support.control_sites import MARIADB, POSTGRESQL, SQLITE, WHERE_ROWS_LOCK, Site
from tests.support.polling import until
from tests.support.stack import ROOT

_NAMES = count(1)
_BOUND_S = 20


@pytest.fixture
def control(site: Site) -> ControlStore:
    """A pipeline with a table of three chunks."""
    made = ControlStore(f"c{next(_NAMES)}")
    with site.begin() as db:
        made.pipeline.put(db, PipelineRow("source", "stream", 7, sealed=False, phase="backfilling"))
        made.tables.add(db, "a", 10)
        made.chunks.plan(db, "a", [("b",), ("c",)])
    return made


def claim(control: ControlStore, db: Connection) -> ChunkRow:
    """Claim the next chunk."""
    row = control.chunks.next(db, ["a"], [ChunkState.PENDING])
    assert row is not None
    assert control.chunks.move(db, row, ChunkState.READING, attempt=row.attempt + 1, claim=True)
    return row


def abandoned(site: Site, control: ControlStore) -> list[int]:
    """The chunks whose claim may be given back, as another session sees it."""
    with site.begin() as db:
        return [row.number for row in control.chunks.abandoned(db)]


def test_a_living_session_keeps_its_claims(site: Site, control: ControlStore) -> None:
    with site.session() as worker:
        with worker.begin():
            claim(control, worker)
        assert abandoned(site, control) == []
        with worker.begin():
            claim(control, worker)
            assert control.chunks.abandoned(worker) == []
        assert abandoned(site, control) == []
        with worker.begin() as failing:
            failing.rollback()
        assert abandoned(site, control) == []
    until(lambda: abandoned(site, control) == [0, 1], _BOUND_S, "the claims of the closed session are abandoned")


def test_a_connection_that_is_back_in_the_pool_is_alive(site: Site, control: ControlStore) -> None:
    with site.begin("patient") as db:
        claim(control, db)
    assert abandoned(site, control) == []


def test_abandoned_chunks_are_given_back_and_claimed_again(site: Site, control: ControlStore) -> None:
    with site.session() as worker, worker.begin():
        claim(control, worker)
    until(lambda: abandoned(site, control) == [0], _BOUND_S, "the claim is abandoned")
    other = ControlStore(control.name.upper())
    with site.session() as worker:
        with worker.begin():
            assert other.chunks.abandoned(worker) == []
            release_abandoned(control, worker)
            assert [row.state for row in control.chunks.all(worker)] == [ChunkState.PENDING] * 3
            assert claim(control, worker).number == 0
        assert abandoned(site, control) == []


def test_a_claim_that_was_rolled_back_is_none(site: Site, control: ControlStore) -> None:
    with site.session() as worker, worker.begin() as failing:
        claim(control, worker)
        failing.rollback()
    assert abandoned(site, control) == []
    with site.begin() as db:
        assert [row.state for row in control.chunks.all(db)] == [ChunkState.PENDING] * 3


@WHERE_ROWS_LOCK
def test_a_session_that_the_server_ended(site: Site, control: ControlStore) -> None:
    mine, kill = {
        POSTGRESQL: ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        MARIADB: ("SELECT connection_id()", "KILL {}"),
    }[site.kind]

    def work(worker: Connection) -> None:
        with worker.begin():
            claim(control, worker)
            number = worker.scalar(text(mine))
        assert abandoned(site, control) == []
        with site.begin() as db:
            db.execute(text(kill.format(number)))
        until(lambda: abandoned(site, control) == [0], _BOUND_S, "the claim of the killed session is abandoned")
        with worker.begin():
            claim(control, worker)

    with pytest.raises(TransientError), site.session() as worker:
        work(worker)


@contextmanager
def claimer(site: Site, control: ControlStore) -> Iterator[subprocess.Popen[str]]:
    """A process that has claimed a chunk."""
    argv = [sys.executable, "-m", "tests.support.control_claimer", site.kind, site.url, control.name, "a"]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "claimed\n"
            yield process
        finally:
            process.kill()


def test_a_process_that_was_killed(site: Site, control: ControlStore) -> None:
    with claimer(site, control) as process, site.session() as worker:
        with worker.begin():
            assert claim(control, worker).number == 1
        assert abandoned(site, control) == []
        process.kill()
        until(lambda: abandoned(site, control) == [0], _BOUND_S, "the claim of the killed process is abandoned")
    until(lambda: abandoned(site, control) == [0, 1], _BOUND_S, "the other claim is abandoned too")


@pytest.mark.parametrize("site", [SQLITE], indirect=True, scope="module")
def test_no_lock_files_stay(site: Site, control: ControlStore) -> None:
    place = Path(site.url.removeprefix("sqlite:///")).parent

    def marks() -> int:
        return len(list(place.glob("target.db.session-*")))

    site.close()
    (place / "target.db.session-killed").touch()
    with site.session() as worker:
        with worker.begin():
            assert marks() == 1, "who claims nothing needs no name"
            claim(control, worker)
        assert marks() == 1, "that of the killed process is gone"
    assert marks() == 0


def test_a_lock_file_that_is_swept_away_while_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "target.db.session-7"
    made: list[int] = []

    def opened() -> int:
        """How often this process has the file open."""
        return [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")].count(str(path))

    with path.open("w") as sweeper:
        fcntl.flock(sweeper, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: made.append(owners._taken(path)))
        thread.start()
        until(lambda: opened() == 2, _BOUND_S, "it waits for the lock")
        path.unlink()
    thread.join(_BOUND_S)
    assert owners._alive(path)
    os.close(made[0])
    assert not owners._alive(path)
    assert not path.exists()


@WHERE_ROWS_LOCK
def test_what_somebody_else_is_giving_back_is_left_to_them(site: Site, control: ControlStore) -> None:
    with site.session() as worker, worker.begin():
        claim(control, worker)
    until(lambda: abandoned(site, control) == [0], _BOUND_S, "the claim is abandoned")
    with site.begin() as db:
        assert len(control.chunks.abandoned(db)) == 1
        with site.begin("patient") as other:
            assert control.chunks.abandoned(other) == []
