"""When a difference is one: searched with random histories of one key, whose events are applied late, or lost."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from daemon.verify.suspects import Difference, Kind, Look, Suspect, Trial, Verdict, Version, differing, judge

HISTORIES = 20_000
SUSPECT = Suspect(("1",), ("1",))


def same(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> bool:
    return one == other


def version(number: int, value: str | None) -> Version:
    return Version(str(number), None if value is None else (value,))


@dataclass
class Event:
    """A commit at the source: the row's value after it, None where it is gone. applied: when the target has it."""

    at: float
    value: str | None
    applied: float


class History:
    """One key's events; the target applies them in order, each some time after its commit."""

    def __init__(self, rng: random.Random) -> None:
        self.events: list[Event] = []
        at = applied = 0.0
        for _ in range(rng.randrange(12)):
            at += rng.expovariate(1)
            applied = max(applied, at) + rng.expovariate(rng.choice((0.5, 2, 20)))
            self.events.append(Event(at, rng.choice((None, "a", "b")), applied))

    def source(self, at: float) -> Version | None:
        """The row at the source; every write makes another version."""
        return self._last([event for event in self.events if event.at <= at])

    def target(self, at: float, lost: int = -1) -> Version | None:
        """The row at the target; the event numbered `lost` never arrives."""
        return self._last([e for number, e in enumerate(self.events) if e.applied <= at and number != lost])

    def caught_up(self, at: float) -> float:
        """When everything committed until then has been applied."""
        return max([at, *(event.applied for event in self.events if event.at <= at)])

    def _last(self, events: list[Event]) -> Version | None:
        return version(self.events.index(events[-1]), events[-1].value) if events and events[-1].value else None


def looks(history: History, rng: random.Random, count: int, lost: int = -1) -> list[Look]:
    """Looks as they are taken: target, then source, then a barrier."""
    at = rng.random() * 10
    found = []
    for _ in range(count):
        target = history.target(at, lost)
        at += rng.expovariate(5)
        found.append(Look(target, history.source(at)))
        at = history.caught_up(at) + rng.expovariate(5)
    return found


def test_nothing_is_invented_however_the_key_changes(seed: int) -> None:
    rng = random.Random(seed)
    changed = 0
    for number in range(HISTORIES):
        history = History(rng)
        first, second = looks(history, rng, 2)
        verdict = judge(first, second, same)
        assert verdict is not Verdict.DIFFERS, (number, history.events, first, second)
        changed += verdict is Verdict.CHANGED
    assert changed > HISTORIES // 200, "the histories have no surprises in them"


def test_a_lost_event_is_found_once_the_key_rests(seed: int) -> None:
    rng = random.Random(seed)
    found = 0
    for _ in range(HISTORIES // 10):
        history = History(rng)
        rest = max((event.applied for event in history.events), default=0) + 1
        lost = len(history.events) - 1
        last = Look(history.target(rest, lost), history.source(rest))
        trial = Trial(SUSPECT, last, same)
        while trial.open:
            trial.look(last)
        differs = (last.target and last.target.values) != (last.source and last.source.values)
        assert bool(trial.difference) == bool(differs)
        found += bool(differs)
    assert found > 100


def test_a_row_that_the_mapping_takes_no_longer_must_be_gone() -> None:
    look = Look(version(5, "a"), version(9, None))
    assert judge(look, look, same) is Verdict.DIFFERS
    assert judge(look, Look(None, version(9, None)), same) is Verdict.EQUAL
    assert judge(look, Look(version(6, "a"), version(10, None)), same) is Verdict.CHANGED


def test_an_extra_row_that_was_written_meanwhile_is_looked_at_again() -> None:
    assert judge(Look(version(5, "a"), None), Look(version(6, "a"), None), same) is Verdict.CHANGED
    assert judge(Look(version(5, "a"), None), Look(version(5, "a"), None), same) is Verdict.DIFFERS


def test_a_difference_must_stand_twice_in_a_row() -> None:
    trial = Trial(SUSPECT, Look(None, version(1, "a")), same)
    trial.look(Look(None, version(1, "a")))
    assert trial.open
    trial.look(Look(None, version(2, "a")))
    trial.look(Look(None, version(2, "a")))
    assert trial.open
    trial.look(Look(None, version(2, "a")))
    assert trial.difference == Difference(SUSPECT, ("a",), None)


def test_a_row_that_keeps_changing_is_given_up() -> None:
    trial = Trial(SUSPECT, Look(version(0, "x"), version(0, "a")), same)
    rounds = 0
    while trial.open:
        rounds += 1
        trial.look(Look(version(rounds, "x"), version(rounds, "a")))
    assert rounds == 8
    assert trial.difference is None
    assert not trial.settled


@pytest.mark.parametrize(
    ("expected", "actual", "kind", "columns"),
    [
        (("1", "a"), None, Kind.MISSING, [0, 1]),
        (None, ("1", "a"), Kind.EXTRA, [0, 1]),
        (("1", "a"), ("1", "b"), Kind.DIFFERENT, [1]),
        (("1", None), ("1", ""), Kind.DIFFERENT, [1]),
    ],
)
def test_kinds_and_columns(
    expected: tuple[str | None, ...] | None, actual: tuple[str | None, ...] | None, kind: Kind, columns: list[int]
) -> None:
    difference = Difference(SUSPECT, expected, actual)
    assert difference.kind is kind
    assert differing(2, difference, lambda _, one, other: one == other) == columns
