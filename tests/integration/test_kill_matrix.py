"""The daemon dies before and after every statement it sends to the target, and comes back to an equal content.

The statements are enumerated, not guessed: a counting life through a proxy tells every kind there is (its text without
literals; a COMMIT by what it commits), and each is then a place to die at: before it reaches the server, and after the
server has answered and before the daemon knows. The source is written to all the time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import workload
from tests.support.databases import Databases
from tests.support.lives import Lives, shape
from tests.support.pipeline import Settings
from tests.support.proxy import Kind, Point, Proxy, When
from tests.support.warm import Factory
from tests.support.workload import Writer

ROWS = 20_000
CHUNK_ROWS = 100
RATE = 60.0
RANDOM_MOMENTS = 20
CHECK_EVERY = 12
REACH_S = 20.0
WHENS: tuple[When, When] = ("before", "after")


@pytest.fixture(scope="module")
def factory() -> Iterator[Factory]:
    """Starts daemons without the time that importing takes."""
    with Factory() as made:
        yield made


@pytest.fixture
def every_text() -> bool:
    """Whether statements on different mapped tables count as different kinds."""
    return False


@pytest.fixture
def lives(databases: Databases, tmp_path: Path, factory: Factory, seed: int, every_text: bool) -> Iterator[Lives]:
    """A pipeline that is connected and was never started, its source full and written to."""
    workload.create(databases.source_url, databases.target_url, ROWS)
    settings = Settings(tables=workload.TABLES, chunk_rows=CHUNK_ROWS)
    with (
        Proxy(databases.target_url, str if every_text else shape) as proxy,
        Writer(databases.source_url, seed, ROWS, rate=RATE) as writer,
        Lives(databases, tmp_path, settings, factory, proxy, writer) as made,
    ):
        made.pipeline.command("connector", "apply")
        yield made


def test_dies_at_every_statement_of_the_first_start(lives: Lives) -> None:
    first = _first_start(lives.count(worker=False, chunks_left=10**6, events=0))
    again = lives.count(worker=False, chunks_left=10**6, events=50)
    kinds = [kind for kind in first if kind not in again or kind.text.startswith("COMMIT")]
    assert len(kinds) > 5
    lives.reset()
    missed = [str(p) for p in _each(kinds, 1, WHENS) if not lives.kill_at(p, worker=False, timeout_s=REACH_S)]
    assert not missed, "not reached:\n" + "\n".join(missed)
    lives.check(workload.QUESTIONS)
    print(f"{lives.kills} kills in the first start, {len(kinds)} kinds of statement")


def test_dies_at_every_statement_of_backfill_and_stream(lives: Lives) -> None:
    seen = {
        kind: n for kind, n in _kinds(lives).items() if not kind.text.startswith("PREPARE")
    }  # nothing is done by one
    points = [Point(kind, 1, "before") for kind in seen] + [Point(kind, min(n, 2), "after") for kind, n in seen.items()]
    _kill_at_all(lives, points, CHECK_EVERY)
    print(f"{lives.kills} kills, {len(seen)} kinds of statement")


def test_dies_at_random_moments(lives: Lives, seed: int) -> None:
    chance = random.Random(seed)
    lives.count(worker=False, chunks_left=10**6, events=1)
    for number in range(1, RANDOM_MOMENTS + 1):
        point = Point(None, int(2 ** chance.uniform(0, 9.5)), chance.choice(WHENS))
        worker = chance.random() < 0.7
        if not lives.kill_at(point, worker=worker, timeout_s=10):
            lives.note("killed at a moment without a statement")
        if number % 7 == 0:
            lives.check(workload.QUESTIONS)
    lives.check(workload.QUESTIONS)


@pytest.mark.full
@pytest.mark.parametrize("every_text", [True])
def test_dies_at_every_text_early_and_late_and_is_checked_each_time(lives: Lives) -> None:
    kinds = list(_kinds(lives))
    points = [*_each(kinds, 1, WHENS), *_each(kinds, 3, WHENS)]
    _kill_at_all(lives, points, 1)


def _kinds(lives: Lives) -> dict[Kind, int]:
    """Every kind of statement that a restarted pipeline sends, backfill and stream, and how often it did."""
    lives.count(worker=True, chunks_left=150, events=1)
    kinds = lives.count(worker=True, chunks_left=0, events=2000)
    lives.reset()
    assert {kind.role for kind in kinds} == {"daemon", "worker"}
    assert sum("COMMIT" in kind.text for kind in kinds) >= 5, kinds
    return {kind: seen for kind, seen in kinds.items() if seen > 1 or kind.role == "daemon"}


def _first_start(seen: Iterable[Kind]) -> list[Kind]:
    """What is sent up to the COMMIT that writes the plan of the backfill; from there on events decide what is sent."""
    kinds = list(seen)
    mapped = next(n for n, kind in enumerate(kinds) if kind.text.startswith("INSERT INTO changeover.mapping"))
    planned = next(n for n, kind in enumerate(kinds) if n > mapped and kind.text.startswith("COMMIT after"))
    return kinds[: planned + 1]


def _each(kinds: Sequence[Kind], occurrence: int, whens: Sequence[When]) -> list[Point]:
    return [Point(kind, occurrence, when) for kind in kinds for when in whens]


def _kill_at_all(lives: Lives, points: Sequence[Point], check_every: int) -> None:
    """Die at each point on one going pipeline: the worker's first, beginning anew where no chunk is left to load.

    A check loads every chunk, so that the daemon's points find a stream that has something to write.
    """
    missed: list[Point] = []
    for number, point in enumerate(sorted(points, key=_is_the_daemons), 1):
        if not _kill_at(lives, point):
            missed.append(point)
        if number % check_every == 0:
            lives.check(workload.QUESTIONS)
    lives.check(workload.QUESTIONS)
    assert len(missed) * 10 <= len(points), "not reached:\n" + "\n".join(map(str, missed))
    print("not reached:", *missed, sep="\n  ")


def _is_the_daemons(point: Point) -> bool:
    return point.kind is not None and point.kind.role == "daemon"


def _kill_at(lives: Lives, point: Point) -> bool:
    worker = not _is_the_daemons(point)
    if not worker and lives.chunks_left():
        lives.check(workload.QUESTIONS)
    if worker and lives.chunks_left() < 20:
        lives.reset()
        lives.count(worker=False, chunks_left=10**6, events=1)
    if lives.kill_at(point, worker=worker, timeout_s=REACH_S):
        return True
    once = Point(point.kind, 1, point.when)
    return point.occurrence > 1 and lives.kill_at(once, worker=worker, timeout_s=REACH_S)
