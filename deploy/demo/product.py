"""Changeover as the demo uses it: by its command line only, as a person would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.processes import ROOT, Child, DemoError

CONFIG = Path(__file__).resolve().parent / "changeover.yaml"
OUTCOMES = ("applied", "superseded", "already_loaded", "filtered", "control", "held", "dead_lettered")


@dataclass(frozen=True)
class Status:
    """What `changeover status --output json` says, as far as the demo needs it."""

    phase: str
    chunks_done: int
    chunks_total: int
    rows_loaded: int
    rows_expected: int
    backlog: int
    ledger: Mapping[str, int]

    @property
    def loaded(self) -> float:
        """The share of the chunks that is done, 0 to 1."""
        return self.chunks_done / self.chunks_total if self.chunks_total else 0.0

    @property
    def backfilled(self) -> bool:
        """Whether every chunk is done."""
        return 0 < self.chunks_total == self.chunks_done

    @property
    def consumed(self) -> int:
        """Events taken from Kafka."""
        return self.ledger.get("consumed", 0)

    @property
    def balanced(self) -> bool:
        """Whether something became of every event consumed."""
        return self.consumed == sum(self.ledger.get(outcome, 0) for outcome in OUTCOMES)


class Changeover:
    """The product with the demo's configuration."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        """`settings` fill in the ${NAMES} of changeover.yaml."""
        self.env = {**os.environ, **settings, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.log = log

    def argv(self, *arguments: str) -> list[str]:
        """The command line of one command."""
        return [sys.executable, "-m", "daemon.cli", "--config", str(CONFIG), *arguments]

    def call(self, *arguments: str, bound_s: float = 120, code: int = 0) -> str:
        """Run a command to its end; returns what it printed. Raises where its exit code is another."""
        argv = self.argv(*arguments)
        done = subprocess.run(
            argv,
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=bound_s,
            check=False,
            start_new_session=True,
        )
        if done.returncode != code:
            said = (done.stderr or done.stdout).strip()[-3000:]
            raise DemoError(f"changeover {' '.join(arguments)} ended with {done.returncode}, not {code}: {said}")
        return done.stdout

    def start(self, *, kept: bool) -> Child:
        """Start the daemon."""
        return Child("changeover run", self.argv("run"), self.log, self.env, kept=kept)

    def disconnect(self) -> None:
        """Take the connector, its slot and its publication away, as far as they are there."""
        with suppress(DemoError, subprocess.TimeoutExpired):
            self.call("connector", "delete", bound_s=60)

    def status(self) -> Status:
        """Ask for the status; works beside a running daemon and without one."""
        told = json.loads(self.call("status", "--output", "json"))
        tables = told["tables"].values()
        return Status(
            phase=told["phase"],
            chunks_done=sum(table["chunks_done"] for table in tables),
            chunks_total=sum(table["chunks_total"] for table in tables),
            rows_loaded=sum(table["rows_loaded"] for table in tables),
            rows_expected=sum(table["rows_expected"] or 0 for table in tables),
            backlog=told["backlog_events"] or 0,
            ledger=told["ledger"],
        )
