"""Where control state may live: a PostgreSQL database, a MariaDB server, a SQLite file. Made for a module's tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from connectors.mariadb import session as mariadb
from connectors.postgresql import session as postgresql
from connectors.postgresql.target import PostgresTarget
from connectors.sqlite import session as sqlite
from tests.support.databases import open_url, with_database
from tests.support.stack import Stack

POSTGRESQL, MARIADB, SQLITE = KINDS = ("postgresql", "mariadb", "sqlite")
WHERE_ROWS_LOCK = pytest.mark.parametrize("site", [POSTGRESQL, MARIADB], indirect=True, scope="module")
"""A SQLite file has one writer at a time: there is no second one to be let through."""
_IMPATIENT: Mapping[str, dict[str, Any]] = {
    POSTGRESQL: {"settings": {"lock_timeout": "50"}},
    MARIADB: {"settings": {"innodb_lock_wait_timeout": 0}},
    SQLITE: {"timeout_s": 0},
}
"""Sessions that do not wait for a lock that somebody else has."""
_PATIENT: Mapping[str, dict[str, Any]] = {
    POSTGRESQL: {"settings": {"lock_timeout": "5000"}},
    MARIADB: {"settings": {"innodb_lock_wait_timeout": 5}},
    SQLITE: {"timeout_s": 5},
}
"""Sessions for what must not wait: InnoDB reads past a locked row only where it might wait for it."""
_ELSEWHERE: Mapping[str, dict[str, Any]] = {
    POSTGRESQL: {"settings": {"timezone": "Asia/Tokyo"}},
    MARIADB: {"settings": {"time_zone": "+09:00"}},
    SQLITE: {},
}
_ERRORS: Mapping[str, Callable[[str], AbstractContextManager[None]]] = {
    POSTGRESQL: postgresql.target_errors,
    MARIADB: mariadb.target_errors,
    SQLITE: sqlite.target_errors,
}


def engine_for(kind: str, url: str, **options: Any) -> Engine:
    """Sessions as the target has them."""
    if kind == POSTGRESQL:
        return PostgresTarget(url, **options).engine
    if kind == MARIADB:
        return mariadb.engine(url, **options)
    return sqlite.engine(url, create=True, **options)


@dataclass
class Site:
    """One place for control state, with engines that are kept open."""

    kind: str
    url: str
    _engines: dict[str, Engine] = field(default_factory=dict)

    @contextmanager
    def begin(self, how: str = "") -> Iterator[Connection]:
        """One transaction on a session. how: "impatient", "patient", or "elsewhere" for one in another time zone."""
        settings = {"impatient": _IMPATIENT, "patient": _PATIENT, "elsewhere": _ELSEWHERE}
        options = settings[how][self.kind] if how else {}
        if how not in self._engines:
            self._engines[how] = engine_for(self.kind, self.url, **options)
        with _ERRORS[self.kind](self.url), self._engines[how].connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A session of its own, gone with the block."""
        engine = engine_for(self.kind, self.url)
        try:
            with _ERRORS[self.kind](self.url), engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def clear(self) -> None:
        """As if nothing had ever been started here."""
        if self.kind == SQLITE:
            self.close()
            Path(self.url.removeprefix("sqlite:///")).unlink(missing_ok=True)
            return
        with self.begin() as connection:
            cascade = " CASCADE" if self.kind == POSTGRESQL else ""
            connection.execute(text(f"DROP SCHEMA IF EXISTS changeover{cascade}"))

    def close(self) -> None:
        """Close every session."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()


@contextmanager
def site_of(kind: str, stack: Callable[[], Stack], directory: Path) -> Iterator[Site]:
    """A place of this kind, removed at the end of the block."""
    if kind == SQLITE:
        made = Site(kind, f"sqlite:///{directory / 'target.db'}")
    elif kind == MARIADB:
        made = Site(kind, stack().mariadb_url)
    else:
        made = Site(kind, _new_database(stack().target_url))
    try:
        made.clear()
        yield made
        made.clear()
    finally:
        made.close()
        if kind == POSTGRESQL:
            _execute(stack().target_url, "DROP DATABASE {} WITH (FORCE)", made.url.rsplit("/", 1)[1])


def _new_database(url: str) -> str:
    name = f"control_{os.getpid()}"
    _execute(url, "CREATE DATABASE {}", name)
    return with_database(url, name)


def _execute(url: str, statement: str, name: str) -> None:
    with open_url(url) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))  # type: ignore[arg-type]
