"""The product as a person runs it: a changeover.yaml, the command line, and the daemon as a process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import yaml

from tests.support.databases import Databases, open_mariadb, open_url
from tests.support.oracle import Question, assert_equal
from tests.support.polling import Found, until
from tests.support.processes import Child, Daemon, Launch, leashed
from tests.support.stack import ROOT

CLI = (sys.executable, "-m", "daemon.cli")
COMMAND_BOUND_S = 180.0
OUTCOMES = ("applied", "superseded", "already_loaded", "filtered", "control", "held", "dead_lettered")


class ProductFailed(AssertionError):
    """The product did not do what it was told; the text has its own words."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said on stdout and stderr."""

    code: int
    said: str


@dataclass(frozen=True)
class ChunkFact:
    """A chunk as the control schema has it."""

    state: str
    attempt: int
    done_at: str


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
    target: str = "postgresql"
    format: str = "json"
    """What events are written in: json, or avro through the stack's registry."""
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)


class Pipeline:
    """One pipeline with its configuration in a directory.

    program, launch: the command line's first words, and what starts it; by default, processes as a person starts them.
    """

    def __init__(self, databases: Databases, directory: Path, settings: Settings) -> None:
        self.databases = databases
        self.directory = directory
        self.settings = settings
        self.program: Sequence[str] = CLI
        self.launch: Launch = leashed
        self.extra_env: dict[str, str] = {}
        self.target_url = databases.target_url
        if settings.target == "sqlite":
            self.target_url = f"sqlite:///{directory / 'target.db'}"
        if settings.target == "mariadb":
            self.target_url = databases.on_mariadb()
        self.config = directory / "changeover.yaml"
        self.log = directory / "daemon.log"
        self._calls = count(1)
        self.config.write_text(yaml.safe_dump(self._document(), sort_keys=False))

    def _document(self) -> dict[str, Any]:
        name, stack, wanted = self.databases.name, self.databases.stack, self.settings
        document: dict[str, Any] = {
            "pipeline": name,
            "source": {"kind": "postgresql", "url": "${SOURCE_URL}", "topic_prefix": name},
            "target": {"kind": wanted.target, "url": "${TARGET_URL}"},
            "kafka": {
                "bootstrap_servers": stack.kafka,
                "partitions": wanted.partitions,
                # A killed daemon's partitions move when its session ends, and tests kill a lot.
                "settings": {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300},
            },
            "connect": {"url": stack.connect_url, "exactly_once": wanted.exactly_once, "format": wanted.format},
            "backfill": {"workers": wanted.workers, "chunk_rows": wanted.chunk_rows},
            "heartbeat": {"interval_s": 0.5},
            "http": {"port": 0},
            # What the connector loses, the oracle is to see: nothing is repaired behind its back.
            "verify": {"repair_after_restart": False},
            "tables": list(wanted.tables),
        }
        if wanted.format == "avro":
            document["kafka"]["schema_registry"] = stack.registry_url
        for section, values in wanted.sections.items():
            document[section] = document.get(section, {}) | values
        return document

    # -- the command line ------------------------------------------------------------------------------------------

    def call(self, *arguments: str, timeout_s: float = COMMAND_BOUND_S, daemon: Daemon | None = None) -> Done:
        """Run a command to its end, whatever its exit code. The end of `daemon` meanwhile is an error."""
        out = self.directory / f"command-{next(self._calls)}.log"
        child = self.launch(self._argv(*arguments), out, self._env({}))
        try:
            self.until(daemon, lambda: child.poll() is not None, timeout_s, f"the end of {' '.join(arguments)}")
        finally:
            _end(child)
        return Done(child.wait(0), out.read_text(errors="replace"))

    def command(self, *arguments: str, timeout_s: float = COMMAND_BOUND_S, daemon: Daemon | None = None) -> str:
        """Run a command that must succeed; returns what it said."""
        done = self.call(*arguments, timeout_s=timeout_s, daemon=daemon)
        if done.code != 0:
            raise ProductFailed(f"changeover {' '.join(arguments)} ended with {done.code}: {done.said[-3000:]}")
        return done.said

    def status(self) -> Status:
        """What the product says about itself."""
        lines = self.command("status", "--output", "json").splitlines()
        return Status(json.loads(next(line for line in lines if line.startswith('{"version"'))))

    def _argv(self, *arguments: str) -> list[str]:
        return [*self.program, "--config", str(self.config), *arguments]

    def _env(self, changed: Mapping[str, str]) -> dict[str, str]:
        urls = {"SOURCE_URL": self.databases.source_url, "TARGET_URL": self.target_url}
        base = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**base, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **urls, **self.extra_env, **changed}

    # -- the daemon ------------------------------------------------------------------------------------------------

    def start(self, *arguments: str, beside: Daemon | None = None, target_url: str | None = None) -> Daemon:
        """Start `changeover run` (or the command in `arguments`), in a group of its own or in that of `beside`.

        See `run`, which ends it too.
        """
        begin = self.log.stat().st_size if self.log.exists() else 0
        env = self._env({"TARGET_URL": target_url} if target_url else {})
        group = beside.pid if beside else 0
        child = self.launch(self._argv(*(arguments or ("run",))), self.log, env, group)
        if beside is not None:
            beside.beside.append(child)
        return Daemon(child, self.log, begin)

    @contextmanager
    def run(self, *arguments: str, target_url: str | None = None) -> Iterator[Daemon]:
        """The daemon for the length of a block. At its end it must still run, unless the test killed it."""
        daemon = self.start(*arguments, target_url=target_url)
        try:
            yield daemon
            _check(daemon)
        finally:
            daemon.end()

    def until(self, daemon: Daemon | None, look: Callable[[], Found], timeout_s: float, what: str) -> Found:
        """Wait for a condition while the daemon runs; its end is an error."""

        def looked() -> Found:
            _check(daemon)
            return look()

        def said() -> str:
            return what + (f"; the daemon says:\n{daemon.output(15)}" if daemon else "")

        return until(looked, timeout_s, said)

    def wait_lag_zero(self, daemon: Daemon | None = None, timeout_s: float = 180) -> float:
        """The barrier: everything committed before this call is applied and all chunks are done. Returns seconds."""
        began = time.monotonic()
        wait = ("wait", "--for", "lag-zero", "--timeout", str(timeout_s))
        self.command(*wait, timeout_s=timeout_s + 60, daemon=daemon)
        return time.monotonic() - began

    # -- the control schema ----------------------------------------------------------------------------------------

    def chunks(self) -> dict[tuple[str, int], ChunkFact]:
        """(table, number) -> what the control schema says; empty before the first start."""
        rows = self._control("SELECT table_name, number, state, attempt, done_at FROM changeover.chunk")
        return {(table, number): ChunkFact(state, attempt, str(done)) for table, number, state, attempt, done in rows}

    def events(self, *outcomes: str) -> int:
        """How many events have had these outcomes; `consumed` counts all."""
        columns = " + ".join(f"coalesce(sum({outcome}), 0)" for outcome in outcomes)
        rows = self._control(f"SELECT {columns} FROM changeover.checkpoint")
        return int(rows[0][0]) if rows else 0

    def consumed(self) -> int:
        """How many events have been consumed."""
        return self.events("consumed")

    def _control(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the control schema; none before the first start has made it."""
        if self.settings.target == "sqlite":
            return _file_rows(self.target_url, query.replace("changeover.", "changeover_"))
        if self.settings.target == "mariadb":
            return _mariadb_rows(self.target_url, query)
        with open_url(self.databases.target_url) as connection:
            try:
                return connection.execute(query.encode()).fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                return []

    def chunks_done(self) -> dict[tuple[str, int], ChunkFact]:
        """The finished ones."""
        return {where: fact for where, fact in self.chunks().items() if fact.state == "done"}

    def verify(
        self, questions: Sequence[Question], daemon: Daemon | None = None, context: str = "", timeout_s: float = 180
    ) -> int:
        """The whole check, with the source at rest: caught up, equal, ledger balanced, no dead letter. Returns rows."""
        try:
            self.wait_lag_zero(daemon, timeout_s)
        except AssertionError as error:
            raise ProductFailed(f"{error}\n{context}") from error
        rows = assert_equal(self.databases.source_url, self.target_url, questions, context)
        status = self.status()
        assert status.balanced, f"the ledger does not balance: {status.raw}\n{context}"
        assert status.chunks_left == 0, f"chunks are left: {status.raw}\n{context}"
        assert not status.raw["dead_letters_open"], f"rows were set aside: {status.raw}\n{context}"
        return rows


def _file_rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []


def _mariadb_rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with open_mariadb(url) as cursor:
        try:
            cursor.execute(query)
        except pymysql.Error as error:
            if error.args[0] not in (1049, 1146):  # no such database, no such table
                raise
            return []
        return list(cursor.fetchall())


def _check(daemon: Daemon | None) -> None:
    if daemon is None or daemon.killed:
        return
    if not daemon.running:
        raise ProductFailed(f"the daemon ended with {daemon.exit_code}:\n{daemon.output()}")
    if any(child.poll() not in (None, 0) for child in daemon.beside):
        raise ProductFailed(f"a worker failed:\n{daemon.output()}")


def _end(child: Child) -> None:
    if child.poll() is None:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(20)


def unchanged(before: Mapping[tuple[str, int], ChunkFact], after: Mapping[tuple[str, int], ChunkFact]) -> None:
    """No chunk that was finished before has been read again."""
    again = {where: (fact, after.get(where)) for where, fact in before.items() if after.get(where) != fact}
    assert not again, f"finished chunks were read again: {again}"
