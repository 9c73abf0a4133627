"""A token bucket: so many a second on average, and a second's worth at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class TokenBucket:
    """Thread-safe. per_second: tokens that come in; as many (at least one) fit in. clock: monotonic seconds."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._rate = per_second
        self._size = max(1.0, per_second)
        self._clock = clock
        self._left = self._size
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token: 0. Where there is none, the seconds until there will be."""
        with self._lock:
            now = self._clock()
            self._left = min(self._size, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return (1 - self._left) / self._rate
            self._left -= 1
            return 0.0
