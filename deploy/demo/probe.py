"""Measures end-to-end lag from the outside: writes rows at the source and looks for them at the target.

Nothing of the product is asked. A row's lag is from the answer to its COMMIT at the source to the moment another
connection sees it at the target, both by this process's clock.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

WRITE_EVERY_S = 0.05
LOOK_EVERY_S = 0.002
LOOK_SELDOM_S = 0.02
FRESH_S = 0.5


@dataclass(frozen=True)
class Sample:
    """A row that was committed at the source and seen at the target, by time.monotonic()."""

    committed: float
    seen: float


@dataclass(frozen=True)
class Window:
    """A time in which the chain was broken on purpose, until it had caught up."""

    began: float
    ended: float

    def touches(self, sample: Sample) -> bool:
        """Whether the row was on its way in this time."""
        return sample.committed <= self.ended and sample.seen >= self.began


class Probe:
    """A writer and a watcher, each on its own thread and connection."""

    def __init__(self, source_url: str, target_url: str) -> None:
        self._lock = threading.Lock()
        self._pending: dict[int, float] = {}
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._stop_watching = threading.Event()
        self._error: Exception | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._write, source_url), name="probe-writer", daemon=True),
            threading.Thread(target=self._guarded, args=(self._watch, target_url), name="probe-watcher", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop_writing(self) -> None:
        """Write no more rows; those on their way are still watched for."""
        self._stop.set()
        _join(self._threads[0])

    def stop(self) -> None:
        """End both threads."""
        self.stop_writing()
        self._stop_watching.set()
        _join(self._threads[1])

    def settle(self) -> int:
        """End both threads after a last look; returns how many rows have still not arrived."""
        time.sleep(10 * LOOK_SELDOM_S)
        self.stop()
        return len(self._pending)

    def check(self) -> None:
        """Raise what stopped a thread."""
        if self._error is not None:
            raise self._error

    def lag_now(self) -> float:
        """The age of the oldest row on its way, in seconds."""
        with self._lock:
            oldest = min(self._pending.values(), default=math.inf)
        return max(0.0, time.monotonic() - oldest)

    def silence(self, since: float) -> float:
        """The seconds since a row arrived last, or since then where that is later."""
        with self._lock:
            last = self._samples[-1].seen if self._samples else since
        return time.monotonic() - max(last, since)

    def flows(self, since: float) -> bool:
        """Whether a row committed after `since` has arrived and none is on its way for long."""
        with self._lock:
            arrived = bool(self._samples) and self._samples[-1].committed > since
        return arrived and self.lag_now() < FRESH_S

    def samples(self, since: float, without: list[Window]) -> list[float]:
        """The lags, sorted, of rows committed after `since`, without those that a window touches."""
        with self._lock:
            found = [sample for sample in self._samples if sample.committed > since]
        return sorted(s.seen - s.committed for s in found if not any(window.touches(s) for window in without))

    def _guarded(self, work: Callable[[psycopg.Connection], None], url: str) -> None:
        try:
            with psycopg.connect(url, autocommit=True, application_name="demo probe") as connection:
                work(connection)
        except Exception as error:
            self._error = error

    def _write(self, connection: psycopg.Connection) -> None:
        number, due = 0, time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            number += 1
            due = max(due + WRITE_EVERY_S, time.monotonic())
            connection.execute("INSERT INTO probe VALUES (%s, clock_timestamp())", (number,))
            with self._lock:
                self._pending[number] = time.monotonic()

    def _watch(self, connection: psycopg.Connection) -> None:
        while not self._stop_watching.wait(LOOK_EVERY_S if self.lag_now() < FRESH_S else LOOK_SELDOM_S):
            with self._lock:
                wanted = list(self._pending)
            if wanted:
                rows = connection.execute("SELECT id FROM app.probe WHERE id = ANY(%s)", (wanted,)).fetchall()
                self._saw([int(number) for (number,) in rows], time.monotonic())

    def _saw(self, numbers: list[int], now: float) -> None:
        with self._lock:
            self._samples += [Sample(self._pending.pop(number), now) for number in sorted(numbers)]


def _join(thread: threading.Thread) -> None:
    if thread.is_alive():
        thread.join(10)


def percentile(ordered: list[float], share: float) -> float:
    """The value below which the given share of the ordered values lies (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
