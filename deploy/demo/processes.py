"""Child processes of the demo: started in groups of their own, never outliving it, ended with all their children."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class Child:
    """A long-running process whose output goes to a file."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str], *, kept: bool = False
    ) -> None:
        """Start it. `kept`: it may outlive the demo."""
        self.name = name
        self.log = log
        self._ended = False
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=ROOT,
                start_new_session=True,
                preexec_fn=None if kept else _die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    def check(self) -> None:
        """Raise unless it runs."""
        if self._process.poll() is not None:
            raise DemoError(f"{self.name} ended by itself with exit code {self._process.returncode}:\n{self.tail()}")

    def kill(self) -> None:
        """SIGKILL it and its children, as the loss of a machine does. Raises unless it ran until then."""
        self.check()
        os.killpg(self.pid, signal.SIGKILL)
        if self._process.wait(10) != -signal.SIGKILL:
            raise DemoError(f"{self.name} was not killed but ended with exit code {self._process.returncode}")
        self._ended = True

    def stop(self, bound_s: float = 30) -> int | None:
        """End it in good order by SIGTERM; returns its exit code, None if it had to be killed. May be called again."""
        if self._ended:
            return self._process.returncode
        try:
            self._process.terminate()
            return self._process.wait(bound_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._ended = True

    def tail(self, lines: int = 30) -> str:
        """The end of its output."""
        text = self.log.read_text(errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _die_with_parent() -> None:
    """Run in the child before its program: SIGTERM if the demo itself is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
