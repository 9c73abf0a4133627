"""`doctor`'s judgement: facts as they are recorded from a healthy pipeline, changed one by one."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from connectors.chunks import ChunkRow, ChunkState, Ledger, Position
from connectors.control.facts import ControlState
from connectors.control.pipeline import PipelineRow
from connectors.control.schema import VERSION as CONTROL_VERSION
from connectors.kafka.avro_converters import CONFLUENT, NAMES, converter_settings, nulls_travel
from connectors.kafka.avro_converters import RULES as RULES_OF
from connectors.kafka.cluster import KafkaState, TopicState
from connectors.kafka.connect import ConnectorState, Task
from connectors.kafka.connect_facts import ConnectFacts
from connectors.kafka.connector_check import RULES, Wanted, setting_faults
from connectors.kafka.connector_config import ConnectorSettings, connector_config
from connectors.kafka.topics import MESSAGE_BYTES_MAX
from connectors.postgresql.catalogue import MissingGrant, ServerFacts
from connectors.postgresql.doctor import (
    CheckConstraint,
    Index,
    InexactText,
    OldTransaction,
    PreparedTransaction,
    Rights,
    ServerState,
    Side,
    SourceState,
    TableState,
    TargetState,
    Trigger,
)
from connectors.postgresql.publication import Publication
from connectors.postgresql.slots import Slot
from connectors.shape import NO_SHAPE
from daemon.commands.doctor import AREAS as OFFERED
from daemon.config.model import Config
from daemon.doctor import report
from daemon.doctor.case import Case, MappingFault, MappingState
from daemon.doctor.examine import AREAS, judge
from daemon.doctor.findings import Check, Finding, How, Level, judged, worst
from daemon.doctor.words import duration, listed, size
from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.mapping import Column, Table, UniqueConstraint
from mappers.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]
WEEK_MS = 7 * 24 * 3_600_000
CONFIG: dict[str, Any] = {
    "pipeline": "shop",
    "source": {"kind": "postgresql", "url": "postgresql://app:pl4nted@old/shop", "topic_prefix": "shop"},
    "target": {"kind": "postgresql", "url": "postgresql://app:pl4nted@new/shop"},
    "kafka": {"bootstrap_servers": "k:9092", "partitions": 2},
    "connect": {"url": "http://c:8083"},
    "tables": [
        {
            "from": "public.users",
            "to": "app.users",
            "key": {"id": "id"},
            "columns": {"email": "email", "total": "total"},
        }
    ],
}
MANAGED = Config.model_validate(CONFIG)
FOREIGN = Config.model_validate(
    {**CONFIG, "connect": {"url": "http://c:8083", "connector": "theirs", "managed": False}}
)
COLUMNS = (
    Column("id", "bigint", nullable=False),
    Column("email", "text", nullable=False),
    Column("total", "numeric(10,2)"),
)
USERS = Table("public", "users", COLUMNS, ("id",), uniques=(UniqueConstraint("mail", ("email",)),), rows_estimate=1000,
              bytes_estimate=1 << 20)  # fmt: skip
ACCOUNTS = replace(USERS, schema="app")
ENTRIES = resolve(
    MANAGED.tables, {"public.users": USERS}, {"app.users": ACCOUNTS}, FunctionCatalog(frozenset(("lower",)))
)
SERVER = ServerFacts(180_006, "logical", 10, 2, False, "UTF8", True, "app", "shop", "77")
STATE = ServerState(0.01, 10, 1, 10 << 30, 0, True, 64 << 20, 100, 20, -1, 5, -1, 3, False)
SLOT = Slot(True, 42, 1000, 900, 1 << 20, "reserved", "pgoutput", "shop")


def index(table: str, name: str, *columns: str, **changed: Any) -> Index:
    made = Index(table, name, False, True, False, True, False, columns, False,
                 f"CREATE UNIQUE INDEX {name} ON {table} USING btree ({', '.join(columns)})",
                 f"DROP INDEX {name}")  # fmt: skip
    return replace(made, **changed)


def side(schema: str) -> Side:
    name = f"{schema}.users"
    return Side(
        where="db:5432/shop",
        server=SERVER,
        state=STATE,
        locale="C",
        tables={name: USERS if schema == "public" else ACCOUNTS},
        table_states={name: TableState(name, name, False, False, False, ())},
        indexes=(index(name, "users_pkey", "id", is_primary=True), index(name, "mail", "email")),
        checks=(),
        texts=(),
        grants=(),
        transactions=(),
        prepared=(),
        old_s=300,
    )


def topic(name: str, partitions: int = 2) -> TopicState:
    settings = {"cleanup.policy": "delete", "retention.ms": str(WEEK_MS), "retention.bytes": "-1",
                "max.message.bytes": str(MESSAGE_BYTES_MAX), "min.insync.replicas": "1"}  # fmt: skip
    return TopicState(name, f"id-{name}", partitions, 1, 1, (), settings)


TOPICS = {"shop.public.users": 2, "shop.message": 1, "__debezium-heartbeat.shop": 1}
PARTITIONS = [(name, number) for name, count in TOPICS.items() for number in range(count)]
SETTINGS = connector_config(
    ConnectorSettings("shop", "postgresql://app:pl4nted@old/shop", "changeover_shop", "changeover_shop", "shop",
                      {("public", "users"): ()}, exactly_once=True)
)  # fmt: skip
HEALTHY = Case(
    config=MANAGED,
    found_source=SourceState(
        side("public"),
        SLOT,
        Publication("shop", frozenset({("public", "users")}), complete=True, partial=False),
        "7",
        {"public.users": False},
        (),
    ),
    found_target=TargetState(side("app"), Rights(None, None, None, None, None), (), {}, frozenset(("app.users",))),
    found_connect=ConnectFacts(
        "http://c:8083",
        "4.3.1",
        "3.7.0.Final",
        True,
        SETTINGS,
        ConnectorState("RUNNING", "", (Task(0, "RUNNING", ""),)),
    ),
    found_kafka=KafkaState(
        "kafka k:9092",
        1,
        {name: topic(name, count) for name, count in TOPICS.items()},
        dict.fromkeys(PARTITIONS, 0),
        dict.fromkeys(PARTITIONS, 10),
    ),
    found_mapping=MappingState(ENTRIES),
    found_control=ControlState(
        version=CONTROL_VERSION,
        row=PipelineRow("77/shop", "7", 1, sealed=False, phase="backfilling"),
        fingerprints={ENTRIES[0].name: ENTRIES[0].fingerprint},
        positions=tuple(
            Position(
                name, number, "public.users" if "users" in name else None, 10, (0, 0), f"id-{name}", Ledger(10, 10)
            )
            for name, number in PARTITIONS
            if "heartbeat" not in name
        ),
        chunks=(ChunkRow("public.users", 0, None, None, ChunkState.DONE, rows=1000, bytes=1 << 20),),
        backfill_s=10,
    ),
    wanted_config=SETTINGS,
)
THEIRS = replace(HEALTHY, config=FOREIGN, wanted_config=None)


def found(case: Case) -> dict[tuple[str, str, str], Finding]:
    """The findings that are worse than ok."""
    return {(f.area, f.name, f.about): f for f in judge(case) if f.level in (Level.WARN, Level.FAIL)}


def test_a_healthy_pipeline_has_nothing_worse_than_ok() -> None:
    assert found(HEALTHY) == {}
    assert found(THEIRS) == {}
    skipped = {(f.area, f.name) for f in judge(HEALTHY) if f.level is Level.SKIPPED}
    assert skipped == {("registry", "reachable")}


def control(**values: Any) -> dict[str, Any]:
    return {f"found_control.{name}": value for name, value in values.items()}


def position(**values: Any) -> dict[str, Any]:
    assert HEALTHY.found_control is not None
    first, *others = HEALTHY.found_control.positions
    return {"found_control.positions": (replace(first, **values), *others)}


SERVER_AT, STATE_AT, SLOT_AT = "found_source.side.server", "found_source.side.state", "found_source.slot"
TO_STATE = "found_target.side.state"
FIRST = "shop.public.users"
ALWAYS = Trigger("app.users", "touch", "A", "ALTER TABLE app.users ENABLE TRIGGER touch", "DISABLE")
TEXT = InexactText("app.users", "email", "citext", 'ALTER TABLE app.users ALTER COLUMN email TYPE text COLLATE "C"')
GRANT = MissingGrant(
    "app.users", ("INSERT",), True, "GRANT USAGE ON SCHEMA app TO app; GRANT INSERT ON app.users TO app"
)

CASES: list[tuple[dict[str, Any], tuple[str, str, str], str, str, str]] = [
    ({f"{SERVER_AT}.version_num": 140_011}, ("source", "version", ""), "fail", "14.11 is too old", "upgrade"),
    ({f"{SERVER_AT}.encoding": "SQL_ASCII"}, ("source", "encoding", ""), "fail", "SQL_ASCII", "UTF8"),
    ({f"{SERVER_AT}.in_recovery": True}, ("source", "primary", ""), "fail", "standby", "source.url"),
    ({f"{SERVER_AT}.wal_level": "replica"}, ("source", "wal_level", ""), "fail", "replica",
     "ALTER SYSTEM SET wal_level = logical"),
    ({f"{SERVER_AT}.can_replicate": False}, ("source", "replication role", ""), "fail", "app may not replicate",
     'ALTER ROLE "app" REPLICATION'),
    ({f"{STATE_AT}.wal_senders": 10, f"{SLOT_AT}.active": False},
     ("source", "WAL senders left", ""), "fail", "10 of 10",
     "max_wal_senders = 14"),
    ({SLOT_AT: None}, ("source", "slot", ""), "fail", "is gone: changes were lost",
     "changeover connector delete --topics\nchangeover connector apply\nchangeover run --anew"),
    ({SLOT_AT: None, "found_control.row": None}, ("source", "slot", ""), "fail", "no slot changeover_shop yet",
     "changeover connector apply"),
    ({f"{SLOT_AT}.wal_status": "lost"}, ("source", "slot", ""), "fail", "has lost its WAL", "run --anew"),
    ({f"{SLOT_AT}.database": "other"}, ("source", "slot", ""), "fail", "of the database other", "source.slot"),
    ({f"{SLOT_AT}.plugin": "wal2json"}, ("source", "slot", ""), "fail", "wal2json", "run --anew"),
    ({f"{SLOT_AT}.active": False}, ("source", "slot", ""), "fail", "nobody reads", "changeover connector apply"),
    ({f"{SLOT_AT}.retained_bytes": 6 << 30}, ("source", "retained WAL", ""), "warn", "6 GB are kept", "'24GB'"),
    ({f"{SLOT_AT}.retained_bytes": 10 << 30}, ("source", "retained WAL", ""), "fail", "about to be lost", "'40GB'"),
    ({f"{SLOT_AT}.wal_status": "unreserved"}, ("source", "retained WAL", ""), "fail", "about to be lost",
     "max_slot_wal_keep_size"),
    ({f"{SLOT_AT}.retained_bytes": 20 << 30, f"{STATE_AT}.slot_limit_bytes": -1},
     ("source", "retained WAL", ""), "warn",
     "nothing limits it", "changeover connector apply"),
    ({f"{STATE_AT}.slot_limit_bytes": -1}, ("source", "slot limit", "max_slot_wal_keep_size"), "warn", "fills the disk",
     "ALTER SYSTEM SET max_slot_wal_keep_size"),
    ({f"{STATE_AT}.idle_slot_limit_s": 3600}, ("source", "slot limit", "idle_replication_slot_timeout"), "warn",
     "60 min", "idle_replication_slot_timeout = 0"),
    ({f"{STATE_AT}.sees_sessions": False}, ("source", "sessions visible", ""), "warn", "no other role's",
     "GRANT pg_read_all_stats"),
    ({"found_source.side.transactions": (OldTransaction(9, "shop", "batch", "idle in transaction", 4000),)},
     ("source", "long transactions", "process 9"), "warn", "idle in transaction for 67 min",
     "SELECT pg_terminate_backend(9)"),
    ({"found_source.side.prepared": (PreparedTransaction("it's", "shop", "'it''s'", 400),)},
     ("source", "prepared transactions", "it's"), "warn", "prepared 7 min ago", "ROLLBACK PREPARED 'it''s'"),
    ({f"{STATE_AT}.clock_ahead_s": -90.0}, ("source", "clock", ""), "warn", "90 s behind", "NTP"),
    ({f"{TO_STATE}.clock_ahead_s": 3.0}, ("target", "clock", ""), "warn", "3 s ahead", "NTP"),
    (control(row=PipelineRow("88/shop", "7", 1, sealed=False, phase="")), ("source", "same database", ""), "fail",
     "another database", "run --anew"),
    (control(row=PipelineRow("77/shop", "6", 1, sealed=False, phase="")), ("source", "same database", ""), "fail",
     "made anew", "run --anew"),
    ({"found_source.side.tables[public.users]": replace(USERS, replica_identity="n")},
     ("source", "keys", "public.users"),
      "fail", "does not carry id", 'ALTER TABLE "public"."users" REPLICA IDENTITY FULL'),
    ({"found_source.side.tables[public.users]": replace(USERS, key=())}, ("source", "keys", "public.users"), "fail",
     "no primary key", "ALTER TABLE public.users ADD COLUMN row_id bigserial PRIMARY KEY -- or set source_key"),
    ({"found_source.side.tables": {}}, ("source", "tables", "public.users"), "fail", "no such table", "from:"),
    ({"found_source.partitions": (("public.users", "public.u1", "public.u1"),)},
     ("source", "partitions", "public.users"),
     "fail", "its partition public.u1", "ALTER TABLE public.u1 REPLICA IDENTITY DEFAULT"),
    ({"found_source.side.table_states[public.users]": TableState("public.users", "public.users", False, True, False,
     ())},
     ("source", "not partitions", "public.users"), "fail", "is a partition", "from:"),
    ({"found_source.side.table_states[public.users]": TableState("public.users", "x", False, False, True, ())},
     ("source", "row security", "public.users"), "fail", "hides rows", 'ALTER ROLE "app" BYPASSRLS'),
    ({"found_source.side.table_states[public.users]": TableState("public.users", "x", False, False, False, ("x",))},
     ("source", "unlogged", "public.users"), "fail", "in no log", "ALTER TABLE x SET LOGGED"),
    ({"found_source.side.grants": (replace(GRANT, table="public.users", privileges=("SELECT",), schema_usage=False),)},
     ("source", "grants", "public.users"), "fail", "may not SELECT it", "GRANT"),
    ({"found_source.publication": None, "found_source.published": {}}, ("source", "publication", ""), "fail",
     "no publication changeover_shop yet", "changeover connector apply"),
    ({"found_source.publication.owner": "other"}, ("source", "publication", ""), "fail", "belongs to pipeline other",
     "source.publication"),
    ({"found_source.publication.complete": False}, ("source", "publication", ""), "fail", "not publish all",
     "ALTER PUBLICATION"),
    ({"found_source.published": {}}, ("source", "published tables", "public.users"), "fail", "do not travel",
     'ADD TABLE ONLY "public"."users"'),
    ({"found_source.published": {"public.users": True}}, ("source", "published tables", "public.users"), "fail",
     "row filter", "DROP TABLE"),
    ({"found_source.published": {"public.users": False, "public.x": False}}, ("source", "published tables", ""), "warn",
     "public.x", "changeover connector apply"),
    # connect
    ({"found_connect.debezium": None}, ("connect", "Debezium", ""), "fail", "not installed", "3.7 or later"),
    ({"found_connect.debezium": "3.6.3.Final"}, ("connect", "Debezium", ""), "fail", "debezium/debezium#7531",
     "3.7 or later"),
    ({"found_connect.config": None, "found_connect.state": None}, ("connect", "connector", ""), "fail",
     "no connector changeover-shop yet", "changeover connector apply"),
    ({"found_connect.config": {**SETTINGS, "changeover.pipeline": "other"}}, ("connect", "connector", ""), "fail",
     "belongs to pipeline other", "connect.managed: false"),
    ({"found_connect.state": ConnectorState("RUNNING", "", (Task(0, "FAILED", "no slot"),))},
     ("connect", "running", ""),
     "fail", "task 0 FAILED: no slot", "curl -sS -X POST"),
    ({"found_connect.state": ConnectorState("PAUSED", "", ())},
     ("connect", "running", ""), "fail", "PAUSED", "/resume'"),
    ({"found_connect.state": ConnectorState("UNASSIGNED", "", ())}, ("connect", "running", ""), "warn", "UNASSIGNED",
     "wait"),
    ({"found_connect.config": {**SETTINGS, "max.batch.size": "1", "database.password": "pl4nted2"}},
     ("connect", "as configured", ""),
      "warn", "database.password, max.batch.size differ", "changeover connector apply"),
    ({"config": Config.model_validate({**CONFIG, "connect": {"url": "http://c", "exactly_once": "required"}}),
      "found_connect.exactly_once": False}, ("connect", "exactly once", ""), "fail", "do not offer it",
     "exactly.once.source.support=enabled"),
    ({"found_connect.config": {**SETTINGS, "transaction.boundary": "interval"}},
     ("connect", "exactly once", ""), "warn",
     "interval", "changeover connector apply"),
    # kafka
    ({"found_kafka.topics": {n: topic(n, c) for n, c in TOPICS.items() if n != FIRST}},
     ("kafka", "topics", FIRST), "fail",
     "is gone", "run --anew"),
    ({"found_kafka.topics[__debezium-heartbeat.shop]": None}, ("kafka", "cleanup policy", ""), "fail", "broke", "bug"),
    ({f"found_kafka.topics[{FIRST}]": replace(topic(FIRST), partitions=3)}, ("kafka", "partitions", FIRST), "fail",
     "began with 2", "run --anew"),
    ({f"found_kafka.topics[{FIRST}]": replace(topic(FIRST), topic_id="other")}, ("kafka", "same topics", FIRST), "fail",
     "created again", "run --anew"),
    (position(next_offset=11), ("kafka", "positions", f"{FIRST}[0]"), "fail", "past its end (10)", "run --anew"),
    ({"found_kafka.low": dict.fromkeys(PARTITIONS, 11), **position()}, ("kafka", "positions", f"{FIRST}[1]"), "fail",
     "before its beginning (11)", "run --anew"),
    ({"half_old": {(FIRST, 0): 10}, **position(next_offset=9)},
     ("kafka", "unread events", f"{FIRST}[0]"), "warn", "half",
     f"retention.ms={2 * WEEK_MS}"),
    ({"half_old": {(FIRST, 0): -1}, **position(next_offset=9)},
     ("kafka", "unread events", f"{FIRST}[0]"), "warn", "half",
     "kafka-configs"),
    ({"found_kafka.brokers": 3}, ("kafka", "copies", FIRST), "warn", "one copy, on a cluster of 3", "3 copies"),
    # target
    ({"found_target.side.server.version_num": 140_000}, ("target", "version", ""), "fail", "too old", "upgrade"),
    ({"found_target.side.server.in_recovery": True}, ("target", "primary", ""), "fail", "standby", "target.url"),
    ({"found_target.side.server.encoding": "LATIN1"}, ("target", "encoding", ""), "fail", "LATIN1", "ENCODING 'UTF8'"),
    ({f"{TO_STATE}.connections_used": 99}, ("target", "connections", ""), "warn", "1 connections are free",
     "max_connections = 200"),
    ({f"{TO_STATE}.database_limit": 6}, ("target", "connections", ""), "warn", "1 connections are free",
     'ALTER DATABASE "shop" CONNECTION LIMIT 29'),
    ({f"{TO_STATE}.role_limit": 6}, ("target", "connections", ""), "warn", "3 connections are free",
     'ALTER ROLE "app" CONNECTION LIMIT 27'),
    ({"found_target.rights.temporary": "GRANT T"},
     ("target", "rights", "TEMPORARY"), "fail", "temporary tables", "GRANT T"),
    ({"found_target.rights.create_schema": "GRANT C"},
     ("target", "rights", "CREATE"), "fail", "create the schema", "GRANT C"),
    ({"found_target.rights.use_schema": "GRANT U"}, ("target", "rights", "schema"), "fail", "use", "GRANT U"),
    ({"found_target.rights.use_tables": "GRANT W"}, ("target", "rights", "control tables"), "fail", "write", "GRANT W"),
    (control(version=99), ("target", "control schema", ""), "fail", "version 99", "newer changeover"),
    ({"errors": {"control": ("denied", "")}}, ("target", "control schema", ""), "fail", "denied", "rights above"),
    ({"found_target.side.grants": (GRANT,)}, ("target", "grants", "app.users"), "fail", "INSERT", "GRANT USAGE"),
    ({"found_target.side.tables[app.users]": replace(ACCOUNTS, foreign_keys=("f",)),
      "found_target.rights.replica_role": "GRANT SET"},
       ("target", "foreign keys", "app.users"), "fail", "(f)", "GRANT SET"),
    ({"found_target.triggers": (ALWAYS,)}, ("target", "triggers", "app.users.touch"), "warn", "ENABLE ALWAYS",
     "ENABLE TRIGGER touch"),
    ({"found_target.triggers": (replace(ALWAYS, enabled="R"),)}, ("target", "triggers", "app.users.touch"), "warn",
     "ENABLE REPLICA", "ENABLE TRIGGER touch"),
    ({"found_target.triggers": (replace(ALWAYS, enabled="O"),), "found_target.rights.replica_role": "GRANT SET"},
     ("target", "triggers", "app.users.touch"), "warn", "may not set session_replication_role", "GRANT SET"),
    (control(chunks=()), ("target", "empty", "app.users"), "fail", "has rows", "TRUNCATE app.users"),
    ({"found_target.side.indexes": ()}, ("target", "key index", "app.users"), "fail", "no valid unique index",
     "CREATE UNIQUE INDEX CONCURRENTLY ON app.users (id)"),
    ({"found_target.side.indexes": (index("app.users", "k", "id", deferrable=True, arbiter=False,
                                          drop="ALTER TABLE app.users DROP CONSTRAINT k"),)},
     ("target", "key index", "app.users"), "fail", "DEFERRABLE", "DROP CONSTRAINT k, ADD UNIQUE (id)"),
    ({"found_target.side.texts": (TEXT,)},
     ("target", "collations", "app.users.email"), "warn", "citext", 'COLLATE "C"'),
    ({"found_target.side.texts": (replace(TEXT, column="id", why="collation ci"),)},
     ("target", "collations", "app.users.id"),
     "fail", "collation ci", 'COLLATE "C"'),
    ({"found_target.side.checks": (CheckConstraint("app.users", "c", "CHECK ((total > 0))", ("total",), "DROP c"),)},
     ("target", "check constraints", "app.users.c"), "warn", "CHECK ((total > 0))", "DROP c"),
    # mapping and pipeline
    ({"found_mapping": MappingState(faults=(MappingFault("f.yaml:3:1: tables.0.key", ("tables", 0, "key"), "bad",
     "do"),))},
     ("mapping", "resolves", "f.yaml:3:1: tables.0.key"), "fail", "bad", "do"),
    (control(fingerprints={ENTRIES[0].name: "old"}), ("pipeline", "mappings", ENTRIES[0].name), "fail", "changed",
     "changeover run --accept-mapping app.users"),
    ({**control(shapes={"public.users": replace(NO_SHAPE, published="7")}),
      "found_mapping.shapes": {"public.users": NO_SHAPE}},
     ("pipeline", "source tables", "public.users"), "fail", "it left the publication",
     "changeover run --rebackfill app.users"),
    (control(dead_letters={"public.users": 2}), ("pipeline", "dead letters", "public.users"), "warn", "2 dead letters",
     "changeover dlq retry --table public.users"),
    (control(paused=("public.users",)), ("pipeline", "paused", "public.users"), "warn", "paused",
     "changeover resume --table public.users"),
    (control(differences={"public.users": 1}), ("pipeline", "differences", "public.users"), "warn", "1 difference",
     "changeover resync --table public.users --findings"),
    (control(suspicion="{}"), ("pipeline", "suspicion", ""), "warn", "verified", "changeover verify"),
    (position(ledger=Ledger(10, 9)), ("pipeline", "ledger", f"{FIRST}[0]"), "fail", "of 10 consumed", "bug"),
]  # fmt: skip
for name_, bad_, level_, says_, mend_ in (
    ("cleanup.policy", "compact,delete", "fail", "compaction", "cleanup.policy=delete"),
    ("retention.ms", "60000", "warn", "below kafka.retention_h", f"retention.ms={WEEK_MS}"),
    ("retention.bytes", "1000", "warn", "whatever their age", "retention.bytes=-1"),
    ("max.message.bytes", "1048588", "warn", "stops the connector", f"max.message.bytes={MESSAGE_BYTES_MAX}"),
    ("min.insync.replicas", "2", "fail", "nothing can be written", "min.insync.replicas=1"),
    ("unclean.leader.election.enable", "true", "warn", "may be lost", "unclean.leader.election.enable=false"),
):
    check_ = {"cleanup.policy": "cleanup policy", "retention.ms": "retention", "retention.bytes": "retention by size",
              "max.message.bytes": "message size"}.get(name_, "copies")  # fmt: skip
    state_ = replace(topic(FIRST), settings={**topic(FIRST).settings, name_: bad_})
    CASES.append(({f"found_kafka.topics[{FIRST}]": state_}, ("kafka", check_, FIRST), level_, says_, mend_))


@pytest.mark.parametrize(("changes", "line", "level", "says", "mend"), CASES, ids=[f"{c[1][1]}: {c[3]}" for c in CASES])
def test_a_fact_that_is_wrong_is_said_with_its_mend(
    changes: dict[str, Any], line: tuple[str, str, str], level: str, says: str, mend: str
) -> None:
    case = HEALTHY
    for path, value in changes.items():
        case = _set(case, path, value)
    finding = found(case).get(line)
    assert finding is not None, found(case)
    assert finding.level == level
    assert says in finding.seen
    assert mend in finding.mend
    assert finding.how is not How.NONE


def _set(record: Any, path: str, value: Any) -> Any:
    """A copy of nested records with one field changed: a.b.c, where the last may be a mapping's item: a.b[key]."""
    if path.endswith("]"):
        path, _, key = path[:-1].partition("[")
        return _set(record, path, {**_get(record, path), key: value})
    name, _, rest = path.partition(".")
    return replace(record, **{name: _set(getattr(record, name), rest, value) if rest else value})


