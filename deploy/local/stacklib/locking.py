"""Advisory locks on directories, held for the length of a with block."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stacklib.errors import StackError
from stacklib.say import say


@contextmanager
def locked(directory: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of an existing directory; wait for its present holder at most wait_s."""
    fd = _acquire(directory, time.monotonic() + wait_s)
    try:
        yield
    finally:
        os.close(fd)


def _acquire(directory: Path, deadline: float) -> int:
    """Return a descriptor that holds the lock of the directory now at this path."""
    told = False
    while True:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, directory):
                return fd
        os.close(fd)
        if time.monotonic() > deadline:
            raise StackError(f"another stack command holds {directory}")
        if not told:
            say(f"waiting for another stack command to finish with {directory}")
            told = True
        time.sleep(0.1)


def _is_at(fd: int, directory: Path) -> bool:
    """Tell whether the open directory is still the one at this path (it may have been removed meanwhile)."""
    try:
        return os.path.samestat(os.fstat(fd), directory.stat())
    except FileNotFoundError:
        return False
