"""Connections to a SQLite file: pinned settings, explicit transactions, and errors put into the one error tree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from connectors.sqlite.control_names import prefix_control_tables
from connectors.sqlite.errors import translate
from connectors.sqlite.owners import Owner
from connectors.sqlite.turns import Turns
from mappers.errors import ChangeoverError, FatalError, RecordError, TransientError

Value = str | int
PINNED: Mapping[str, Value] = {
    "synchronous": "FULL",  # a commit that was answered outlives the machine's fall
    "foreign_keys": "OFF",  # rows arrive per table, in the source's order, and the source has checked them
    "recursive_triggers": "OFF",
    "trusted_schema": "ON",  # the control tables' defaults call the session's clock
    "cell_size_check": "ON",
}
"""What decides what a statement means or is worth. The journal mode is the file's own, and set to WAL once: readers see
the last commit while the one writer works."""

MINIMUM = (3, 37)
"""The first release with STRICT tables; RETURNING, ON CONFLICT and window functions are older."""

BEGIN = "changeover_begin"
"""Execution option of a connection: how its transactions begin. IMMEDIATE, unless it says DEFERRED: for readers."""

_STRING_QUOTES = ("SQLITE_DBCONFIG_DQS_DML", "SQLITE_DBCONFIG_DQS_DDL")


class Session(sqlite3.Connection):
    """The driver's connection. owner: the name by which its claims are alive, until it is closed. turns: the line in
    which it waits to write."""

    owner: Owner
    turns: Turns

    def close(self) -> None:
        """Close the connection; what it claimed belongs to nobody then."""
        try:
            super().close()
        finally:
            if hasattr(self, "owner"):
                self.owner.close()
                self.turns.close()

    def wait_at_most(self, limit_s: float) -> None:
        """How long a transaction waits for another writer, from now on."""
        self.turns.limit_s = limit_s
        self.execute(f"PRAGMA busy_timeout = {int(limit_s * 1000)}")


def path_of(url: str, side: str) -> Path:
    """The file of `sqlite:///relative/path` or `sqlite:////absolute/path`. Raises FatalError."""
    try:
        parts = make_url(url)
    except ArgumentError:
        parts = None
    hint = "write sqlite:////absolute/path/to/file.db"
    if parts is None or parts.drivername != "sqlite" or parts.host or parts.query:
        raise FatalError("not a URL of a SQLite file", where=f"{side}.url", hint=hint)
    if not parts.database or parts.database == ":memory:":
        raise FatalError("a database in memory ends with the process", where=f"{side}.url", hint=hint)
    return Path(parts.database)


def server_of(url: str) -> str:
    """The file of a URL, for messages."""
    return str(make_url(url).database or "")


def connect(
    url: str,
    side: str,
    *,
    timeout_s: float = 10,
    settings: Mapping[str, Value] | None = None,
    create: bool = False,
) -> Session:
    """Open the file with the pinned settings, and these besides. Nothing begins a transaction but an explicit BEGIN.

    timeout_s: how long a statement waits for another writer. create: make the file where there is none. Raises
    FatalError where there is no such database, and TransientError while another process holds it.
    """
    path = path_of(url, side)
    if sqlite3.sqlite_version_info < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        raise FatalError(f"this Python has SQLite {sqlite3.sqlite_version}", hint=f"SQLite {needed} or later is needed")
    with translated(side, url):
        raw = sqlite3.connect(
            f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
            factory=Session,
        )
        try:
            raw.owner, raw.turns = Owner(path.absolute()), Turns(path.absolute(), timeout_s)
            _pin(raw, {**PINNED, **(settings or {})}, f"{side} {server_of(url)}")
            _add_functions(raw)
        except BaseException:
            raw.close()
            raise
    return raw


def engine(
    url: str,
    *,
    timeout_s: float = 10,
    settings: Mapping[str, Value] | None = None,
    create: bool = False,
    pool_size: int = 2,
    max_overflow: int = 4,
) -> Engine:
    """A pool of target sessions for SQLAlchemy. Each transaction is the one writer from its begin on (`BEGIN`)."""
    made = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: connect(url, "target", timeout_s=timeout_s, settings=settings, create=create),
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_reset_on_return="rollback",
    )
    event.listen(made, "begin", _begin)
    prefix_control_tables(made)
    return made


@contextmanager
def translated(side: str, url: str) -> Iterator[None]:
    """Turn the driver's errors into the error tree; `side` is "source" or "target"."""
    try:
        yield
    except ChangeoverError:
        raise
    except sqlite3.Error as error:
        raise translate(error, f"{side} {server_of(url)}") from error


@contextmanager
def target_errors(url: str, *, table: str = "") -> Iterator[None]:
    """The same for a target's transactions: uniqueness conflicts apart, and SQLAlchemy's wrapping taken off.

    table: what is being written, for a conflict to name it as the caller does.
    """
    where = "target " + server_of(url)
    try:
        yield
    except ChangeoverError:
        raise
    except DBAPIError as error:
        if not isinstance(error.orig, sqlite3.Error):
            raise TransientError(str(error).splitlines()[0], where=where) from error
        raise translate(error.orig, where, table=table) from error
    except sqlite3.Error as error:
        raise translate(error, where, table=table) from error
    except OverflowError as error:
        raise RecordError("an integer has more than 64 bits", where=where, reason="type") from error
    except UnicodeEncodeError as error:
        raise RecordError("a text is no UTF-8", where=where, reason="type") from error


def clock(seconds: float = 0.0) -> str:
    """Now, or so many seconds from now: UTC as text with microseconds, which SQLite's own clock does not have."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")


def _pin(raw: Session, settings: Mapping[str, Value], where: str) -> None:
    mode = raw.execute("PRAGMA journal_mode").fetchone()[0]
    read_only = bool(settings.get("query_only"))
    if mode != "wal" and not read_only:
        mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal" and not read_only:
        raise FatalError(f"the journal mode stays {mode}", where=where, hint="put the file on a local disk")
    for name, value in settings.items():
        raw.execute(f"PRAGMA {name} = {value}")
    for name in _STRING_QUOTES:
        _refuse_string_quotes(raw, name)


def _refuse_string_quotes(raw: Any, name: str) -> None:
    """A misspelt "column" is an error, and not a text: where this Python can say so (3.12)."""
    if hasattr(raw, "setconfig"):
        raw.setconfig(getattr(sqlite3, name), False)


def _add_functions(raw: Session) -> None:
    """What the control state asks of its engine: a clock, and whose session is alive."""
    raw.create_function("changeover_clock", 0, clock)
    raw.create_function("changeover_clock", 1, clock)
    raw.create_function("changeover_session", 0, raw.owner.name)
    raw.create_function("changeover_session_gone", 1, raw.owner.gone)


def _begin(connection: Connection) -> None:
    how = connection.get_execution_options().get(BEGIN, "IMMEDIATE")
    raw = connection.connection.driver_connection
    assert isinstance(raw, Session)
    if how == "DEFERRED":
        connection.exec_driver_sql("BEGIN DEFERRED")
        return
    with raw.turns.head() as reached:
        if not reached:
            raise TransientError("database is locked: others are writing")
        connection.exec_driver_sql(f"BEGIN {how}")