def _get(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = getattr(record, name)
    return record


def test_what_a_target_may_refuse_is_measured_by_what_the_source_keeps() -> None:
    def uniques(*more: Index, entries: Any = ENTRIES, source: tuple[Index, ...] = ()) -> dict[Any, Finding]:
        case = _set(HEALTHY, "found_target.side.indexes", (*HEALTHY.target.side.indexes, *more))
        case = _set(case, "found_source.side.indexes", (*HEALTHY.source.side.indexes, *source))
        return found(_set(case, "found_mapping.entries", entries))

    total = index("app.users", "one", "total")
    line = ("target", "unique constraints", "app.users.one")
    assert uniques(total)[line].mend == "CREATE UNIQUE INDEX CONCURRENTLY ON public.users (total)"
    assert uniques(total)[line].how is How.SOURCE
    assert uniques(total, source=(index("public.users", "t", "total"),)) == {}
    assert uniques(index("app.users", "wide", "email", "total")) == {}
    assert "until the cutover" in uniques(replace(total, is_exclusion=True, is_unique=False))[line].mend
    assert "DROP INDEX one" in uniques(replace(total, partial=True, columns=()))[line].mend
    assert uniques(replace(total, is_unique=False)) == {}


def test_a_check_that_the_source_has_as_well_is_no_risk() -> None:
    check = CheckConstraint("app.users", "c", "CHECK ((total > 0))", ("total",), "")
    case = _set(HEALTHY, "found_target.side.checks", (check,))
    assert found(_set(case, "found_source.side.checks", (replace(check, table="public.users"),))) == {}


def test_a_text_that_is_inexact_on_both_sides_does_not_collide() -> None:
    case = _set(HEALTHY, "found_target.side.texts", (TEXT,))
    assert found(_set(case, "found_source.side.texts", (replace(TEXT, table="public.users"),))) == {}


@pytest.mark.parametrize(
    ("size_bytes", "done_bytes", "took_s", "level"),
    [(1 << 40, 0, 0.0, ""), (4 << 40, 0, 0.0, ""), (6 << 40, 0, 0.0, "warn"), (12 << 40, 0, 0.0, "fail"),
     (12 << 40, 10**9, 1.5, ""), (1 << 40, 10**6, 10.0, "fail")],
)  # fmt: skip
def test_retention_is_held_against_the_backfill(size_bytes: int, done_bytes: int, took_s: float, level: str) -> None:
    done = ChunkRow("public.users", 0, None, None, ChunkState.DONE, bytes=done_bytes)
    case = _set(HEALTHY, "found_source.side.tables[public.users]", replace(USERS, bytes_estimate=size_bytes))
    case = _set(case, "found_control.chunks", (done, replace(done, number=1, state=ChunkState.PENDING, bytes=0)))
    case = _set(case, "found_control.backfill_s", took_s)
    finding = found(case).get(("kafka", "retention", FIRST))
    assert (finding.level if finding else "") == level


def test_without_a_section_connect_its_checks_are_skipped() -> None:
    config = Config.model_validate({name: value for name, value in CONFIG.items() if name != "connect"})
    case = replace(HEALTHY, config=config, found_connect=None, missing={"connect": "no section"})
    ((line, finding),) = found(case).items()
    assert (line, finding.level) == (("connect", "reachable", ""), Level.WARN)
    assert "managed: false" in finding.mend


def test_another_locale_is_said_and_no_fault() -> None:
    case = _set(HEALTHY, "found_target.side.locale", "de_DE")
    assert found(case) == {}
    assert [f.seen for f in judge(case) if f.name == "locale"] == [
        "not the source's: lower(), order and patterns may differ, so the target runs every projection"
    ]


def test_before_the_start_nothing_is_held_against_a_pipeline() -> None:
    fresh = replace(HEALTHY, found_control=ControlState(None))
    fresh = _set(fresh, "found_target.filled", frozenset())
    assert found(fresh) == {}


# -- a connector that somebody else runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=[rule.setting for rule in RULES])
def test_a_foreign_connector_s_setting_is_judged_and_its_change_told(rule: Any) -> None:
    case = _set(THEIRS, "found_connect.config", {**SETTINGS, rule.setting: "something-else"})
    finding = found(case).get(("connect", "settings", rule.setting))
    if rule.types and not rule.types & {"bigint", "text", "numeric"}:
        assert finding is None
        return
    assert finding is not None
    assert finding.level is Level.FAIL
    body = json.dumps({rule.setting: rule.good[0]})
    url = "'http://c:8083/connectors/theirs/config'"
    assert finding.mend == f"curl -sS -X PATCH -H 'Content-Type: application/json' {url} -d '{body}'"
    old = _set(case, "found_connect.worker", "3.7.2")
    assert found(old)["connect", "settings", rule.setting].how is How.SETTING


WANTED = Wanted("changeover_shop", "changeover_shop", "shop", {("public", "users"): ()},
                {("public", "users"): frozenset(("id", "email"))},
                 frozenset(("bigint", "timestamp without time zone")))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, {}),
        ({"max.batch.size": "1"}, {}),
        ({"decimal.handling.mode": "double"}, {}),
        ({"snapshot.mode": "initial"}, {}),
        ({"snapshot.mode": "initial_only"}, {"snapshot.mode": "no_data"}),
        ({"slot.name": "x"}, {"slot.name": "changeover_shop"}),
        ({"topic.prefix": None}, {"topic.prefix": "shop"}),
        ({"publication.name": None}, {"publication.name": "changeover_shop"}),
        ({"time.precision.mode": "adaptive"}, {"time.precision.mode": "microseconds"}),
        ({"time.precision.mode": None, "value.converter.schemas.enable": "true"}, {}),
        ({"time.precision.mode": "connect", "value.converter.schemas.enable": "true"},
         {"time.precision.mode": "microseconds"}),
        ({"value.converter": "com.example.ProtobufConverter"},
         {"value.converter": "org.apache.kafka.connect.json.JsonConverter"}),
        ({"field.name.adjustment.mode": "avro_unicode"}, {"field.name.adjustment.mode": "none"}),
        ({"key.converter": None}, {"key.converter": "org.apache.kafka.connect.json.JsonConverter"}),
        ({"value.converter.replace.null.with.default": None}, {"value.converter.replace.null.with.default": "false"}),
        ({"transforms": "a", "transforms.a.type": "org.apache.kafka.connect.transforms.InsertHeader"}, {}),
        ({"transforms": "a", "transforms.a.type": "io.debezium.transforms.ExtractNewRecordState"},
         {"transforms": None}),
        ({"converters": "iso"}, {"converters": None}),
        ({"post.processors": "reselector"}, {"post.processors": None}),
        ({"column.mask.hash.SHA-256.with.salt.x": "public.users.email"},
         {"column.mask.hash.SHA-256.with.salt.x": None}),
        ({"table.include.list": r"public\..*"}, {}),
        ({"table.include.list": None, "schema.include.list": "public"}, {}),
        ({"table.include.list": "PUBLIC.USERS"}, {}),
        ({"table.include.list": "public.orders, public.user"}, {"table.include.list": None}),
        ({"table.include.list": None, "table.exclude.list": r".*users"}, {"table.exclude.list": None}),
        ({"schema.exclude.list": "public"}, {"schema.exclude.list": None}),
        ({"column.exclude.list": r"public\.users\.other"}, {}),
        ({"column.exclude.list": r"public\.users\.email"}, {"column.exclude.list": None}),
        ({"column.include.list": r"public\.users\.id"}, {"column.include.list": None}),
        ({"table.include.list": "("}, {"table.include.list": None}),
        ({"message.prefix.include.list": "other,changeover"}, {}),
        ({"message.prefix.include.list": "other"}, {"message.prefix.include.list": "changeover.*"}),
        ({"message.prefix.include.list": None, "message.prefix.exclude.list": ".*"},
         {"message.prefix.exclude.list": None}),
        ({"message.key.columns": r"public\.users:email"}, {"message.key.columns": ""}),
        ({"heartbeat.interval.ms": None}, {"heartbeat.interval.ms": "250"}),
        ({"status.update.interval.ms": None}, {"status.update.interval.ms": "100"}),
        ({"status.update.interval.ms": "soon"}, {"status.update.interval.ms": "100"}),
    ],
)  # fmt: skip
def test_settings_of_any_connector(changes: dict[str, str | None], faults: dict[str, str | None]) -> None:
    config = {name: value for name, value in {**SETTINGS, **changes}.items() if value is not None}
    assert {fault.setting: fault.wanted for fault in setting_faults(config, WANTED)} == faults


