"""One random schedule, made by its seed alone. `python -m tests.model.walk SEED` shows it step by step."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.snapshot import XID_SPAN
from tests.model.actors import ChunkWorker, Operator, Resyncer, StreamWorker
from tests.model.target import ChunkCell, Discipline, Target
from tests.model.world import (
    WIDE_COLUMNS,
    Budget,
    Connector,
    Move,
    Operation,
    Put,
    Remove,
    Source,
    Step,
    Transaction,
    Truncate,
    Violation,
)

MOST_STEPS = 3000
BIASES = (0.03, 0.2, 1.0, 1.0, 1.0, 4.0)
GAPS = (0, 0, 0, 1, 2, 1 << 28)
SOUND = Discipline()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a schedule ended. `failure` is None where every invariant held."""

    seed: int
    failure: str | None
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = "\n".join(f"{number:4} {step}" for number, step in enumerate(self.steps, 1))
        return f"seed {self.seed}: {self.failure}\n{lines}"


class Schedule:
    """A world of random size, and a random order of what happens in it."""

    def __init__(self, seed: int, discipline: Discipline) -> None:
        self.random = random.Random(seed)
        keys = self.random.choice((1, 2, 3, 4))
        partitions = self.random.choice((1, 2)) if keys > 1 else 1
        self.budget = self._budget()
        self.source = self._source(keys, truncates=partitions == 1 and self.random.random() < 0.3)
        self.connector = Connector(self.source, partitions, self.budget)
        chunks = [ChunkCell() for _ in range(self.random.choice((1, 2)) if keys > 1 else 1)]
        self.target = Target(self.source, self.connector, keys, discipline, chunks)
        self.biases: dict[str, float] = {}
        self.taken: list[Step] = []
        self._people()

    def _people(self) -> None:
        zombies = self.random.choice((1, 2))
        self.streams = [
            StreamWorker(f"stream {number}/{copy}", number, self.target, self.budget)
            for number in range(len(self.connector.partitions))
            for copy in range(zombies)
        ]
        workers = range(self.random.choice((1, 2)))
        self.readers = [ChunkWorker(f"chunk worker {number}", self.target, self.budget) for number in workers]
        self.resyncer = Resyncer(self.target, self.budget)
        self.operator = Operator(self.target, self.readers, self.budget)

    def _budget(self) -> Budget:
        roll = self.random.randrange
        return Budget(
            restarts=roll(3), strays=roll(3), expiries=roll(3), crashes=roll(3), resyncs=roll(3), rereads=roll(2),
            forgets=roll(2),
        )  # fmt: skip

    def _source(self, keys: int, *, truncates: bool) -> Source:
        count = self.random.randint(2, 6)
        script = [self._transaction(keys) for _ in range(count)]
        if truncates:
            script[self.random.randrange(count)] = (Truncate(),)
        wraps = self.random.random() < 0.5
        era = XID_SPAN * self.random.randint(1, 3)
        first = era - self.random.randint(1, 6) if wraps else era + self.random.randrange(3, XID_SPAN)
        return Source(script, first, self.random.choices(GAPS, k=count))

    def _transaction(self, keys: int) -> Transaction:
        return tuple(self._operation(keys) for _ in range(self.random.choice((1, 1, 1, 2, 3))))

    def _operation(self, keys: int) -> Operation:
        roll, key = self.random.random(), self.random.randrange(keys)
        if roll < 0.6 or (keys == 1 and roll < 0.75):
            wide = [column for column in sorted(WIDE_COLUMNS) if self.random.random() < 0.4]
            return Put(key, frozenset(wide))
        if roll < 0.8 or keys == 1:
            return Remove(key)
        return Move(key, (key + self.random.randrange(1, keys)) % keys)

    def run(self) -> str | None:
        """Take steps until nothing is left to do. Returns what went wrong."""
        try:
            while (step := self._next()) is not None:
                if len(self.taken) >= MOST_STEPS:
                    return "stuck: the schedule does not end"
                self.taken.append(step)
                step.act(step.argument)
        except Violation as violation:
            return str(violation)
        return None

    def _next(self) -> Step | None:
        steps: list[Step] = []
        trouble: list[Step] = []
        self._offer(steps, trouble)
        if not steps:
            self.target.check_complete()
            if not trouble or self.random.random() < 0.3:
                return None
        steps += trouble
        return self.random.choices(steps, [self._bias(step.name) for step in steps])[0]

    def _offer(self, steps: list[Step], trouble: list[Step]) -> None:
        self.source.offer(steps)
        self.connector.offer(steps, trouble)
        if self.target.noted_xid is None:
            steps.append(Step("operator", "note offsets, then an xid", self.target.note, 0))
            return
        for stream in self.streams:
            stream.offer(steps, trouble)
        for reader in self.readers:
            reader.offer(steps, trouble)
        self.resyncer.offer(steps, trouble)
        self.operator.offer(steps, trouble)

    def _bias(self, name: str) -> float:
        """Some kinds of step are rare and some frequent, in each schedule others: that makes schedules extreme."""
        bias = self.biases.get(name)
        if bias is None:
            bias = self.biases[name] = self.random.choice(BIASES)
        return bias


def walk(seed: int, discipline: Discipline = SOUND) -> Outcome:
    """Run the schedule of a seed."""
    schedule = Schedule(seed, discipline)
    failure = schedule.run()
    return Outcome(seed, failure, tuple(schedule.taken))


def first_failure(seeds: Iterable[int], discipline: Discipline = SOUND) -> Outcome | None:
    """The first of these schedules that breaks an invariant."""
    outcomes = (walk(seed, discipline) for seed in seeds)
    return next((outcome for outcome in outcomes if outcome.failure is not None), None)


if __name__ == "__main__":
    print(walk(int(sys.argv[1])))
