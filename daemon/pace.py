"""Holds the backfill to a rate of rows a second, so that the source keeps its breath. Clock and wait come in."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Spends time after each chunk until the rows since the start are due.

    rows_per_second: None for no limit. wait: sleeps up to so many seconds, ends early when the process stops.
    """

    def __init__(
        self, rows_per_second: int | None, clock: Callable[[], float], wait: Callable[[float], object]
    ) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._wait = wait
        self._due = clock()

    def spend(self, rows: int) -> None:
        """Wait until `rows` more rows are due. Time in which nothing was read is not saved up."""
        if self._rate is None:
            return
        now = self._clock()
        self._due = max(self._due, now - 1.0) + rows / self._rate
        if self._due > now:
            self._wait(self._due - now)
