"""Waiting on conditions. The only place in the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
_PAUSE_S = 0.03


class NotReached(AssertionError):
    """A condition did not come true in time."""


def until(look: Callable[[], Found], timeout_s: float, what: str | Callable[[], str]) -> Found:
    """Look until the answer is true in Python's sense; returns it. `what` says in the error what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise NotReached(f"not reached within {timeout_s:.0f} s: {said}")
        time.sleep(_PAUSE_S)
    return found
