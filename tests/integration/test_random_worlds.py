"""Random schemas, mappings and transactions against the real source, and a daemon that dies at random moments.

Many cases share a connector, its topics and its daemon; each has tables of its own. What must stand at the target is
asked of the source by an oracle that shares nothing with the product. CHANGEOVER_SEED runs the same worlds again,
CHANGEOVER_CASE one case of them alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.support.oracle import compare
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon
from tests.support.warm import Factory
from tests.support.worlds.cases import Case, gather
from tests.support.worlds.play import Stage, Transaction, stage_of

LIVES = 4
PAIRS = (
    ("postgresql", "postgresql", 30, 3),
    ("postgresql", "postgresql", 20, 1),
    ("postgresql", "mariadb", 25, 2),
    ("postgresql", "sqlite", 25, 1),
)
"""(source, target, cases, partitions of each topic)"""
TIMES_MORE = 10
"""So many times the cases in the long form."""


@pytest.fixture(scope="module")
def factory() -> Iterator[Factory]:
    """Starts daemons without the time that importing takes."""
    with Factory() as made:
        yield made


Make = Callable[[Settings], Pipeline]


@pytest.mark.parametrize(("source", "target", "count", "partitions"), PAIRS)
def test_every_world_arrives(
    source: str, target: str, count: int, partitions: int, pipeline: Make, factory: Factory, seed: int
) -> None:
    arrives(pipeline, factory, source, target, count, partitions, seed)


@pytest.mark.full
@pytest.mark.parametrize("run", range(TIMES_MORE))
@pytest.mark.parametrize(("source", "target", "count", "partitions"), PAIRS)
def test_many_more_worlds_arrive(
    source: str, target: str, count: int, partitions: int, run: int, pipeline: Make, factory: Factory, seed: int
) -> None:
    arrives(pipeline, factory, source, target, count, partitions, seed + run + 1)


def arrives(make: Make, factory: Factory, source: str, target: str, count: int, partitions: int, seed: int) -> None:
    """The worlds are made, moved and changed through some lives, and are equal at the end."""
    drawn = gather(source, target, count, seed, truncates=partitions == 1)
    only = os.environ.get("CHANGEOVER_CASE")
    cases = [case for case in drawn if only is None or case.number == int(only)]
    moving = make(
        Settings(
            [entry for case in cases for entry in case.tables],
            target=target,
            partitions=partitions,
            chunk_rows=3,
            sections={"kafka": {"group": "${GROUP}"}, "verify": {"continuous": {"enabled": False}}},
        )
    )
    moving.launch, moving.program = factory.launch, ()
    dice = random.Random(seed)
    with stage_of(source, moving.databases.source_url) as stage:
        stage.build(cases, moving.target_url)
        moving.extra_env["GROUP"] = moving.databases.name
        moving.command("connector", "apply")
        acts = stage.acts(cases, LIVES + 1, dice)
        for number, act in enumerate(acts[:-1]):
            moving.extra_env["GROUP"] = f"{moving.databases.name}-{number}"
            killed_on_the_way(moving, stage, act, dice)
        moving.extra_env["GROUP"] = f"{moving.databases.name}-last"
        with moving.run() as daemon:
            stage.play(acts[-1])
            equal(moving, cases, daemon)


def killed_on_the_way(moving: Pipeline, stage: Stage, act: Sequence[Transaction], dice: random.Random) -> None:
    """A part of the history, and a life that ends with a SIGKILL after some more chunks or events."""
    consumed, done = moving.consumed(), len(moving.chunks_done())
    with moving.run() as daemon:
        stage.play(act)
        chunks, events = done + dice.randrange(1, 60), consumed + dice.randrange(1, 400)

        def under_way() -> bool:
            return len(moving.chunks_done()) >= chunks or moving.consumed() >= events or caught_up(moving)

        moving.until(daemon, under_way, 90, "chunks are done, or events applied")
        daemon.kill()


def caught_up(moving: Pipeline) -> bool:
    """Whether all chunks are done."""
    chunks = moving.chunks()
    return bool(chunks) and all(chunk.state == "done" for chunk in chunks.values())


def equal(moving: Pipeline, cases: Sequence[Case], daemon: Daemon) -> None:
    """Caught up; equal by the oracle and by the product; the ledger adds up; nothing was set aside."""
    moving.wait_lag_zero(daemon)
    questions = {question.table: (case, question) for case in cases for question in case.questions}
    answers = compare(moving.databases.source_url, moving.target_url, [q for _, q in questions.values()])
    wrong = [answer for answer in answers if not answer.equal]
    assert not wrong, "\n".join(f"{answer}\n{questions[answer.table][0]}" for answer in wrong[:3])
    status = moving.status()
    assert status.balanced, status.raw
    assert not status.raw["dead_letters_open"], moving.call("dlq", "list").said
    found = moving.call("verify", daemon=daemon)
    assert found.code == 0, found.said
    print(f"{len(cases)} cases, {len(questions)} tables, {sum(answer.rows for answer in answers)} rows")
