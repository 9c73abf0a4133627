"""Back-off without waiting: sleep, stop and chance are passed in."""

from __future__ import annotations

from itertools import islice

import pytest

from daemon.retry import Backoff, delays_s
from mappers.errors import FatalError, TransientError


class Process:
    """Notes what would have been slept; stops after `limit` sleeps."""

    def __init__(self, limit: int = 100) -> None:
        self.slept_s: list[float] = []
        self.limit = limit
        self.backoff = Backoff(lambda: delays_s(1, 8, 2, lambda: 1.0), self.slept_s.append, self.stop)

    def stop(self) -> bool:
        return len(self.slept_s) >= self.limit


def test_delays_grow_to_the_limit_and_stay() -> None:
    assert list(islice(delays_s(1, 10, 3, lambda: 1.0), 5)) == [1, 3, 9, 10, 10]


def test_jitter_keeps_at_least_half() -> None:
    assert list(islice(delays_s(1, 10, 3, lambda: 0.0), 4)) == [0.5, 1.5, 4.5, 5]


@pytest.mark.parametrize(("first", "limit", "factor"), [(0, 1, 2), (2, 1, 2), (1, 2, 0.5)])
def test_delays_that_make_no_sense(first: float, limit: float, factor: float) -> None:
    with pytest.raises(ValueError, match="0 < first"):
        next(delays_s(first, limit, factor, lambda: 1.0))


def test_call_retries_transient_errors_and_starts_over_after_success() -> None:
    process = Process()
    outcomes: list[Exception | str] = [TransientError("a"), TransientError("b"), "done", TransientError("c"), "again"]
    told: list[str] = []

    def operation() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert process.backoff.call(operation, lambda error: told.append(error.what)) == "done"
    assert process.backoff.attempts == 0
    assert process.backoff.call(operation, lambda error: told.append(error.what)) == "again"
    assert told == ["a", "b", "c"]
    assert process.slept_s == [1, 2, 1]


def test_call_gives_up_when_the_process_stops() -> None:
    process = Process(limit=2)

    def operation() -> None:
        raise TransientError("down")

    with pytest.raises(TransientError, match="down"):
        process.backoff.call(operation, lambda error: None)
    assert process.slept_s == [1, 2]


def test_other_errors_are_not_retried() -> None:
    process = Process()

    def operation() -> None:
        raise FatalError("slot lost")

    with pytest.raises(FatalError):
        process.backoff.call(operation, lambda error: None)
    assert process.slept_s == []


def test_a_stopped_process_does_not_wait_at_all() -> None:
    process = Process(limit=0)
    assert not process.backoff.wait()
    assert process.slept_s == []


def test_delays_that_run_out_end_the_waiting() -> None:
    slept_s: list[float] = []
    backoff = Backoff(lambda: iter([0.1]), slept_s.append, lambda: False)
    assert [backoff.wait(), backoff.wait()] == [True, False]
    assert slept_s == [0.1]
