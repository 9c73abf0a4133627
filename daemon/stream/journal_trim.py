"""Keeps the journal from growing without end: one partition at a time, now and then."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count

from connectors.control.store import ControlStore
from connectors.seams import Target

TRIM_S = 60.0
"""Between two trims. Each looks through the newest rows of one partition: about a tenth of a second when it is full."""


class JournalTrim:
    """Trims the partitions of one process, in turn. clock: monotonic seconds. One thread only."""

    def __init__(
        self, control: ControlStore, target: Target, clock: Callable[[], float], *, hours: float, rows: int
    ) -> None:
        self._control = control
        self._target = target
        self._clock = clock
        self._hours = hours
        self._rows = rows
        self._next = clock() + TRIM_S
        self._turn = count()

    def tend(self, partitions: Collection[tuple[str, int]]) -> None:
        """Trim the partition whose turn it is, if it is time to. Raises TransientError."""
        if self._clock() < self._next or not partitions:
            return
        self._next = self._clock() + TRIM_S
        topic, partition = sorted(partitions)[next(self._turn) % len(partitions)]
        with self._target.begin() as transaction:
            self._control.journal.trim(transaction.control, topic, partition, hours=self._hours, rows=self._rows)
