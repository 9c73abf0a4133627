"""The tables of the control schema, as SQLAlchemy Core. Every key begins with the pipeline's name.

They live in the target, in the schema `changeover`, so that rows and position are written in one transaction.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)

from connectors.chunks import LEDGER_FIELDS

VERSION = 1
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
    PrimaryKeyConstraint("pipeline", "table_name"),
    comment="version rises with every change of the table's chunks or key fences, so that the stream may cache them",
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
