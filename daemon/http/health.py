"""What the probes answer. Three questions that must not be mixed up, or Kubernetes restarts what only needs patience.

started   the process is up; says nothing about its work, since the app's own start waits for it
live      the loop still turns; false only where a restart is the cure
ready     the loop has what it needs to work; lag does not count, or a backlog would take the whole Pod out of service
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Health:
    """Told by the loops, asked by HTTP; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], limit_s: float = 30.0) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._started = False
        self._beat_at_s = clock()
        self._failure = ""
        self._blockers: dict[str, str] = {"starting": "not started yet"}

    def started(self) -> None:
        """The process is up: configuration read, HTTP open."""
        with self._lock:
            self._started = True
            self._blockers.pop("starting", None)
            self._beat_at_s = self._clock()

    def beat(self) -> None:
        """The loop has come round. To be called more often than `limit_s`, in long work too."""
        with self._lock:
            self._beat_at_s = self._clock()

    def block(self, name: str, reason: str) -> None:
        """Not ready, for this reason, until `unblock` of the same name."""
        with self._lock:
            self._blockers[name] = reason

    def unblock(self, name: str) -> None:
        """What blocked under this name does so no longer."""
        with self._lock:
            self._blockers.pop(name, None)

    def fail(self, reason: str) -> None:
        """The loop has ended and will not come back in this process. The first reason stays."""
        with self._lock:
            self._failure = self._failure or reason

    @property
    def is_started(self) -> bool:
        """Whether the process is up."""
        return self._started

    @property
    def blockers(self) -> dict[str, str]:
        """What keeps this process from being ready, by name."""
        with self._lock:
            return dict(self._blockers) | ({"failed": self._failure} if self._failure else {})

    @property
    def ready(self) -> bool:
        """Whether nothing blocks."""
        return not self.blockers

    @property
    def beat_age_s(self) -> float:
        """Seconds since the loop last came round."""
        with self._lock:
            return max(0.0, self._clock() - self._beat_at_s)

    @property
    def live(self) -> bool:
        """Whether the loop turns: no failure, and a beat younger than the limit."""
        return not self._failure and self.beat_age_s <= self._limit_s
