"""What `doctor` asks of a MariaDB or MySQL source, as frozen facts. Nothing is judged here, nothing is written.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.mariadb import binlog
from connectors.mariadb.binlog import BinlogFile
from connectors.mariadb.cascades import Cascade, read_cascades
from connectors.mariadb.catalogue import load_tables
from connectors.mariadb.general_types import as_source
from connectors.mariadb.grants import may_write, missing_grants
from connectors.mariadb.heartbeat_table import DATABASE, Row, read
from connectors.mariadb.server import ServerFacts, server_facts
from connectors.mariadb.session import Raw
from connectors.seams import MissingGrant
from mappers.mapping import Table


@dataclass(frozen=True, slots=True)
class OldTransaction:
    """A transaction that has been open for long."""

    thread: int
    account: str
    age_s: float


@dataclass(frozen=True, slots=True)
class MariadbSourceState:
    """The source. clock_ahead_s: how far its clock is ahead of this machine's. files: of the binlog; None where the
    account may not see them, as are `end` and `old`. writes: whether the account may write our own table.
    """

    where: str
    server: ServerFacts
    clock_ahead_s: float
    tables: Mapping[str, Table]
    grants: tuple[MissingGrant, ...]
    cascades: tuple[Cascade, ...]
    row: Row | None
    writes: bool
    identity: str
    files: tuple[BinlogFile, ...] | None
    end: int | None
    old: tuple[OldTransaction, ...] | None
    old_s: float


def source_state(
    raw: Raw, where: str, names: Sequence[tuple[str, str]], pipeline: str, old_s: float
) -> MariadbSourceState:
    """Everything about the source, on a session in autocommit that reads values as they are."""
    facts = server_facts(raw)
    everything = "ALL PRIVILEGES" in facts.rights
    sees_log = everything or "BINLOG MONITOR" in facts.rights
    tables = {name: as_source(table) for name, table in load_tables(raw, names).items()}
    there = [name for name in names if f"{name[0]}.{name[1]}" in tables]
    return MariadbSourceState(
        where=where,
        server=facts,
        clock_ahead_s=_clock_ahead_s(raw),
        tables=tables,
        grants=tuple(missing_grants(raw, there, ("SELECT",))),
        cascades=tuple(read_cascades(raw, there)),
        row=read(raw, pipeline),
        writes=everything or may_write(raw, DATABASE),
        identity=f"{binlog.server_of_log(raw)}/{_database(raw)}",
        files=tuple(binlog.files(raw)) if sees_log else None,
        end=binlog.end(raw) if sees_log else None,
        old=_old(raw, old_s) if everything or "PROCESS" in facts.rights else None,
        old_s=old_s,
    )


def _database(raw: Raw) -> str:
    with raw.cursor() as cursor:
        cursor.execute("SELECT DATABASE()")
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def _clock_ahead_s(raw: Raw) -> float:
    before = time.time()
    with raw.cursor() as cursor:
        cursor.execute("SELECT UNIX_TIMESTAMP(SYSDATE(6))")
        row = cursor.fetchone()
    return float(row[0]) - (before + time.time()) / 2 if row else 0.0


def _old(raw: Raw, old_s: float) -> tuple[OldTransaction, ...]:
    query = (
        "SELECT t.trx_mysql_thread_id, concat(p.USER, '@', p.HOST), timestampdiff(SECOND, t.trx_started, SYSDATE())"
        " FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id"
        " WHERE t.trx_started < SYSDATE() - INTERVAL %s SECOND"
    )
    with raw.cursor() as cursor:
        cursor.execute(query, (old_s,))
        return tuple(OldTransaction(int(row[0]), str(row[1]), float(row[2])) for row in cursor.fetchall())
