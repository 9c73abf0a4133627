"""Connections to PostgreSQL: pinned settings, and the server's errors put into the one error tree."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import Identifier
from sqlalchemy.exc import DBAPIError

from mappers.errors import ChangeoverError, ConflictError, FatalError, RecordError, TransientError

PINNED = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "row_security": "off",
}
"""Settings that decide what a value's text means. The same on both sides, so that one mapping has one meaning."""

TRANSIENT = (
    pg.OperationalError,
    pg.InterfaceError,
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.LockNotAvailable,
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.TooManyConnections,
    pg.QueryCanceled,
)
CREDENTIALS = (pg.InvalidPassword, pg.InvalidAuthorizationSpecification, pg.InvalidCatalogName)
RECORD = (pg.DataError, pg.IntegrityError)
_CONNECTING = re.compile(r"^(connection failed: )connection to server .*? failed: (FATAL: +)?")
"""Which server it is stands before the message already."""
_QUOTED = re.compile(r'".*"', re.DOTALL)
"""What a message about bad data quotes is the data."""


def statement_limit(limit_s: float) -> dict[str, str]:
    """The setting that lets a statement, or its wait for a lock, take only so many seconds."""
    return {"statement_timeout": str(math.ceil(limit_s * 1000))}


def connect(
    url: str, side: str, *, timeout_s: int = 10, autocommit: bool = True, settings: Mapping[str, str] | None = None
) -> psycopg.Connection:
    """Open a connection with the pinned settings, and these besides. Raises TransientError while the server cannot be
    reached, and FatalError for wrong credentials or an unknown database, both naming side and server, no password.
    """
    wanted = {**PINNED, **(settings or {})}
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in wanted.items())
    with translated(side, url):
        return psycopg.connect(
            url,
            options=options,
            autocommit=autocommit,
            connect_timeout=timeout_s,
            application_name="changeover",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )


def role_of(url: str) -> str:
    """The role that a URL logs in as; empty where it names none."""
    return str(conninfo_to_dict(url).get("user") or "")


def server_of(url: str) -> str:
    """host:port/database of a URL, for messages."""
    parts = conninfo_to_dict(url)
    return f"{parts.get('host', 'local')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


@contextmanager
def translated(side: str, url: str) -> Iterator[None]:
    """Turn the driver's errors into the error tree; `side` is "source" or "target"."""
    try:
        yield
    except ChangeoverError:
        raise
    except psycopg.Error as error:
        raise translate(error, f"{side} {server_of(url)}", role_of(url)) from error


@contextmanager
def target_errors(url: str) -> Iterator[None]:
    """The same for a target's transactions: uniqueness conflicts apart, and SQLAlchemy's wrapping taken off."""
    try:
        yield
    except ChangeoverError:
        raise
    except DBAPIError as error:
        raise _classify(error.orig, url, error) from error
    except psycopg.Error as error:
        raise _classify(error, url, error) from error


def translate(error: psycopg.Error, where: str, role: str = "") -> ChangeoverError:
    """The error tree's word for a driver's error. Never shows a row's values: PostgreSQL puts those into DETAIL.

    where: begins with the side. role: who is connected, for the statement that grants a missing right.
    """
    what = _CONNECTING.sub(r"\1", (error.diag.message_primary or str(error).strip().splitlines()[0]).strip())
    if isinstance(error, CREDENTIALS) or _refused_login(what):
        return FatalError(what, where=where, hint="check user, password, database name and pg_hba.conf")
    if isinstance(error, pg.InsufficientPrivilege):
        return FatalError(what, where=where, hint=_grant(what, role))
    if isinstance(error, pg.UndefinedTable | pg.UndefinedColumn | pg.InvalidSchemaName):
        return FatalError(what, where=where, hint="the schema changed; compare it with the mapping and start again")
    if isinstance(error, RECORD):
        if isinstance(error, pg.DataError):
            what = _QUOTED.sub('"***"', what)
        constraint = error.diag.constraint_name or error.diag.column_name
        table = error.diag.table_name
        place = f"{where}, table {table}" if table else where
        what += f" ({constraint})" if constraint and constraint not in what else ""
        return RecordError(what, where=place, reason="type" if isinstance(error, pg.DataError) else "constraint")
    if isinstance(error, TRANSIENT):
        side = where.partition(" ")[0]
        return TransientError(what, where=where, hint="" if error.sqlstate else f"start it, or correct {side}.url")
    return FatalError(what, where=where)


def _grant(what: str, role: str) -> str:
    """What lets the role do what it was refused. The rights on mapped tables are checked one by one at every start."""
    role = Identifier(role).as_string() if role else "this role"
    if database := re.search(r"for database (\S+)", what):
        return f"GRANT CREATE ON DATABASE {database[1]} TO {role}"
    if schema := re.search(r"for schema (\S+)", what):
        return f"GRANT USAGE, CREATE ON SCHEMA {schema[1]} TO {role}"
    if owned := re.search(r"must be owner of table (\S+)", what):
        return f"ALTER TABLE {owned[1]} OWNER TO {role}, or run this as its owner or as a superuser"
    return f"GRANT it to {role}; a new start names what is missing on the mapped tables, as statements"


_LOGIN = re.compile(
    r"password authentication failed|no password supplied|no pg_hba.conf entry|(role|database) \".*\" does not exist"
)


def _refused_login(what: str) -> bool:
    return _LOGIN.search(what) is not None


def _classify(error: BaseException | None, url: str, outer: Exception) -> ChangeoverError:
    where = "target " + server_of(url)
    if isinstance(error, pg.UniqueViolation | pg.ExclusionViolation):
        table = f"{error.diag.schema_name}.{error.diag.table_name}"
        return ConflictError(str(error.diag.message_primary), table=table, where=f"{where}, table {table}")
    if isinstance(error, pg.CardinalityViolation):
        return FatalError(
            "two source rows of one batch became one target row", where=where, hint="make the key expressions injective"
        )
    if isinstance(error, psycopg.Error):
        return translate(error, where, role_of(url))
    return TransientError(str(outer).splitlines()[0], where=where)
