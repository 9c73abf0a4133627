"""The daemon as a child process: a group of its own, never outliving the tests, output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_LEASH = Path(__file__).with_name("leash.py")


class Child(Protocol):
    """A process that can be asked how it ended."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""


class Launch(Protocol):
    """Starts a program whose output is appended to `log`, in a new process group or in that of `group`."""

    def __call__(self, argv: Sequence[str], log: Path, env: Mapping[str, str], group: int = 0) -> Child: ...


def leashed(argv: Sequence[str], log: Path, env: Mapping[str, str], group: int = 0) -> Child:
    """A program that dies with the tests. From the main thread, which holds the leash."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-IS", str(_LEASH), str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=log.parent,
            process_group=group,
        )


class Daemon:
    """A long-running process, the leader of its process group. Whatever else is in the group shares its end."""

    def __init__(self, child: Child, log: Path, begin: int) -> None:
        self.log = log
        self.killed = False
        self.beside: list[Child] = []
        self._child = child
        self._begin = begin

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._child.poll()

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.exit_code is None

    def kill(self) -> None:
        """SIGKILL the whole group at once, as the loss of a machine does."""
        self.killed = True
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end in good order."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; returns the exit code. Raises subprocess.TimeoutExpired."""
        return self._child.wait(timeout_s)

    def end(self) -> None:
        """Kill what is left of the group, and reap."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for child in (self._child, *self.beside):
            child.wait(20)

    def output(self, lines: int = 40) -> str:
        """The end of what this process (not its predecessors in the same file) has said."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def forked(act: Callable[[], int]) -> int:
    """Call a function in a copy of this process, which ends with its result; 1 where it raises. Returns its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = act()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a copy's end: its exit code, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
