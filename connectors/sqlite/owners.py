"""Who is alive among the sessions of one database file: each that claims something holds a file lock beside it.

SQLite knows no sessions. The operating system takes a lock away when the process ends, however it ends, and the name
is never used again; a name whose file is gone, or whose lock can be had, belongs to nobody any more.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

_MARK = ".session-"


class Owner:
    """The lock of one session; taken when its name is first asked for, let go by `close` or with the process."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._handle: int | None = None
        self._name = ""

    def name(self) -> str:
        """The session's name, under which it is alive from now on."""
        if self._handle is None:
            _sweep(self._database)
            self._name = uuid.uuid4().hex
            self._handle = _taken(_file(self._database, self._name))
        return self._name

    def gone(self, name: str) -> bool:
        """Whether the session of this name has ended."""
        return name != self._name and not _alive(_file(self._database, name))

    def close(self) -> None:
        """End: the file goes first, so that nobody waits for a name that never comes back."""
        if self._handle is not None:
            _file(self._database, self._name).unlink(missing_ok=True)
            os.close(self._handle)
            self._handle, self._name = None, ""


def _file(database: Path, name: str) -> Path:
    return database.with_name(f"{database.name}{_MARK}{name}")


def _taken(path: Path) -> int:
    """Make the file and lock it, again where somebody swept it away in between."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def _alive(path: Path) -> bool:
    """Whether somebody holds the file's lock; one that nobody holds is removed."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(handle)


def _sweep(database: Path) -> None:
    """Remove what killed processes left."""
    for path in database.parent.glob(f"{_glob_quoted(database.name)}{_MARK}*"):
        _alive(path)


def _glob_quoted(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
