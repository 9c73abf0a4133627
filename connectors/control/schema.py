"""The tables of the control schema, as SQLAlchemy Core. Every key begins with the pipeline's name.

They live in the target, in the schema `changeover`, so that rows and position are written in one transaction.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)

from connectors.chunks import LEDGER_FIELDS

VERSION = 3
"""Raised with every change of the tables; `ControlStore.ensure` upgrades older ones and refuses newer ones."""

DEFAULT_SCHEMA = "changeover"
metadata = MetaData(schema=DEFAULT_SCHEMA)


def _counter(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

pipeline = Table(
    "pipeline",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("source_id", Text, nullable=False),
    Column("stream_id", Text, nullable=False, server_default=""),
    Column("noted_xid", BigInteger, nullable=False),
    Column("sealed", Boolean, nullable=False, server_default=text("false")),
    Column("phase", Text, nullable=False),
    Column("rows_per_second", Integer, comment="a pace set at runtime; null: as configured"),
    Column("suspicion", Text, comment="JSON: why the rows must be verified before the pipeline is ready again"),
    Column("connector_session", Text, comment="the connector's session at the source, as it was last seen"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

mapping = Table(
    "mapping",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    PrimaryKeyConstraint("pipeline", "entry"),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("table_name", Text),
    Column("next_offset", BigInteger, nullable=False),
    Column("topic_id", Text, nullable=False),
    Column("commit_lsn", BigInteger, nullable=False, server_default=text("-1")),
    Column("event_lsn", BigInteger, nullable=False, server_default=text("0")),
    Column("source_time_us", BigInteger, nullable=False, server_default=text("0")),
    *(_counter(name) for name in LEDGER_FIELDS),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("pipeline", "topic", "partition"),
)

table_state = Table(
    "table_state",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("rows_expected", BigInteger, nullable=False, server_default=text("0")),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("pipeline", "table_name"),
    comment="version rises with every change of the table's chunks or key fences, so that the stream may cache them",
)

source_shape = Table(
    "source_shape",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("shape", Text, nullable=False, comment="JSON: the source table as its rows were made"),
    Column("ignored", Text, nullable=False, server_default="[]", comment="JSON: columns that came since, not read"),
    Column("altered", Text, comment="a snapshot: what it sees may have been written before an ALTER"),
    Column("read_again", Text, nullable=False, server_default="{}", comment="JSON: partition -> events below, by key"),
    PrimaryKeyConstraint("pipeline", "table_name"),
)

chunk = Table(
    "chunk",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("lower", Text),
    Column("upper", Text),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("snapshot", Text),
    Column("session", Text),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("claimed_at", DateTime(timezone=True)),
    Column("done_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("pipeline", "table_name", "number"),
)

key_fence = Table(
    "key_fence",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("snapshot", Text, nullable=False),
    PrimaryKeyConstraint("pipeline", "table_name", "key"),
)

journal = Table(
    "journal",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("start_offset", BigInteger, nullable=False),
    Column("end_offset", BigInteger, nullable=False),
    Column("committed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("pipeline", "topic", "partition", "start_offset"),
    comment="which events were applied in one transaction, so that explain can tell what superseded what",
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("topic", Text),
    Column("partition", Integer),
    Column("event_offset", BigInteger),
    Column("chunk", Integer),
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("event", Text, comment="JSON: the source row as it came, masked as configured"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False, server_default="open"),
    Column("parked", BigInteger, nullable=False, server_default=text("0")),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    Column("note", Text),
    Index("dead_letter_open", "pipeline", "table_name", "key", postgresql_where=text("state = 'open'")),
    comment="state: open, retried or skipped; parked: later events of the key that were held behind it",
)

verification = Table(
    "verification",
    metadata,
    Column("pipeline", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("sweep", BigInteger, nullable=False),
    Column("slice", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("lower", Text),
    Column("upper", Text),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("differences", BigInteger, nullable=False, server_default=text("0")),
    Column("unsettled", BigInteger, nullable=False, server_default=text("0")),
    Column("began_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("done_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("pipeline", "entry", "sweep", "slice"),
    comment="what the sweeps have compared, so that they can be resumed, and how old each slice's comparison is",
)

finding = Table(
    "finding",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("source_key", Text),
    Column("target_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("columns", Text, nullable=False, server_default=""),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False, server_default="open"),
    Column("closed_at", DateTime(timezone=True)),
    Index("finding_open", "pipeline", "entry", postgresql_where=text("state = 'open'")),
    comment="kind: missing, extra or different; state: open, repaired or gone",
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
)

UPGRADES = {
    2: (
        f"ALTER TABLE {DEFAULT_SCHEMA}.pipeline ADD COLUMN IF NOT EXISTS rows_per_second integer,"
        " ADD COLUMN IF NOT EXISTS suspicion text, ADD COLUMN IF NOT EXISTS connector_session text",
        f"ALTER TABLE {DEFAULT_SCHEMA}.table_state ADD COLUMN IF NOT EXISTS paused boolean NOT NULL DEFAULT false",
    ),
    3: (),
}
"""Version -> what brings existing tables to it from the one before. New tables are made as they are declared."""
