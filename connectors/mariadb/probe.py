"""What a session finds out about its server when it is opened: its engine, its limits, and whether it takes rows."""

from __future__ import annotations

import pymysql

from connectors.mariadb.infile import Connection
from connectors.mariadb.session import is_mariadb, version_of
from mappers.errors import FatalError

_PROBE = "changeover_probe"


def prepare(raw: Connection, kind: str, where: str) -> None:
    """Note what the server takes. Raises FatalError where it is the other engine than the configuration says."""
    found = "mariadb" if is_mariadb(raw) else "mysql"
    if found != kind:
        raise FatalError(f"the server is {found}", where=where, hint=f"write target.kind: {found}")
    with raw.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet, @@local_infile")
        row = cursor.fetchone()
    assert row is not None
    raw.packet_max = int(row[0])
    raw.can_load = bool(row[1]) and _loads(raw)
    raw.rollback()


def _loads(raw: Connection) -> bool:
    """Whether a row that is sent arrives: a proxy may refuse what its server allows."""
    raw.query(f"CREATE TEMPORARY TABLE {_PROBE} (n int)")
    try:
        return raw.load(f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {_PROBE}", [b"1\n"]) == 1
    except pymysql.err.OperationalError:
        if not raw.open:
            raise
        return False
    except pymysql.Error:
        return False
    finally:
        if raw.open:
            raw.query(f"DROP TEMPORARY TABLE {_PROBE}")


def uuid_type(raw: Connection) -> str:
    """How the server keeps a uuid: MariaDB 10.7 and later have a type for it."""
    version = tuple(int(part) for part in version_of(raw).split("-")[0].split(".")[:2])
    return "uuid" if is_mariadb(raw) and version >= (10, 7) else "char(36)"
