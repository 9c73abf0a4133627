"""The daemon as a child process: a group of its own, never outliving the tests, output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")


class Daemon:
    """A long-running process and its children. Start it from the main thread: its leash is held by that thread."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        self.killed = False
        self._begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-IS", str(_LEASH), str(os.getpid()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.exit_code is None

    def kill(self) -> None:
        """SIGKILL it and its children at once, as the loss of a machine does."""
        self.killed = True
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end in good order."""
        self._process.terminate()

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; returns the exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    def end(self) -> None:
        """Kill what is left of the group, and reap."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(20)

    def output(self, lines: int = 40) -> str:
        """The end of what this process (not its predecessors in the same file) has said."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])
