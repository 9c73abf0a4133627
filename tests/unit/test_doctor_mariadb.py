"""What `doctor` says of a MariaDB source, from facts made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.control.facts import ControlState
from connectors.control.pipeline import PipelineRow
from connectors.control.schema import VERSION
from connectors.kafka.connect_facts import ConnectFacts
from connectors.mariadb.binlog import BinlogFile
from connectors.mariadb.cascades import Cascade
from connectors.mariadb.general_types import as_source
from connectors.mariadb.heartbeat_table import Row
from connectors.mariadb.server import ServerFacts
from connectors.mariadb.source_doctor import MariadbSourceState, OldTransaction
from connectors.seams import MissingGrant
from daemon.config.model import Config
from daemon.doctor.case import Case
from daemon.doctor.examine import judge
from daemon.doctor.findings import Finding, Level
from mappers.tables import Column, Table

CONFIG = Config.model_validate(
    {
        "pipeline": "shop",
        "source": {"kind": "mariadb", "url": SecretStr("mariadb://a@db/shop"), "topic_prefix": "shop"},
        "target": {"kind": "postgresql", "url": "postgresql://a@db/app"},
        "kafka": {"bootstrap_servers": "k:9092"},
        "connect": {"url": "http://connect:8083"},
        "tables": [{"from": "orders"}],
    }
)
SERVER = ServerFacts(
    mariadb=True,
    version=(10, 11, 6),
    settings={
        "log_bin": "ON",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "sync_binlog": "1",
        "innodb_flush_log_at_trx_commit": "1",
    },
    account="'a'@'%'",
    rights=frozenset({"REPLICATION SLAVE", "BINLOG MONITOR", "PROCESS"}),
    kept_s=604_800.0,
    zero_dates=False,
    compressed=(),
)
ORDERS = as_source(
    Table("shop", "orders", (Column("id", "int(11)", False), Column("day", "date")), ("id",), storage="InnoDB")
)
CASCADE = Cascade("shop.orders", "fk", "shop.users", "ON DELETE CASCADE", "ALTER TABLE x; then")
MYISAM = replace(ORDERS, storage="MyISAM")
HEALTHY = MariadbSourceState(
    where="db:3306/shop",
    server=SERVER,
    clock_ahead_s=0.01,
    tables={"shop.orders": ORDERS},
    grants=(),
    cascades=(),
    row=Row("stream-1", 3 << 32 | 100, None),
    writes=True,
    identity="7/shop",
    files=(BinlogFile(2, 1000), BinlogFile(3, 500)),
    end=3 << 32 | 500,
    old=(),
    old_s=300.0,
)
OFFSET = {"file": "binlog.000003", "pos": 100}


def case(**changes: Any) -> Case:
    state = replace(HEALTHY, **{k: v for k, v in changes.items() if k not in ("offsets", "row_at_target", "server")})
    if "server" in changes:
        state = replace(state, server=replace(SERVER, **changes["server"]))
    row = changes.get("row_at_target", PipelineRow("7/shop", "stream-1", 5, sealed=False, phase=""))
    connect = ConnectFacts("c", "4.3", "3.5.0.Final", True, None, None, (), changes.get("offsets", OFFSET))
    control = ControlState(version=VERSION, row=row)
    return Case(CONFIG, found_mariadb_source=state, found_connect=connect, found_control=control)


def findings(found: Case) -> list[Finding]:
    return judge(found, ["source"])


def test_a_healthy_source() -> None:
    said = findings(case())
    assert {finding.level for finding in said} == {Level.OK}
    assert {finding.name for finding in said} >= {"server", "binlog", "heartbeat table", "same database"}


@pytest.mark.parametrize(
    ("changes", "name", "level", "seen", "mend"),
    [
        ({"server": {"version": (10, 2)}}, "server", Level.FAIL, "too old", "10.6"),
        ({"server": {"rights": frozenset()}}, "server", Level.FAIL, "may not REPLICATION SLAVE", "GRANT"),
        ({"server": {"settings": {"sync_binlog": "0"}}}, "durability", Level.WARN, "sync_binlog is 0", "SET GLOBAL"),
        ({"server": {"zero_dates": True}}, "zero dates", Level.WARN, "NULL in shop.orders.day", "NO_ZERO_DATE"),
        ({"server": {"kept_s": 60.0}}, "binlog retention", Level.WARN, "60 s", "binlog_expire_logs_seconds"),
        ({"files": (BinlogFile(4, 9),)}, "binlog", Level.FAIL, "binlog file 3, which was purged", "run --anew"),
        ({"end": 1 << 32}, "binlog", Level.FAIL, "began anew", "run --anew"),
        ({"row": None}, "heartbeat table", Level.FAIL, "no row of this pipeline", "changeover connector apply"),
        ({"row": None, "writes": False}, "heartbeat table", Level.FAIL, "may not make it", "GRANT ALL"),
        ({"old": None}, "long transactions", Level.WARN, "no other account's sessions", "GRANT PROCESS"),
        ({"old": (OldTransaction(5, "x@y", 900.0),)}, "long transactions", Level.WARN, "15 min", "KILL 5"),
        ({"clock_ahead_s": 9.0}, "clock", Level.WARN, "9 s ahead", "NTP"),
        ({"tables": {}}, "tables", Level.FAIL, "no such table", "from:"),
        (
            {"tables": {"shop.orders": replace(ORDERS, storage="MyISAM")}},
            "whole tables",
            Level.FAIL,
            "MyISAM",
            "InnoDB",
        ),
        (
            {"grants": (MissingGrant("shop.orders", ("SELECT",), False, "GRANT SELECT"),)},
            "grants",
            Level.FAIL,
            "may not read it",
            "GRANT SELECT",
        ),
        ({"server": {"prepared": 3}}, "XA transactions", Level.WARN, "3 XA transactions", "away"),
        ({"cascades": (CASCADE,)}, "cascades", Level.FAIL, "fk to shop.users has ON DELETE CASCADE", "ALTER TABLE x"),
        ({"identity": "8/shop"}, "same database", Level.FAIL, "another database", "run --anew"),
        ({"row": Row("stream-2", 0, None)}, "same database", Level.FAIL, "connector was deleted", "run --anew"),
    ],
)
def test_what_is_wrong_is_told_with_its_mend(
    changes: dict[str, Any], name: str, level: Level, seen: str, mend: str
) -> None:
    (said,) = (finding for finding in findings(case(**changes)) if finding.name == name)
    assert said.level is level
    assert seen in said.seen
    assert mend in said.mend


def test_what_cannot_be_looked_at_is_skipped() -> None:
    by_name = {finding.name: finding for finding in findings(case(offsets=None, files=None, end=None))}
    assert by_name["binlog"].level is Level.SKIPPED
    unasked = replace(case(), missing={"source": "it cannot be reached"}, errors={"source": ("away", "")})
    assert {finding.level for finding in findings(unasked)} == {Level.FAIL, Level.SKIPPED}
