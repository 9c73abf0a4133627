"""What must be known about a MariaDB or MySQL server before a stream is asked of it, as frozen facts.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from connectors.mariadb.binlog import allows_zero_dates
from connectors.mariadb.grants import account
from connectors.mariadb.session import Raw, is_mariadb, version_of

STREAM_RIGHTS = ("REPLICATION SLAVE", "BINLOG MONITOR")
"""What the connector's account needs, and ours, to read the binlog and to know where it is."""
_COMPRESSED = (
    "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.COLUMNS"
    " WHERE COLUMN_TYPE LIKE '%M!100301 COMPRESSED%' GROUP BY 1"
)
_ALIASES = {"REPLICATION CLIENT": "BINLOG MONITOR"}
_VARIABLES = (
    "log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_metadata",
    "gtid_strict_mode",
    "gtid_mode",
    "server_id",
    "read_only",
    "expire_logs_days",
    "binlog_expire_logs_seconds",
    "max_binlog_size",
    "sync_binlog",
    "innodb_flush_log_at_trx_commit",
    "binlog_row_value_options",
)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as it is. settings: global variables; one that the server does not have is absent.

    kept_s: how long the binlog is kept, in seconds; 0 for ever. rights: global privileges of the account, as far as
    SHOW GRANTS tells them. compressed: tables with compressed columns, at which Debezium stops wherever they are.
    """

    mariadb: bool
    version: tuple[int, ...]
    settings: dict[str, str]
    account: str
    rights: frozenset[str]
    kept_s: float
    zero_dates: bool
    compressed: tuple[str, ...]
    prepared: int = 0
    """XA transactions that were prepared since the server started."""

    def shown(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "rights": sorted(self.rights)}


def server_facts(raw: Raw) -> ServerFacts:
    """What the server is and what the current account may do there."""
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    settings = {str(k): str(v) for k, v in _run(raw, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")}
    return ServerFacts(
        mariadb=is_mariadb(raw),
        version=tuple(int(part) for part in version_of(raw).split("-")[0].split(".") if part.isdigit()),
        settings=settings,
        account=account(raw),
        rights=rights_in([str(row[0]) for row in _run(raw, "SHOW GRANTS")]),
        kept_s=kept_s(settings),
        zero_dates=allows_zero_dates(raw),
        compressed=tuple(str(row[0]) for row in _run(raw, _COMPRESSED)),
        prepared=sum(int(row[1]) for row in _run(raw, "SHOW GLOBAL STATUS LIKE 'Com_xa_prepare'")),
    )


def kept_s(settings: dict[str, str]) -> float:
    """For how many seconds the binlog is kept; 0 for ever. Pure."""
    seconds = float(settings.get("binlog_expire_logs_seconds") or 0)
    return seconds or float(settings.get("expire_logs_days") or 0) * 86_400


def rights_in(grants: Sequence[str]) -> frozenset[str]:
    """The privileges on everything in what SHOW GRANTS says, of the account and its roles. Pure."""
    found: set[str] = set()
    for grant in grants:
        if match := re.match(r"GRANT (.+?) ON \*\.\* TO ", grant):
            found |= {part.strip().upper() for part in match[1].split(",")}
    return frozenset(found | {_ALIASES[right] for right in found if right in _ALIASES})


def _run(raw: Raw, statement: str) -> list[Any]:
    with raw.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
