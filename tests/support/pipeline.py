"""The product as a person runs it: a changeover.yaml, the command line, and the daemon as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question, assert_equal
from tests.support.polling import Found, until
from tests.support.processes import Daemon
from tests.support.stack import ROOT

CLI = (sys.executable, "-m", "daemon.cli")
COMMAND_BOUND_S = 120.0
OUTCOMES = ("applied", "superseded", "already_loaded", "filtered", "control", "held", "dead_lettered")


class ProductFailed(AssertionError):
    """The product did not do what it was told; the text has its own words."""


@dataclass(frozen=True)
class ChunkFact:
    """A chunk as the control schema has it."""

    state: str
    attempt: int
    done_at: str | None


@dataclass(frozen=True)
class Status:
    """What `changeover status --output json` says."""

    raw: Mapping[str, Any]

    @property
    def ledger(self) -> Mapping[str, int]:
        """Outcome -> events."""
        found: Mapping[str, int] = self.raw["ledger"]
        return found

    @property
    def balanced(self) -> bool:
        """Whether something became of every consumed event, counted here and by the product."""
        outcomes = sum(self.ledger[name] for name in OUTCOMES)
        return bool(self.raw["ledger_balanced"]) and self.ledger["consumed"] == outcomes

    @property
    def chunks_left(self) -> int:
        """Chunks that are not done."""
        return sum(t["chunks_total"] - t["chunks_done"] for t in self.raw["tables"].values())


@dataclass
class Settings:
    """What a test wants different from the defaults. Sections are merged over those below."""

    tables: Sequence[Mapping[str, Any]] = ()
    partitions: int = 2
    chunk_rows: int = 1000
    workers: int = 2
    exactly_once: str = "required"
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)


class Pipeline:
    """One pipeline with its configuration in a directory. `program` replaces the command line's first words."""

    def __init__(self, databases: Databases, directory: Path, settings: Settings) -> None:
        self.databases = databases
        self.directory = directory
        self.settings = settings
        self.program: Sequence[str] = CLI
        self.extra_env: dict[str, str] = {}
        self.config = directory / "changeover.yaml"
        self.log = directory / "daemon.log"
        self.config.write_text(yaml.safe_dump(self._document(), sort_keys=False))

    def _document(self) -> dict[str, Any]:
        name, stack, wanted = self.databases.name, self.databases.stack, self.settings
        document: dict[str, Any] = {
            "pipeline": name,
            "source": {"kind": "postgresql", "url": "${SOURCE_URL}", "topic_prefix": name},
            "target": {"kind": "postgresql", "url": "${TARGET_URL}"},
            "kafka": {"bootstrap_servers": stack.kafka, "partitions": wanted.partitions},
            "connect": {"url": stack.connect_url, "exactly_once": wanted.exactly_once},
            "backfill": {"workers": wanted.workers, "chunk_rows": wanted.chunk_rows},
            "heartbeat": {"interval_s": 0.5},
            "http": {"port": 0},
            "tables": list(wanted.tables),
        }
        for section, values in wanted.sections.items():
            document[section] = document.get(section, {}) | values
        return document

    # -- the command line ------------------------------------------------------------------------------------------

    def call(self, *arguments: str, timeout_s: float = COMMAND_BOUND_S) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code."""
        return subprocess.run(
            self._argv(*arguments),
            env=self._env({}),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def command(self, *arguments: str, timeout_s: float = COMMAND_BOUND_S) -> str:
        """Run a command that must succeed; returns what it printed."""
        done = self.call(*arguments, timeout_s=timeout_s)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-3000:]
            raise ProductFailed(f"changeover {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout

    def status(self) -> Status:
        """What the product says about itself."""
        return Status(json.loads(self.command("status", "--output", "json")))

    def _argv(self, *arguments: str) -> list[str]:
        return [*self.program, "--config", str(self.config), *arguments]

    def _env(self, changed: Mapping[str, str]) -> dict[str, str]:
        urls = {"SOURCE_URL": self.databases.source_url, "TARGET_URL": self.databases.target_url}
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **urls, **self.extra_env, **changed}

    # -- the daemon ------------------------------------------------------------------------------------------------

    def start(self, *arguments: str, target_url: str | None = None) -> Daemon:
        """Start `changeover run` (or the command in `arguments`); end it with `Daemon.end`. See also `run`."""
        changed = {"TARGET_URL": target_url} if target_url else {}
        return Daemon(self._argv(*(arguments or ("run",))), self.log, self._env(changed))

    @contextmanager
    def run(self, *arguments: str, target_url: str | None = None) -> Iterator[Daemon]:
        """The daemon for the length of a block. At its end it must still run, unless the test killed it."""
        daemon = self.start(*arguments, target_url=target_url)
        try:
            yield daemon
            if not daemon.running and not daemon.killed:
                raise ProductFailed(f"the daemon ended with {daemon.exit_code}:\n{daemon.output()}")
        finally:
            daemon.end()

    def until(self, daemon: Daemon, look: Callable[[], Found], timeout_s: float, what: str) -> Found:
        """Wait for a condition while the daemon runs; its end is an error."""

        def looked() -> Found:
            if not daemon.running and not daemon.killed:
                raise ProductFailed(f"the daemon ended with {daemon.exit_code}:\n{daemon.output()}")
            return look()

        return until(looked, timeout_s, lambda: f"{what}; the daemon says:\n{daemon.output(15)}")

    def wait_lag_zero(self, daemon: Daemon | None = None, timeout_s: float = 90) -> float:
        """The barrier: everything committed before this call is applied and all chunks are done. Returns seconds."""
        began = time.monotonic()
        done = self.call("wait", "--for", "lag-zero", "--timeout", str(timeout_s), timeout_s=timeout_s + 60)
        if done.returncode != 0:
            said = f"wait ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
            raise ProductFailed(said + (f"\nthe daemon says:\n{daemon.output()}" if daemon else ""))
        return time.monotonic() - began

    # -- the control schema ----------------------------------------------------------------------------------------

    def chunks(self) -> dict[tuple[str, int], ChunkFact]:
        """(table, number) -> what the control schema says; empty before the first start."""
        with open_url(self.databases.target_url) as connection:
            there = connection.execute("SELECT to_regclass('changeover.chunk') IS NOT NULL").fetchone()
            if not (there and there[0]):
                return {}
            rows = connection.execute(
                "SELECT table_name, number, state, attempt, done_at::text FROM changeover.chunk WHERE pipeline = %s",
                (self.databases.name,),
            ).fetchall()
        return {(table, number): ChunkFact(state, attempt, done) for table, number, state, attempt, done in rows}

    def chunks_done(self) -> dict[tuple[str, int], ChunkFact]:
        """The finished ones."""
        return {where: fact for where, fact in self.chunks().items() if fact.state == "done"}

    def verify(self, questions: Sequence[Question], daemon: Daemon | None = None, context: str = "") -> int:
        """The whole check, with the source at rest: caught up, equal, ledger balanced. Returns rows compared."""
        self.wait_lag_zero(daemon)
        rows = assert_equal(self.databases.source_url, self.databases.target_url, questions, context)
        status = self.status()
        assert status.balanced, f"the ledger does not balance: {status.raw}\n{context}"
        assert status.chunks_left == 0, f"chunks are left: {status.raw}\n{context}"
        return rows


def unchanged(before: Mapping[tuple[str, int], ChunkFact], after: Mapping[tuple[str, int], ChunkFact]) -> None:
    """No chunk that was finished before has been read again."""
    again = {where: (fact, after.get(where)) for where, fact in before.items() if after.get(where) != fact}
    assert not again, f"finished chunks were read again: {again}"
