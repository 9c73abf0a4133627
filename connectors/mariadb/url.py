"""What a URL of MariaDB or MySQL may say, and what it means to the driver."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mappers.errors import FatalError

_SWITCHES = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
_PATHS = ("ssl_ca", "ssl_cert", "ssl_key", "unix_socket")


def parse(url: str, side: str) -> URL:
    """The parts of `mariadb://user:password@host:3306/database?ssl_ca=FILE` (also `mysql://`). Raises FatalError."""
    try:
        parts = make_url(url)
    except ArgumentError:
        parts = None
    hint = "write mariadb://user:password@host:3306/database"
    if parts is None or parts.drivername not in ("mariadb", "mysql"):
        raise FatalError("not a URL of MariaDB or MySQL", where=f"{side}.url", hint=hint)
    if unknown := sorted(set(parts.query) - {*_SWITCHES, *_PATHS}):
        known = ", ".join((*_PATHS, *_SWITCHES))
        raise FatalError(f"unknown parameter {unknown[0]}", where=f"{side}.url", hint=f"one of {known}")
    if not parts.database:
        raise FatalError("the URL names no database", where=f"{side}.url", hint=hint)
    return parts


def place(parts: URL) -> dict[str, Any]:
    """Where the server is, and how TLS is to be: used where the server offers it, unless the URL says more."""
    query = {name: value for name, value in parts.query.items() if isinstance(value, str)}
    switches = {name: query[name].lower() in ("true", "1", "yes") for name in _SWITCHES if name in query}
    paths = {name: query[name] for name in _PATHS if name in query}
    return {"host": parts.host or "localhost", "port": parts.port or 3306, **switches, **paths}
