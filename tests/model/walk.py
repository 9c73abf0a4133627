"""One random schedule, made by its seed alone. `python -m tests.model.walk SEED` shows it step by step."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from connectors.snapshot import XID_SPAN
from tests.model.actors import ChunkWorker, Operator, Resyncer, StreamWorker, Sweeper
from tests.model.target import ChunkCell, Discipline, Target
from tests.model.world import (
    WIDE_COLUMNS,
    Budget,
    Connector,
    Move,
    Operation,
    Put,
    Remove,
    Rewrite,
    Source,
    Step,
    Transaction,
    Truncate,
    Violation,
)

MOST_STEPS = 3000
BIASES = (0.01, 0.1, 1.0, 1.0, 1.0, 4.0)
GAPS = (0, 0, 0, 1, 2, 1 << 28)
SOUND = Discipline()
EVERY_TROUBLE = Budget(restarts=3, strays=4, expiries=2, crashes=2, resyncs=2, rereads=2, forgets=1, letters=2)


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

    def __init__(self, seed: int, discipline: Discipline, most: Budget) -> None:
        self.random = random.Random(seed)
        keys = self.random.choice((1, 2, 2, 3, 4))
        partitions = self.random.choice((1, 2)) if keys > 1 else 1
        self.budget = self._budget(most)
        self.early_trouble = self.random.random() < 0.2
        self.source = self._source(keys)
        self.connector = Connector(self.source, partitions, self.budget, self.random)
        chunks = [ChunkCell() for _ in range(self.random.choice((1, 2)) if keys > 1 else 1)]
        self.target = Target(self.source, self.connector, keys, discipline, chunks)
        self.biases: dict[tuple[str, str], float] = {}
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
        self.sweeper = Sweeper(self.target, self.budget)

    def _budget(self, most: Budget) -> Budget:
        if self.random.random() < 0.1:
            return Budget()
        return Budget(*(self.random.randint(0, count) for count in astuple(most)))

    def _source(self, keys: int) -> Source:
        count = self.random.randint(2, 7)
        filled = self.random.random() < 0.5
        script = [self._transaction(keys) for _ in range(count)]
        if self.random.random() < 0.3:
            script[-1] = (Truncate() if self.random.random() < 0.6 else Rewrite(),)
        if filled:
            script.append(tuple(Put(key, frozenset()) for key in range(keys)))
        source = Source(script, self._first_xid(), [*self.random.choices(GAPS, k=count), 0])
        if filled:
            for step in (source.begin, source.commit, source.show):
                step(count)
        return source

    def _first_xid(self) -> int:
        era = XID_SPAN * self.random.randint(1, 3)
        wraps = self.random.random() < 0.5
        return era - self.random.randint(1, 6) if wraps else era + self.random.randrange(3, XID_SPAN)

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
            if not trouble or self.random.random() < 0.1:
                return None
        steps += trouble
        return self.random.choices(steps, [self._bias(step) for step in steps])[0]

    def _offer(self, steps: list[Step], trouble: list[Step]) -> None:
        self.source.offer(steps)
        noted = self.target.noted_xid is not None
        self.connector.offer(steps, trouble if noted or self.early_trouble else [])
        if not noted:
            steps.append(Step("operator", "note offsets, then an xid", self.target.note, 0))
            return
        for stream in self.streams:
            stream.offer(steps, trouble)
        for reader in self.readers:
            reader.offer(steps, trouble)
        self.resyncer.offer(steps, trouble)
        self.operator.offer(steps, trouble)
        self.sweeper.offer(steps, trouble)

    def _bias(self, step: Step) -> float:
        """Some kinds of step are rare and some frequent, in each schedule others: that makes schedules extreme."""
        kind = (step.actor, step.name)
        bias = self.biases.get(kind)
        if bias is None:
            bias = self.biases[kind] = self.random.choice(BIASES)
        return bias


def walk(seed: int, discipline: Discipline = SOUND, most: Budget = EVERY_TROUBLE) -> Outcome:
    """Run the schedule of a seed, with at most so much trouble."""
    schedule = Schedule(seed, discipline, most)
    failure = schedule.run()
    return Outcome(seed, failure, tuple(schedule.taken))


def first_failure(seeds: Iterable[int], discipline: Discipline = SOUND, most: Budget = EVERY_TROUBLE) -> Outcome | None:
    """The first of these schedules that breaks an invariant."""
    outcomes = (walk(seed, discipline, most) for seed in seeds)
    return next((outcome for outcome in outcomes if outcome.failure is not None), None)


if __name__ == "__main__":
    print(walk(int(sys.argv[1])))
