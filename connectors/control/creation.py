"""How the control schema comes to be, and to its present version, however many processes start together.

PostgreSQL and SQLite do it within the caller's transaction. On MariaDB every DDL statement commits; there the row that
says the version comes last, and a schema without one is not complete: whoever comes next goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable

from connectors.control.dialects import MARIADB, POSTGRESQL, SQLITE, engine_of
from connectors.control.schema import DEFAULT_SCHEMA, UPGRADES, VERSION, metadata, schema_version, tables_of
from mappers.errors import FatalError, TransientError

UPGRADE_LOCK = 0x6368616E67656F76
"""Advisory lock taken while the schema is created or upgraded, so that replicas starting together do it once."""

_LOCK_WAIT_S = 60
_TABLES_SQL = "SELECT table_name FROM information_schema.tables WHERE table_schema = :schema"
_TABLE_SQL = {
    POSTGRESQL: "SELECT to_regclass(:schema || '.' || :name)",
    MARIADB: f"{_TABLES_SQL} AND table_name = :name",
    SQLITE: "SELECT name FROM sqlite_master WHERE type = 'table' AND name = :schema || '_' || :name",
}
_SCHEMA_SQL = {
    POSTGRESQL: "SELECT to_regnamespace(:schema)",
    MARIADB: "SELECT schema_name FROM information_schema.schemata WHERE schema_name = :schema",
}
_NAMES = {"schema": DEFAULT_SCHEMA, "name": schema_version.name}


def exists(connection: Connection) -> bool:
    """Whether the control schema is there, of whatever version."""
    return version_of(connection) is not None


def version_of(connection: Connection) -> int | None:
    """The version of the control schema; None where there is none, or its creation was not finished."""
    found = connection.execute(text(_TABLE_SQL[engine_of(connection)]), _NAMES).scalar()
    if found is None:
        return None
    version: int | None = connection.execute(select(func.max(schema_version.c.version))).scalar()
    return version


def ensure(connection: Connection) -> None:
    """Create the control schema, or upgrade it. Raises FatalError when it is newer than this program, and
    TransientError when another process has been creating it for too long."""
    if engine_of(connection) == MARIADB and _complete(connection):
        return
    with _alone(connection):
        found = version_of(connection)
        if found is not None and found > VERSION:
            raise FatalError(
                f"the control schema has version {found}, this program knows up to {VERSION}",
                where=f"target schema {DEFAULT_SCHEMA}",
                hint="run the newer changeover that wrote it",
            )
        _create(connection)
        for version in range(found + 1 if found is not None else VERSION, VERSION + 1):
            if found is not None:
                _upgrade(connection, version)
            connection.execute(insert(schema_version).values(version=version))


def _complete(connection: Connection) -> bool:
    """Whether there is nothing to create or to upgrade on MariaDB, so that nothing is committed."""
    if version_of(connection) != VERSION:
        return False
    names = set(connection.execute(text(_TABLES_SQL), {"schema": DEFAULT_SCHEMA}).scalars())
    return all(table.name in names for table in tables_of(MARIADB))


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """One process at a time: to the end of the transaction, which on SQLite is the one writer anyhow; on MariaDB to the
    end of the block, and what it did is committed by then."""
    if engine_of(connection) == POSTGRESQL:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": UPGRADE_LOCK})
    if engine_of(connection) != MARIADB:
        yield
        return
    name = {"name": f"{DEFAULT_SCHEMA}:{UPGRADE_LOCK:x}"}
    if connection.execute(text(f"SELECT GET_LOCK(:name, {_LOCK_WAIT_S})"), name).scalar() != 1:
        raise TransientError("another process is creating the control schema", where=f"target schema {DEFAULT_SCHEMA}")
    try:
        yield
        connection.execute(text("COMMIT"))
    finally:
        connection.execute(text("DO RELEASE_LOCK(:name)"), name)


def _create(connection: Connection) -> None:
    """Make what is not there yet."""
    engine = engine_of(connection)
    if (
        engine in _SCHEMA_SQL
        and connection.execute(text(_SCHEMA_SQL[engine]), {"schema": DEFAULT_SCHEMA}).scalar() is None
    ):
        connection.execute(CreateSchema(DEFAULT_SCHEMA, if_not_exists=True))
    if engine == SQLITE:
        _create_prefixed(connection)
        return
    metadata.create_all(connection, tables=tables_of(engine))
    if engine == MARIADB:
        for table in tables_of(engine):
            for index in table.indexes:
                index.create(connection, checkfirst=True)


def _create_prefixed(connection: Connection) -> None:
    """SQLAlchemy looks for tables by schema and name, and there is no such schema in a file."""
    for table in tables_of(SQLITE):
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _upgrade(connection: Connection, version: int) -> None:
    for statement in UPGRADES.get(engine_of(connection), {}).get(version, ()):
        connection.execute(text(statement))
