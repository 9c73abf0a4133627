"""Where a figure is measured: fresh databases on the real stack, and one pipeline between them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.stack import Stack

DELIVERY_BOUND_S = 180
PINNED = "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET extra_float_digits = 1; SET search_path = public"


@dataclass(frozen=True)
class Ground:
    """A pipeline whose databases are called as it is."""

    pipeline: Pipeline
    source: psycopg.Connection
    target: psycopg.Connection

    @property
    def databases(self) -> Databases:
        """Both databases."""
        return self.pipeline.databases

    def program(self, name: str) -> str:
        """The path of psql or pgbench."""
        return str(self.databases.stack.programs / name)

    def shell(self, command: str, timeout_s: float = 300) -> str:
        """Run a shell command that must succeed; returns what it printed."""
        done = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=timeout_s, env=_plain(), check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout


@contextmanager
def ground(
    stack: Stack,
    name: str,
    source_sql: str,
    target_sql: str,
    tables: Sequence[Mapping[str, object]],
    settings: Settings,
) -> Iterator[Ground]:
    """Make the databases, the tables and the configuration; remove all of it at the end of the block."""
    databases = Databases(stack, f"{name}_{os.getpid()}")
    settings.tables = tables
    try:
        with (
            tempfile.TemporaryDirectory(prefix="changeover-bench-") as directory,
            open_url(databases.source_url) as source,
            open_url(databases.target_url) as target,
        ):
            for connection, statements in ((source, source_sql), (target, target_sql)):
                connection.execute(PINNED)
                connection.execute(statements.encode())
            yield Ground(Pipeline(databases, Path(directory), settings), source, target)
    finally:
        databases.drop()


def wait_delivered(at: Ground, look: Callable[[], None] = lambda: None) -> None:
    """Wait until the connector has acknowledged everything that is committed; `look` is called meanwhile."""
    at.source.execute("SELECT pg_logical_emit_message(true, 'changeover', '{\"kind\": \"sentinel\"}')")
    row = at.source.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    assert row is not None
    query = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE database = current_database()"

    def delivered() -> bool:
        look()
        return at.source.execute(query, row).fetchone() == (True,)

    until(delivered, DELIVERY_BOUND_S, "the connector has delivered everything")


def ended(daemon: Daemon) -> None:
    """End a daemon in good order, within its block."""
    daemon.terminate()
    daemon.wait(30)
    daemon.killed = True  # else the block would call its end a fault


def _plain() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
