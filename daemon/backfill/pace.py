"""Holds the backfill to a rate of rows a second, so that the source keeps its breath. Clock and wait come in."""

from __future__ import annotations

from collections.abc import Callable

LOOK_S = 0.5
SAVED_S = 1.0
"""Time in which nothing was read is not saved up, save for this much."""


class Pace:
    """Spends time after each chunk until the rows since the start are due.

    rows_per_second: as configured for the process; None for no limit. share: over how many workers it is spread.
    wait: sleeps up to so many seconds, and is true when the process is to stop.
    """

    def __init__(
        self,
        rows_per_second: int | None,
        clock: Callable[[], float],
        wait: Callable[[float], object],
        share: int = 1,
    ) -> None:
        self._configured = rows_per_second or 0
        self._share = share
        self._clock = clock
        self._wait = wait
        self._owed = 0.0
        self._at = clock()
        self.follow(None)

    def follow(self, rows_per_second: int | None) -> None:
        """Take up a pace set at runtime: None as configured, 0 without a limit. Rows owed are due at the new rate."""
        rate = self._configured if rows_per_second is None else rows_per_second
        self._rate = max(1.0, rate / self._share) if rate else 0.0

    def spend(self, rows: int, look: Callable[[], None] = lambda: None) -> None:
        """Wait until `rows` more rows are due. look: called now and then meanwhile, to `follow` a new pace."""
        self._pay()
        self._owed += rows
        while self._rate and self._owed > 0:
            if self._wait(min(LOOK_S, self._owed / self._rate)):
                return
            self._pay()
            look()

    def _pay(self) -> None:
        """Rows that have become due since the last look are owed no longer."""
        now = self._clock()
        self._owed = max(self._owed - (now - self._at) * self._rate, -SAVED_S * self._rate) if self._rate else 0.0
        self._at = now
