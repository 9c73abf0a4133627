"""Waiting before trying again: longer each time, never longer than a limit, and not in step with other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from mappers.errors import TransientError

Result = TypeVar("Result")


def delays_s(first: float, limit: float, factor: float, rng: Callable[[], float]) -> Iterator[float]:
    """Delays for ever: from `first` times `factor` each, up to `limit`, of which half to all is waited.

    `rng` gives numbers from 0 to 1, as random.random does. Half is kept, so that a dead database is never hammered.
    """
    if not (0 < first <= limit and factor >= 1):
        raise ValueError("delays need 0 < first <= limit and factor >= 1")
    whole = first
    while True:
        yield whole * (0.5 + 0.5 * rng())
        whole = min(whole * factor, limit)


class Backoff:
    """Waits between attempts. `sleep` and `stop` are the process's: `Event.wait` and `Event.is_set` of its shutdown."""

    def __init__(
        self, delays: Callable[[], Iterator[float]], sleep: Callable[[float], object], stop: Callable[[], bool]
    ) -> None:
        self._delays = delays
        self._sleep = sleep
        self._stop = stop
        self._left = delays()
        self.attempts = 0

    def wait(self) -> bool:
        """Wait for the next delay. False where the process is to stop, or delays have run out: do not try again."""
        delay_s = next(self._left, None)
        if delay_s is None or self._stop():
            return False
        self.attempts += 1
        self._sleep(delay_s)
        return not self._stop()

    def reset(self) -> None:
        """An attempt succeeded: the next failure starts from the first delay."""
        self._left = self._delays()
        self.attempts = 0

    def call(self, operation: Callable[[], Result], failed: Callable[[TransientError], None]) -> Result:
        """The operation's result, tried again after each TransientError, which `failed` is told first.

        Raises the last error where the process is to stop.
        """
        while True:
            try:
                result = operation()
            except TransientError as error:
                failed(error)
                if not self.wait():
                    raise
            else:
                self.reset()
                return result
