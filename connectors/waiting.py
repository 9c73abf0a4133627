"""Waiting for a condition of the outside world: bounded, interruptible, and saying what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mappers.errors import NotReadyError, TransientError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, with which clock, and who may end it early. `say` is told each new reason for waiting."""

    bound_s: float
    every_s: float = 0.1
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], object] = lambda reason: None

    def until(self, reason: Callable[[], str], *, where: str = "", hint: str = "") -> None:
        """Wait while `reason` gives one; "" means that the condition holds.

        A TransientError is a reason too. Raises NotReadyError with the last reason at the bound or when stopped, and
        at once any other error that `reason` raises.
        """
        began, last = self.clock(), ""
        while now := _asked(reason):
            if now != last:
                self.say(now)
                last = now
            waited_s = self.clock() - began
            if self.stop():
                raise NotReadyError(f"stopped while waiting: {now}", where=where)
            if waited_s >= self.bound_s:
                raise NotReadyError(f"{now} (waited {waited_s:.0f} s)", where=where, hint=hint)
            self.sleep(self.every_s)

    def call(self, operation: Callable[[], Result], *, where: str = "") -> Result:
        """The operation's result, tried again after every TransientError. Raises NotReadyError as `until` does."""
        results: list[Result] = []

        def attempt() -> str:
            results.append(operation())
            return ""

        self.until(attempt, where=where)
        return results[0]


def _asked(reason: Callable[[], str]) -> str:
    try:
        return reason()
    except TransientError as error:
        return str(error)
