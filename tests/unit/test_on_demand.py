"""Rows on demand: how many at a time, and what happens when time is up; with movers that tests hold up."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from connectors.snapshot import Snapshot
from daemon.metrics import Metrics
from daemon.resync import on_demand
from daemon.resync.keys import Mended
from daemon.resync.on_demand import OnDemand
from mappers.errors import NotReadyError, TransientError
from tests.support.polling import until

MENDED = Mended(Snapshot(1, 2), 1, 0, 1, 0, 0)
KEYS = (("1",),)


class Source:
    def __init__(self, closed: list[object]) -> None:
        self._closed = closed

    def canonical(self, table: object, form: object, keys: Any) -> Any:
        return keys

    def close(self) -> None:
        self._closed.append(self)


class Target:
    closed = False

    def close(self) -> None:
        self.closed = True


class Table:
    table = form = None


class Mover:
    """In place of the resyncer: does what the test says, looking again when it says so."""

    def __init__(self, source: Source, target: object, control: object, look_again: Any) -> None:
        self.look_again = look_again

    def mend(self, mapped: object, keys: object) -> Mended:
        return Case.work(self)


class Case:
    work: Any = None

    def __init__(self, monkeypatch: pytest.MonkeyPatch, work: Any, size: int = 1, timeout_s: float = 5) -> None:
        Case.work = staticmethod(work)
        monkeypatch.setattr(on_demand, "Resyncer", Mover)
        monkeypatch.setattr(OnDemand, "_audit", lambda *_: None)
        self.now_s = 0.0
        self.closed: list[object] = []
        self.target = Target()
        tables: Any = {"public.t": Table()}
        target: Any = self.target
        control: Any = None
        source: Any = lambda: Source(self.closed)  # noqa: E731
        self.service = OnDemand(
            tables, source, target, control, Metrics(), lambda: self.now_s, self.wait, size=size, timeout_s=timeout_s
        )

    def wait(self) -> None:
        self.now_s += 1

    def move(self) -> Mended:
        return self.service.move("public.t", KEYS, "somebody")


def test_movers_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Mover] = []
    case = Case(monkeypatch, lambda mover: used.append(mover) or MENDED)
    assert case.move() is MENDED
    assert case.move() is MENDED
    assert used[0] is used[1]
    assert not case.closed
    case.service.close()
    assert len(case.closed) == 1
    assert case.target.closed


def test_a_chunk_that_is_being_read_is_waited_for_until_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(mover: Mover) -> Mended:
        while True:
            mover.look_again()

    case = Case(monkeypatch, busy)
    with pytest.raises(NotReadyError, match="backfill"):
        case.move()
    assert case.now_s == 5
    case.now_s = 100
    with pytest.raises(NotReadyError):
        case.move()
    assert case.now_s == 105, "each request has its own time"


def test_a_broken_connection_is_opened_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def broken(mover: Mover) -> Mended:
        tries.append(1)
        if len(tries) != 2:
            raise TransientError("gone")
        return MENDED

    case = Case(monkeypatch, broken)
    assert case.move() is MENDED
    assert len(case.closed) == 1
    tries[:] = [1, 1]
    with pytest.raises(TransientError):
        case.move()
    assert len(tries) == 4


def test_more_than_can_be_worked_on_wait_and_more_than_that_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Semaphore(0), threading.Event()

    def held(mover: Mover) -> Mended:
        begun.release()
        assert go.wait(30)
        return MENDED

    case = Case(monkeypatch, held, size=1)
    results: list[Mended] = []
    threads = [threading.Thread(target=lambda: results.append(case.move())) for _ in range(2)]
    threads[0].start()
    assert begun.acquire(timeout=30)
    threads[1].start()
    until(lambda: case.service._admitted._value == 0, 30, "the second one waits")
    with pytest.raises(TransientError, match="too many"):
        case.move()
    go.set()
    for thread in threads:
        thread.join(30)
    assert results == [MENDED, MENDED]
    assert case.move() is MENDED


def test_a_service_that_was_closed_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, lambda mover: MENDED)
    case.service.close()
    assert case.move() is MENDED
    assert len(case.closed) == 1
