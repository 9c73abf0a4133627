"""The backfill's child processes: started while chunks are left, ended with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mappers.errors import ChangeoverError

PR_SET_PDEATHSIG = 1
TRANSIENT_EXIT = 75
"""sysexits' EX_TEMPFAIL: a worker that met a fault which may pass; it is started again."""


class WorkerError(ChangeoverError):
    """A worker failed for good: its own words and its exit code."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said or f"a backfill worker ended with {code} and said nothing")
        self.exit_code = max(1, code)

    def __str__(self) -> str:
        return self.what


class Workers:
    """Keeps up to `count` workers running. delay: called before a worker that failed is started again."""

    def __init__(self, config: Path, count: int, delay: Callable[[], bool]) -> None:
        self._config = config
        self._count = count
        self._delay = delay
        self._children: list[subprocess.Popen[bytes]] = []

    def tend(self, unfinished: int) -> None:
        """Start as many workers as there is work for. Raises WorkerError where one failed for good."""
        ended = [child for child in self._children if child.poll() is not None]
        self._children = [child for child in self._children if child not in ended]
        said = [_said(child) for child in ended]
        for child, words in zip(ended, said, strict=True):
            if child.returncode not in (0, TRANSIENT_EXIT, -signal.SIGKILL, -signal.SIGTERM):
                raise WorkerError(child.returncode, words)
        if any(child.returncode != 0 for child in ended) and not self._delay():
            return
        while len(self._children) < min(self._count, unfinished):
            self._children.append(self._start())

    def stop(self, deadline_s: float) -> None:
        """Ask all to end after the chunk in hand's transaction, and make sure of it."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(deadline_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            _said(child)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "daemon.cli", "--config", str(self._config), "backfill"]
        command += ["--share", str(self._count), "--parent", str(os.getpid())]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def _said(child: subprocess.Popen[bytes]) -> str:
    """What an ended worker wrote to stdout, which is nothing but the error that ended it."""
    assert child.stdout is not None
    with child.stdout as out:
        return out.read().decode(errors="replace").strip()


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process when its parent ends, however that happens (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(TRANSIENT_EXIT)
