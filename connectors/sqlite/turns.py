"""Whose turn it is to write: those who wait for the one writer of a file come one after another.

SQLite itself lets them try again and again, up to 100 ms apart, so that a process which writes without a pause is
hardly ever overtaken. Here a writer first stands at the head of the line, a file lock, and only then waits for the
file; who has just written comes behind it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOKS_S = (0.001, 0.002, 0.005, 0.01, 0.02)
"""Between looks at the head of the line; the last one again and again."""


class Turns:
    """The line before one database file, as one session sees it. limit_s: how long it stands there at most."""

    def __init__(self, database: Path, limit_s: float) -> None:
        self.limit_s = limit_s
        self._path = database.with_name(f"{database.name}.turn")
        self._handle: int | None = None

    @contextmanager
    def head(self) -> Iterator[bool]:
        """The head of the line, for the block; False where it was not reached in time."""
        if self._handle is None:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        reached = self._wait(self._handle)
        try:
            yield reached
        finally:
            if reached:
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave the line."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _wait(self, handle: int) -> bool:
        deadline, looks = time.monotonic() + self.limit_s, 0
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_LOOKS_S[min(looks, len(_LOOKS_S) - 1)])
                looks += 1
            else:
                return True