def test_settings_of_a_connector_that_writes_avro() -> None:
    registry = replace(WANTED, registry=True)
    avro = {"time.precision.mode": "adaptive", "field.name.adjustment.mode": "avro_unicode"}
    for converter in NAMES.values():
        made = converter_settings(converter, "http://me:it@registry/apis/ccompat/v7")
        config = {**SETTINGS, **avro, "value.converter": converter}
        config |= {f"value.converter.{name}": value for name, value in made.items()}
        assert setting_faults(config, registry) == []
        (fault,) = setting_faults(config, WANTED)
        assert (fault.setting, fault.harmful) == ("value.converter", True)
        assert "kafka.schema_registry" in fault.why
        for rule in RULES_OF[converter]:
            name = f"value.converter.{rule.setting}"
            (fault,) = setting_faults({**config, name: "other"}, registry)
            assert (fault.setting, fault.wanted, fault.harmful) == (name, rule.wanted, rule.harmful)
        faults = setting_faults({**config, "field.name.adjustment.mode": "avro", "key.converter": converter}, registry)
        assert {fault.setting: fault.harmful for fault in faults} == {
            "field.name.adjustment.mode": True, "key.converter": False,
        }  # fmt: skip
        assert nulls_travel(config) is (converter == CONFLUENT)


