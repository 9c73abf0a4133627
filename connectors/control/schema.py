"""The tables of the control schema, as SQLAlchemy Core. Every key begins with the pipeline's name.

They live in the target, so that rows and position are written in one transaction: in the schema `changeover` of
PostgreSQL, the database `changeover` of MariaDB, and under names that begin with `changeover_` in a SQLite file.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    text,
)
from sqlalchemy.schema import SchemaItem

from connectors.chunks import LEDGER_FIELDS
from connectors.control.dialects import MARIADB, POSTGRESQL, SQLITE, clock, now
from connectors.control.types import LONG_TEXT, NUMBER, UtcDateTime, key_text

VERSION = 3
"""Raised with every change of the tables; `ControlStore.ensure` upgrades older ones and refuses newer ones."""

DEFAULT_SCHEMA = "changeover"
metadata = MetaData(schema=DEFAULT_SCHEMA)

PIPELINE, TABLE, ENTRY, TOPIC = key_text(128), key_text(520), key_text(1024), key_text(512)
KEY = key_text(3072 - 128 - 520)
"""What is left of the 3072 bytes that a key of InnoDB may have."""
Text = LONG_TEXT
NOTHING = text("('')")
"""The empty text as a default: MySQL takes one of a long text in parentheses only."""


OPEN: dict[str, Any] = {f"{engine}_where": text("state = 'open'") for engine in (POSTGRESQL, SQLITE)}
"""An index of what is open alone, where the engine has such."""


def _table(name: str, *items: SchemaItem, **options: Any) -> Table:
    """A generated number is never given twice, not even by SQLite after a delete."""
    options["mysql_engine"] = "InnoDB"
    if any(isinstance(item, Column) and item.identity for item in items):
        options["sqlite_autoincrement"] = True
    return Table(name, metadata, *items, **options)


def _counter(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


schema_version = _table("schema_version", Column("version", Integer, primary_key=True))

pipeline = _table(
    "pipeline",
    Column("pipeline", PIPELINE, primary_key=True),
    Column("source_id", Text, nullable=False),
    Column("stream_id", Text, nullable=False, server_default=NOTHING),
    Column("noted_xid", BigInteger, nullable=False),
    Column("sealed", Boolean, nullable=False, server_default=text("false")),
    Column("phase", Text, nullable=False),
    Column("rows_per_second", Integer, comment="a pace set at runtime; null: as configured"),
    Column("suspicion", Text, comment="JSON: why the rows must be verified before the pipeline is ready again"),
    Column("connector_session", Text, comment="the connector's session at the source, as it was last seen"),
    Column("created_at", UtcDateTime, nullable=False, server_default=now()),
)

mapping = _table(
    "mapping",
    Column("pipeline", PIPELINE, nullable=False),
    Column("entry", ENTRY, nullable=False),
    Column("fingerprint", Text, nullable=False),
    PrimaryKeyConstraint("pipeline", "entry"),
)

checkpoint = _table(
    "checkpoint",
    Column("pipeline", PIPELINE, nullable=False),
    Column("topic", TOPIC, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("table_name", TABLE),
    Column("next_offset", BigInteger, nullable=False),
    Column("topic_id", Text, nullable=False),
    Column("commit_lsn", BigInteger, nullable=False, server_default=text("-1")),
    Column("event_lsn", BigInteger, nullable=False, server_default=text("0")),
    Column("source_time_us", BigInteger, nullable=False, server_default=text("0")),
    *(_counter(name) for name in LEDGER_FIELDS),
    Column("updated_at", UtcDateTime, nullable=False, server_default=now()),
    PrimaryKeyConstraint("pipeline", "topic", "partition"),
)

table_state = _table(
    "table_state",
    Column("pipeline", PIPELINE, nullable=False),
    Column("table_name", TABLE, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("rows_expected", BigInteger, nullable=False, server_default=text("0")),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("pipeline", "table_name"),
    comment="version rises with every change of the table's chunks or key fences, so that the stream may cache them",
)

source_shape = _table(
    "source_shape",
    Column("pipeline", PIPELINE, nullable=False),
    Column("table_name", TABLE, nullable=False),
    Column("shape", LONG_TEXT, nullable=False, comment="JSON: the source table as its rows were made"),
    Column("ignored", LONG_TEXT, nullable=False, comment="JSON: columns that came since, not read"),
    Column("altered", LONG_TEXT, comment="a snapshot: what it sees may have been written before an ALTER"),
    Column("read_again", LONG_TEXT, nullable=False, comment="JSON: partition -> events below, by key"),
    PrimaryKeyConstraint("pipeline", "table_name"),
)

chunk = _table(
    "chunk",
    Column("pipeline", PIPELINE, nullable=False),
    Column("table_name", TABLE, nullable=False),
    Column("number", Integer, nullable=False),
    Column("lower", Text),
    Column("upper", Text),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("snapshot", Text),
    Column("session", Text),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("claimed_at", UtcDateTime),
    Column("done_at", UtcDateTime),
    PrimaryKeyConstraint("pipeline", "table_name", "number"),
)

key_fence = _table(
    "key_fence",
    Column("pipeline", PIPELINE, nullable=False),
    Column("table_name", TABLE, nullable=False),
    Column("key", KEY, nullable=False),
    Column("snapshot", Text, nullable=False),
    PrimaryKeyConstraint("pipeline", "table_name", "key"),
)

journal = _table(
    "journal",
    Column("pipeline", PIPELINE, nullable=False),
    Column("topic", TOPIC, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("start_offset", BigInteger, nullable=False),
    Column("end_offset", BigInteger, nullable=False),
    Column("committed_at", UtcDateTime, nullable=False, server_default=now()),
    PrimaryKeyConstraint("pipeline", "topic", "partition", "start_offset"),
    comment="which events were applied in one transaction, so that explain can tell what superseded what",
)

dead_letter = _table(
    "dead_letter",
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("pipeline", PIPELINE, nullable=False),
    Column("table_name", TABLE, nullable=False),
    Column("key", Text, nullable=False),
    Column("topic", Text),
    Column("partition", Integer),
    Column("event_offset", BigInteger),
    Column("chunk", Integer),
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("event", Text, comment="JSON: the source row as it came, masked as configured"),
    Column("created_at", UtcDateTime, nullable=False, server_default=now()),
    Column("state", Text, nullable=False, server_default=text("('open')")),
    Column("parked", BigInteger, nullable=False, server_default=text("0")),
    Column("closed_at", UtcDateTime),
    Column("closed_by", Text),
    Column("note", Text),
    Index("dead_letter_open", "pipeline", "table_name", "key", mysql_length={"key": 255}, **OPEN),
    comment="state: open, retried or skipped; parked: later events of the key that were held behind it",
)

verification = _table(
    "verification",
    Column("pipeline", PIPELINE, nullable=False),
    Column("entry", ENTRY, nullable=False),
    Column("sweep", BigInteger, nullable=False),
    Column("slice", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("lower", Text),
    Column("upper", Text),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("differences", BigInteger, nullable=False, server_default=text("0")),
    Column("unsettled", BigInteger, nullable=False, server_default=text("0")),
    Column("began_at", UtcDateTime, nullable=False, server_default=clock()),
    Column("done_at", UtcDateTime),
    PrimaryKeyConstraint("pipeline", "entry", "sweep", "slice"),
    comment="what the sweeps have compared, so that they can be resumed, and how old each slice's comparison is",
)

finding = _table(
    "finding",
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("pipeline", PIPELINE, nullable=False),
    Column("entry", ENTRY, nullable=False),
    Column("table_name", TABLE, nullable=False),
    Column("source_key", Text),
    Column("target_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("columns", Text, nullable=False, server_default=NOTHING),
    Column("found_at", UtcDateTime, nullable=False, server_default=now()),
    Column("state", Text, nullable=False, server_default=text("('open')")),
    Column("closed_at", UtcDateTime),
    Index("finding_open", "pipeline", "entry", **OPEN),
    comment="kind: missing, extra or different; state: open, repaired or gone",
)

audit = _table(
    "audit",
    Column("id", NUMBER, Identity(), primary_key=True),
    Column("pipeline", PIPELINE, nullable=False),
    Column("at", UtcDateTime, nullable=False, server_default=now()),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=NOTHING),
)

start_lock = _table(
    "start_lock",
    Column("pipeline", PIPELINE, primary_key=True),
    comment="a row that a start holds locked, for want of advisory locks that end with the transaction",
    info={"engines": (MARIADB,)},
)

UPGRADES = {
    POSTGRESQL: {
        2: (
            f"ALTER TABLE {DEFAULT_SCHEMA}.pipeline ADD COLUMN IF NOT EXISTS rows_per_second integer,"
            " ADD COLUMN IF NOT EXISTS suspicion text, ADD COLUMN IF NOT EXISTS connector_session text",
            f"ALTER TABLE {DEFAULT_SCHEMA}.table_state ADD COLUMN IF NOT EXISTS paused boolean NOT NULL DEFAULT false",
        ),
    },
}
"""Engine -> version -> what brings existing tables to it from the one before. New tables are made as they are declared,
and an engine that is not named had no earlier version."""


def tables_of(engine: str) -> list[Table]:
    """The control tables that this engine has."""
    return [table for table in metadata.sorted_tables if engine in table.info.get("engines", (engine,))]
