"""The real databases, broker and connector under the demo: deploy/local/stack, by its command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.demo.processes import DemoError

PROGRAM = Path(__file__).resolve().parents[1] / "local" / "stack"
_FETCHED_ALL = re.compile(r"fetched in ([\d.]+) s")
_COMMAND_BOUND_S = 180


class Stack:
    """One stack in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env: dict[str, str] = {}
        self.download_s = 0.0

    def up(self, progress: Callable[[str], None]) -> None:
        """Start it, fetching first what is not in the cache yet; what it says on the way goes to `progress`."""
        argv = self._argv("up")
        said: list[str] = []
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as child:
            try:
                settings = self._listen(child, said, progress)
            except BaseException:
                child.terminate()  # it undoes what it did
                child.wait(_COMMAND_BOUND_S)
                raise
        if child.returncode != 0:
            raise DemoError("the stack does not start:\n" + "\n".join(said[-15:]))
        self.env = dict(line.split("=", 1) for line in settings.splitlines() if "=" in line)

    def _listen(self, child: subprocess.Popen[str], said: list[str], progress: Callable[[str], None]) -> str:
        """Follow what `up` says; returns the settings it ends with."""
        assert child.stdout is not None
        assert child.stderr is not None
        for line in map(str.strip, child.stderr):
            said.append(line)
            if whole := _FETCHED_ALL.fullmatch(line):
                self.download_s = float(whole[1])
            progress(line)
        return child.stdout.read()

    def kill(self, part: str) -> None:
        """kill -9 one part."""
        self._run("kill", part)

    def start(self, part: str) -> None:
        """Start a part again."""
        self._run("start", part)

    def down(self) -> None:
        """End everything and delete its files."""
        self._run("down")

    def _argv(self, *arguments: str) -> list[str]:
        return [sys.executable, str(PROGRAM), *arguments, "--dir", str(self.directory)]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            self._argv(*arguments),
            capture_output=True,
            text=True,
            timeout=_COMMAND_BOUND_S,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise DemoError(f"stack {' '.join(arguments)} failed ({done.returncode}): {done.stderr.strip()}")