def test_a_configured_source_key_must_be_the_events_key() -> None:
    keyed = replace(WANTED, tables={("public", "users"): ("tenant, id", "id")})
    right = {**SETTINGS, "message.key.columns": r"public\x2eusers:tenant\x2c\x20id,id"}
    assert setting_faults(right, keyed) == []
    for wrong in ("", r"public\.users:id", r"public\.orders:tenant\x2c\x20id,id"):
        faults = setting_faults({**SETTINGS, "message.key.columns": wrong}, keyed)
        assert [fault.setting for fault in faults] == ["message.key.columns"]


def test_what_debezium_does_by_default_is_judged_as_if_it_stood_there() -> None:
    named = ("slot.name", "publication.name", "topic.prefix", "connector.class", "plugin.name")
    bare = {name: SETTINGS[name] for name in named}
    faults = {fault.setting: fault for fault in setting_faults(bare, replace(WANTED, types=None))}
    harmful = {name for name, fault in faults.items() if fault.harmful}
    assert harmful == {
        "skipped.operations", "event.converting.failure.handling.mode", "decimal.handling.mode",
        "key.converter.replace.null.with.default", "value.converter.replace.null.with.default",
    }  # fmt: skip
    assert faults["skipped.operations"].value == "not set, which is t"


# -- the report --------------------------------------------------------------------------------------------------------

