"""Connections to MariaDB and MySQL: pinned settings, and the server's errors put into the one error tree."""

from __future__ import annotations

import math
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import pymysql
from pymysql.constants import CLIENT
from pymysql.converters import conversions
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from connectors.mariadb.errors import translate
from connectors.mariadb.infile import Connection
from connectors.mariadb.url import parse, place
from mappers.errors import ChangeoverError, FatalError, RecordError, TransientError

Value = str | int | float
Raw: TypeAlias = Connection
"""The driver's connection."""

SQL_MODE = (
    "STRICT_ALL_TABLES",  # a value that does not fit is an error, never a silent change
    "STRICT_TRANS_TABLES",
    "ERROR_FOR_DIVISION_BY_ZERO",  # as PostgreSQL has it; NULL otherwise
    "NO_AUTO_VALUE_ON_ZERO",  # a source row with id 0 keeps it
    "NO_ENGINE_SUBSTITUTION",
    "ANSI_QUOTES",  # "name" is a name, as in every mapping
)
"""Zero dates are not forbidden here: where both sides have them they are data like any other."""

PINNED: Mapping[str, Value] = {
    "sql_mode": ",".join(SQL_MODE),
    "time_zone": "+00:00",
    "lc_time_names": "en_US",  # what date_format calls a month
    "default_week_format": 0,
    "div_precision_increment": 4,  # how many digits a division has
    "sql_auto_is_null": 0,  # "id IS NULL" means that, and not the last id
    "sql_safe_updates": 0,  # a DELETE by a staged batch has no constant key
    "innodb_lock_wait_timeout": 50,  # a lock that is not had by then is a transient error
    "wait_timeout": 28800,  # pooled connections and chunk claims outlive the short idle limits of hosted servers
    "net_read_timeout": 600,  # the server waits for a client that waits for the other side
    "net_write_timeout": 600,
}
"""Settings that decide what a value's text means, or when a session ends. The same on both sides, so that one mapping
has one meaning."""

MINIMUM = {"MariaDB": (10, 6), "MySQL": (8, 0, 17)}
"""The first release of each that has SKIP LOCKED and a collation by code points that does not pad."""

OWNER = "changeover_session"
"""User variable of a target session: the name of the user lock that it holds as long as it lives."""


def server_of(url: str) -> str:
    """host:port/database of a URL, for messages."""
    parts = make_url(url)
    return f"{parts.host or 'local'}:{parts.port or 3306}/{parts.database or ''}"


def statement_limit(limit_s: float) -> dict[str, Value]:
    """The settings that let a statement, or its wait for a lock, take only so many seconds."""
    seconds = max(1, math.ceil(limit_s))
    return {"max_statement_time": limit_s, "innodb_lock_wait_timeout": seconds, "lock_wait_timeout": seconds}


def connect(
    url: str,
    side: str,
    *,
    timeout_s: int = 10,
    autocommit: bool = True,
    settings: Mapping[str, Value] | None = None,
    isolation: str = "READ COMMITTED",
    as_text: bool = False,
    local_infile: bool = False,
) -> Raw:
    """Open a connection with the pinned settings, and these besides. Raises TransientError while the server cannot be
    reached, and FatalError for wrong credentials or an unknown database, both naming side and server, no password.

    An UPDATE's row count is that of the rows found, changed or not. as_text: values are read as the server's own text,
    bytes where a column is binary. local_infile: allow LOAD DATA LOCAL; the
    server may ask for any file of this process then.
    """
    parts = parse(url, side)
    with translated(side, url):
        raw = Connection(
            **place(parts),
            user=parts.username or "",
            password=(parts.password or "").encode(),
            database=parts.database,
            charset="utf8mb4",
            conv=_texts() if as_text else None,
            client_flag=CLIENT.FOUND_ROWS,
            connect_timeout=timeout_s,
            autocommit=autocommit,
            local_infile=local_infile,
            program_name="changeover",
        )
        _keep_alive(raw)
        _pin(raw, _of_engine(raw, {**PINNED, **(settings or {})}), isolation)
    return raw


def engine(
    url: str,
    *,
    timeout_s: int = 10,
    settings: Mapping[str, Value] | None = None,
    local_infile: bool = False,
    pool_size: int = 2,
    max_overflow: int = 4,
) -> Engine:
    """A pool of target sessions for SQLAlchemy: READ COMMITTED, autocommit off, each holding the user lock by which a
    chunk's claim tells whether it is alive. Raises FatalError at the first connection to a server that is too old.
    """

    def create() -> Raw:
        raw = connect(
            url, "target", timeout_s=timeout_s, autocommit=False, settings=settings, local_infile=local_infile
        )
        with translated("target", url):
            _require(raw, url)
            _hold_owner_lock(raw)
        return raw

    made = create_engine(
        "mysql+pymysql://",
        creator=create,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_reset_on_return="rollback",
    )
    event.listen(made, "connect", lambda raw, _: _compare_by_code_points(raw))  # after SQLAlchemy's own SET NAMES
    return made


