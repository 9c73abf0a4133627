"""The configuration of the Debezium connector for MariaDB, or MySQL, that makes our stream. Pure.

The decoder and the hand-over rest on these settings; each that is not obvious says why. Checked with Debezium's
MariaDB connector 3.5.0; its MySQL connector was not run.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from connectors.kafka.connect import DEBEZIUM_MARIADB, DEBEZIUM_MYSQL
from connectors.kafka.connector_config import (
    EXACTLY_ONCE,
    HEARTBEAT_MS,
    OWNER,
    check_overrides,
    converters,
    literal_regex,
    message_keys,
    table_regex,
    url_error,
)
from connectors.kafka.topics import MESSAGE_BYTES_MAX

_FIXED = {
    "tasks.max": "1",
    "snapshot.mode": "no_data",
    "skipped.operations": "none",
    "tombstones.on.delete": "false",
    "provide.transaction.metadata": "false",
    "include.schema.changes": "false",
    "errors.tolerance": "none",
    # What cannot be read or converted stops the connector.
    "event.converting.failure.handling.mode": "fail",
    "event.processing.failure.handling.mode": "fail",
    "event.deserialization.failure.handling.mode": "fail",
    "inconsistent.schema.handling.mode": "fail",
    "schema.history.internal.skip.unparseable.ddl": "false",
    "decimal.handling.mode": "string",
    # As the same 64 bits with a sign, which loses nothing: the other mode writes bytes.
    "bigint.unsigned.handling.mode": "long",
    "binary.handling.mode": "bytes",
    # date: days; time and datetime of any precision: microseconds; timestamp: ISO 8601 text in UTC.
    "time.precision.mode": "microseconds",
    # It would turn the years 1 to 99 into others.
    "enable.time.adjuster": "false",
}
_TUNED = {
    "max.batch.size": "8192",
    "max.queue.size": "32768",
    "extended.headers.enabled": "false",
    "heartbeat.interval.ms": str(HEARTBEAT_MS),
    "retriable.restart.connector.wait.ms": "2000",
    # The tables' definitions are read when the connector is made; the other modes lock the whole server for that.
    "snapshot.locking.mode": "none",
    # A table can join later only if its definition was kept from the beginning.
    "schema.history.internal.store.only.captured.tables.ddl": "false",
    "schema.history.internal.store.only.captured.databases.ddl": "true",
    "producer.override.linger.ms": "5",
    "producer.override.batch.size": "262144",
    "producer.override.compression.type": "lz4",
    "producer.override.buffer.memory": str(2 * MESSAGE_BYTES_MAX),
    "producer.override.max.request.size": str(MESSAGE_BYTES_MAX),
}


@dataclass(frozen=True, slots=True)
class BinlogConnectorSettings:
    """What differs from one pipeline's connector to another's. As `ConnectorSettings`, and:

    beats: (database, table) of our own table. history_topic: where the connector keeps the tables' definitions.
    """

    kind: str
    pipeline: str
    connector: str
    database_url: str
    topic_prefix: str
    tables: Mapping[tuple[str, str], tuple[str, ...]]
    beats: tuple[str, str]
    history_topic: str
    bootstrap_servers: str
    exactly_once: bool
    schemas_enable: bool = False
    avro: tuple[str, str] | None = None
    poll_interval_ms: int = 20
    overrides: Mapping[str, str] = field(default_factory=dict)


def binlog_connector_config(settings: BinlogConnectorSettings) -> dict[str, str]:
    """The connector's whole configuration. Raises ConfigError for overrides and URLs that cannot be."""
    captured = [*sorted(settings.tables), settings.beats]
    owned = {
        **_FIXED,
        "connector.class": plugin_of(settings.kind),
        OWNER: settings.pipeline,
        "topic.prefix": settings.topic_prefix,
        "database.include.list": ",".join(sorted({literal_regex(database) for database, _ in captured})),
        "table.include.list": ",".join(table_regex(*table) for table in captured),
        "schema.history.internal.kafka.topic": settings.history_topic,
    }
    if keys := message_keys(settings.tables):
        owned["message.key.columns"] = keys
    if settings.exactly_once:
        owned.update(EXACTLY_ONCE)
    check_overrides(settings.overrides, owned)
    tuned = {
        **_TUNED,
        "poll.interval.ms": str(settings.poll_interval_ms),
        "database.server.id": str(server_id(settings.connector)),
        "schema.history.internal.kafka.bootstrap.servers": settings.bootstrap_servers,
    }
    made = converters(settings.avro, settings.schemas_enable)
    return {**tuned, **made, **_database(settings.database_url), **settings.overrides, **owned}


def plugin_of(kind: str) -> str:
    """The connector's class for a source of this kind."""
    return DEBEZIUM_MYSQL if kind == "mysql" else DEBEZIUM_MARIADB


def server_id(connector: str) -> int:
    """What the connector calls itself among the server's replicas: far from the small numbers that people give."""
    return 1 << 30 | zlib.crc32(connector.encode()) >> 2


def _database(url: str) -> dict[str, str]:
    """database.* of a URL; TLS is set by database.ssl.* in connect.config, since Java keeps certificates otherwise."""
    try:
        parts = make_url(url)
    except ArgumentError:
        raise url_error(
            "it is no URL of MariaDB or MySQL", "write mariadb://user:password@host:3306/database"
        ) from None
    if not parts.host:
        hint = "set connect.database_url to the source as the Connect workers see it"
        raise url_error("the connector needs a host to connect to", hint)
    named = {"hostname": parts.host, "port": str(parts.port or 3306), "user": parts.username or ""}
    named["password"] = parts.password or ""
    return {f"database.{name}": value for name, value in named.items() if value}