FINDINGS = [
    Finding("source", "slot", Level.OK, "fine"),
    Finding("kafka", "retention", Level.WARN, "short\nand so", "a\nb", How.SHELL, "t1"),
    Finding("target", "grants", Level.FAIL, "no, postgresql://u:s3cret@h/d", "GRANT", How.TARGET, "app.users"),
    Finding("registry", "reachable", Level.SKIPPED, "none"),
]


def test_the_lines_are_aligned_and_plain() -> None:
    lines = report.lines(FINDINGS, colour=False)
    assert lines == [
        "ok      source    slot       fine",
        "warn    kafka     retention  t1: short and so",
        "        mend (command): a\n        b",
        "fail    target    grants     app.users: no, postgresql://u:***@h/d",
        "        mend (SQL at the target): GRANT",
        "skipped registry  reachable  none",
        "",
        "1 fail, 1 warn, 1 ok, 1 skipped",
    ]
    assert "\033[31mfail" in "\n".join(report.lines(FINDINGS, colour=True))


def test_the_document_is_versioned_and_keeps_secrets() -> None:
    text = report.document(FINDINGS)
    assert "s3cret" not in text
    document = json.loads(text)
    assert (document["version"], document["worst"]) == (1, "fail")
    assert document["findings"][1] == {"area": "kafka", "name": "retention", "level": "warn", "seen": "short\nand so",
                                       "mend": "a\nb", "how": "shell", "about": "t1"}  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "code", "strict"), [((), 0, 0), (("ok", "skipped"), 0, 0), (("ok", "warn"), 0, 1), (("fail",), 1, 1)]
)
def test_the_exit_code_is_the_worst_finding_s(levels: tuple[str, ...], code: int, strict: int) -> None:
    findings = [Finding("a", "b", Level(level), "") for level in levels]
    assert report.exit_code(findings, strict=False) == code
    assert report.exit_code(findings, strict=True) == strict
    assert worst(findings) is not Level.SKIPPED


