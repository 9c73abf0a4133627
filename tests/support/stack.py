"""deploy/local/stack as a fixture: the real databases, broker and connector."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "deploy" / "local" / "stack"
_UP_BOUND_S = 900
"""Long, because the first run fetches the software."""
_COMMAND_BOUND_S = 180
EXTRA_PARTS = "mariadb,registry,postgresql15"
"""What only some tests use; one stack has everything."""


class StackFailed(Exception):
    """The stack did not do what it was told; the text has its own words."""


class Stack:
    """One stack in one directory. Parts are source, target, kafka, connect, and those of EXTRA_PARTS."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.source_url = settings["SOURCE_URL"]
        self.target_url = settings["TARGET_URL"]
        self.kafka = settings["KAFKA_BOOTSTRAP"]
        self.connect_url = settings["CONNECT_URL"]
        self.programs = Path(settings["PG_BIN"])
        self._settings = settings

    @property
    def mariadb_url(self) -> str:
        """A MariaDB server; its user may do everything."""
        return self._extra("MARIADB_URL")

    @property
    def registry_url(self) -> str:
        """The schema registry's Confluent interface."""
        return self._extra("REGISTRY_URL")

    @property
    def source15_url(self) -> str:
        """A second source server, PostgreSQL 15."""
        return self._extra("SOURCE15_URL")

    def _extra(self, name: str) -> str:
        if name not in self._settings:
            raise StackFailed(f"this stack has no {name}: deploy/local/stack up --with {EXTRA_PARTS}")
        return self._settings[name]

    @classmethod
    def started(cls) -> Stack:
        """A new stack in a directory of its own. Raises StackFailed; leaves nothing behind then."""
        directory = Path(tempfile.mkdtemp(prefix="changeover-test-"))
        try:
            return cls(directory, _settings(_command("up", directory, _UP_BOUND_S, "--with", EXTRA_PARTS)))
        except BaseException:
            _command("down", directory)
            shutil.rmtree(directory, ignore_errors=True)
            raise

    @classmethod
    def running(cls, directory: Path) -> Stack:
        """The stack that somebody keeps in this directory."""
        return cls(directory, _settings((directory / "env").read_text()))

    def down(self) -> None:
        """End it and remove its files."""
        _command("down", self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self, part: str) -> None:
        """kill -9 a part; returns when it is gone."""
        self._run("kill", part)

    def start(self, part: str) -> None:
        """Start a part that does not run; returns when it serves."""
        self._run("start", part)

    def stop(self, part: str) -> None:
        """End a part in good order."""
        self._run("stop", part)

    def connect_exactly_once(self, enabled: bool) -> None:
        """Restart Connect with or without support for exactly-once sources: that is a setting of the worker."""
        self.stop("connect")
        _command("up", self.directory, _COMMAND_BOUND_S, *([] if enabled else ["--no-exactly-once"]))

    def connect_debezium(self, version: str) -> None:
        """Restart Connect with an older release of Debezium; "" for the pinned one."""
        self.stop("connect")
        _command("up", self.directory, _COMMAND_BOUND_S, *(["--debezium", version] if version else []))

    def _run(self, command: str, part: str) -> None:
        _command(command, self.directory, _COMMAND_BOUND_S, part)


def _command(name: str, directory: Path, bound_s: float = _COMMAND_BOUND_S, *arguments: str) -> str:
    """Run one command of the stack; returns what it printed."""
    argv = [sys.executable, str(PROGRAM), name, *arguments, "--dir", str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=bound_s, check=False)
    if done.returncode != 0:
        raise StackFailed(f"stack {name} {' '.join(arguments)} failed ({done.returncode}):\n{done.stderr[-4000:]}")
    return done.stdout


def _settings(text: str) -> dict[str, str]:
    words = (shlex.split(line) for line in text.splitlines() if "=" in line)
    return dict(word.split("=", 1) for line in words for word in line if "=" in word)