def _compare_by_code_points(raw: Raw) -> None:
    """Texts that are no column's, such as what a cast makes, are equal only where they are the same."""
    raw.query(f"SET SESSION collation_connection = {_exact_collation(raw)}")


def _exact_collation(raw: Raw) -> str:
    return "utf8mb4_nopad_bin" if is_mariadb(raw) else "utf8mb4_0900_bin"


def is_mariadb(raw: Raw) -> bool:
    """Whether the server is MariaDB, and not MySQL."""
    return "mariadb" in version_of(raw).lower()


def version_of(raw: Raw) -> str:
    """The server's version as it tells it at the handshake, without the prefix that old clients need."""
    return str(raw.get_server_info()).removeprefix("5.5.5-")  # type: ignore[no-untyped-call]


@contextmanager
def translated(side: str, url: str) -> Iterator[None]:
    """Turn the driver's errors into the error tree; `side` is "source" or "target"."""
    try:
        yield
    except ChangeoverError:
        raise
    except pymysql.Error as error:
        raise translate(error, f"{side} {server_of(url)}") from error
    except RuntimeError as error:
        if "cryptography" not in str(error):
            raise
        hint = "let the server offer TLS, or change the account's authentication plugin"
        raise FatalError(str(error), where=f"{side} {server_of(url)}", hint=hint) from error


@contextmanager
def target_errors(url: str, *, table: str = "") -> Iterator[None]:
    """The same for a target's transactions: uniqueness conflicts apart, and SQLAlchemy's wrapping taken off.

    table: what is being written, for a conflict to name it.
    """
    where = "target " + server_of(url)
    try:
        yield
    except ChangeoverError:
        raise
    except DBAPIError as error:
        if not isinstance(error.orig, pymysql.Error):
            raise TransientError(str(error).splitlines()[0], where=where) from error
        raise translate(error.orig, where, table=table) from error
    except pymysql.Error as error:
        raise translate(error, where, table=table) from error
    except UnicodeEncodeError as error:
        raise RecordError("a text is no UTF-8", where=where, reason="type") from error


def _texts() -> dict[Any, Any]:
    """The driver's converters without those that read results."""
    return {key: value for key, value in conversions.items() if not isinstance(key, int)}


def _keep_alive(raw: Raw) -> None:
    """Notice a dead network within half a minute: the driver itself waits for an answer without a limit."""
    found = raw._sock  # type: ignore[attr-defined]
    if found.family == socket.AF_UNIX:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _of_engine(raw: Raw, settings: Mapping[str, Value]) -> dict[str, Value]:
    """The settings with what the two servers call differently: texts compare by code points, and no statement has a
    time limit unless the settings say so. MySQL limits those that only read."""
    collation = _exact_collation(raw)
    if is_mariadb(raw):
        return {"collation_connection": collation, "max_statement_time": 0, **settings}
    limit = math.ceil(float(settings.get("max_statement_time", 0)) * 1000)
    others = {name: value for name, value in settings.items() if name != "max_statement_time"}
    return {"collation_connection": collation, "max_execution_time": limit, **others}


def _pin(raw: Raw, settings: Mapping[str, Value], isolation: str) -> None:
    assignments = ", ".join(f"SESSION {name} = %s" for name in settings)
    with raw.cursor() as cursor:
        cursor.execute(f"SET {assignments}", tuple(settings.values()))
        cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")


def _require(raw: Raw, url: str) -> None:
    name = "MariaDB" if is_mariadb(raw) else "MySQL"
    text = version_of(raw)
    version = tuple(int(part) for part in text.split("-")[0].split(".") if part.isdigit())
    if version < MINIMUM[name]:
        needed = ".".join(map(str, MINIMUM[name]))
        hint = f"a target needs {name} {needed} or later"
        raise FatalError(f"{name} {text.split('-')[0]} is too old", where=f"target {server_of(url)}", hint=hint)


def _hold_owner_lock(raw: Raw) -> None:
    """The server takes the lock away when the session ends, however it ends, and nobody else ever takes that name."""
    with raw.cursor() as cursor:
        cursor.execute(f"SET @{OWNER} = %s", (f"changeover-{uuid.uuid4().hex}",))
        cursor.execute(f"DO GET_LOCK(@{OWNER}, 0)")