def test_a_check_that_breaks_or_lacks_what_it_needs_holds_up_no_other() -> None:
    def broken(_: Case) -> str:
        raise KeyError("x")

    checks = (Check("one", "", broken), Check("two", "", broken, ("kafka",)), Check("three", "fine", lambda case: []))
    said = list(judged("area", checks, Case(MANAGED, missing={"kafka": "kafka cannot be reached"})))
    assert [(f.level, f.seen) for f in said[1:]] == [("skipped", "kafka cannot be reached"), ("ok", "fine")]
    assert said[0].level is Level.FAIL


def test_nothing_of_a_case_can_be_changed_and_no_secret_is_said() -> None:
    text = report.document(judge(_set(HEALTHY, "found_connect.config", {**SETTINGS, "database.password": "pl4nted"})))
    assert "pl4nted" not in text
    assert is_dataclass(HEALTHY)
    assert all(not isinstance(getattr(HEALTHY, f.name), list | set) for f in fields(HEALTHY))


def test_numbers_are_told_as_people_read_them() -> None:
    assert [size(n) for n in (0, 1023, 1 << 20, 3 << 40)] == ["0 bytes", "1023 bytes", "1 MB", "3.0 TB"]
    assert [duration(s) for s in (0.004, 7, 300, 9000, 700_000)] == ["4 ms", "7 s", "5 min", "2 h", "8 days"]
    assert listed(map(str, range(10))) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


def test_the_command_offers_every_area() -> None:
    assert tuple(AREAS) == OFFERED
    names = [(area, check.name) for area, checks in AREAS.items() for check in checks]
    assert len(set(names)) == len(names)


def test_the_documentation_lists_every_check_and_no_other() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert rows == [(area, check.name, check.says) for area, checks in AREAS.items() for check in checks]
