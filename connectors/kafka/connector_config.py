"""The configuration of the Debezium PostgreSQL connector that makes our stream. Pure.

The decoder and the hand-over rest on these settings; each that is not obvious says why. Checked with Debezium 3.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from connectors.kafka.avro_converters import JSON, converter_settings
from connectors.kafka.connect import DEBEZIUM_POSTGRESQL
from connectors.kafka.topics import MESSAGE_BYTES_MAX
from mappers.errors import ConfigError, Problem

OWNER = "changeover.pipeline"
"""The setting that marks a connector as a pipeline's own. Connect keeps it, Debezium does not look at it."""
MESSAGE_PREFIX = "changeover"
"""The prefix of our logical messages. Those of others do not travel."""
PLACEHOLDER = "__debezium_unavailable_value"
HEARTBEAT_MS = 250
"""A committed position shows in the slot when the connector commits the next time: this bounds a barrier's wait."""

_FIXED = {
    "connector.class": DEBEZIUM_POSTGRESQL,
    "tasks.max": "1",
    "plugin.name": "pgoutput",
    "publication.autocreate.mode": "disabled",
    "slot.drop.on.stop": "false",
    "snapshot.mode": "no_data",
    "skipped.operations": "none",
    "tombstones.on.delete": "false",
    "provide.transaction.metadata": "false",
    "errors.tolerance": "none",
    # A value that cannot be converted stops the connector. The default writes a warning and sends NULL in its place.
    "event.converting.failure.handling.mode": "fail",
    "event.processing.failure.handling.mode": "fail",
    "decimal.handling.mode": "string",
    "interval.handling.mode": "string",
    "hstore.handling.mode": "json",
    # In JSON, bytes are base64 as well; but in the mode "base64" an unchanged TOAST value arrives as NULL.
    "binary.handling.mode": "bytes",
    # date: days; time and timestamp of any precision: microseconds; timestamptz: ISO 8601 text in UTC.
    "time.precision.mode": "microseconds",
}
_TUNED = {
    "max.batch.size": "8192",
    "max.queue.size": "32768",
    "extended.headers.enabled": "false",
    "heartbeat.interval.ms": str(HEARTBEAT_MS),
    # How soon a committed position shows in the slot, where the barrier looks: ten seconds by default.
    "status.update.interval.ms": "100",
    # After a crash the server may hold the slot of the dead connection for a while; ten seconds a try is too coarse.
    "slot.max.retries": "60",
    "slot.retry.delay.ms": "1000",
    "retriable.restart.connector.wait.ms": "2000",
    "producer.override.linger.ms": "5",
    "producer.override.batch.size": "262144",
    "producer.override.compression.type": "lz4",
    "producer.override.buffer.memory": str(2 * MESSAGE_BYTES_MAX),
    "producer.override.max.request.size": str(MESSAGE_BYTES_MAX),
}
EXACTLY_ONCE = {
    "exactly.once.support": "required",
    "transaction.boundary": "poll",
    # What a killed worker leaves open keeps read_committed consumers waiting for this long: the default is a minute.
    "producer.override.transaction.timeout.ms": "5000",
}
_AVRO = {
    "schema.name.adjustment.mode": "avro",
    # Avro's names are letters, digits and underscores; this way the decoder finds columns again, whatever their name.
    "field.name.adjustment.mode": "avro_unicode",
}
_SSL = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword")
_WORD = re.compile(r"[A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """What differs from one pipeline's connector to another's.

    tables: (schema, name) -> the configured source key; empty where the primary key is. database_url: as the Connect
    workers see the source. avro: the class of the converter and the registry's URL as the workers see it; None for
    JSON. overrides: settings from the configuration; they win over the tuned ones and database.*.
    """

    pipeline: str
    database_url: str
    slot: str
    publication: str
    topic_prefix: str
    tables: Mapping[tuple[str, str], tuple[str, ...]]
    exactly_once: bool
    schemas_enable: bool = False
    avro: tuple[str, str] | None = None
    poll_interval_ms: int = 20
    placeholder: str = PLACEHOLDER
    overrides: Mapping[str, str] = field(default_factory=dict)


def connector_config(settings: ConnectorSettings) -> dict[str, str]:
    """The connector's whole configuration. Raises ConfigError for overrides and URLs that cannot be."""
    owned = {
        **_FIXED,
        OWNER: settings.pipeline,
        "slot.name": settings.slot,
        "publication.name": settings.publication,
        "topic.prefix": settings.topic_prefix,
        "table.include.list": ",".join(table_regex(*table) for table in sorted(settings.tables)),
        "message.prefix.include.list": f"{MESSAGE_PREFIX}.*",
        "unavailable.value.placeholder": settings.placeholder,
    }
    if keys := message_keys(settings.tables):
        owned["message.key.columns"] = keys
    if settings.exactly_once:
        owned.update(EXACTLY_ONCE)
    check_overrides(settings.overrides, owned)
    poll = {"poll.interval.ms": str(settings.poll_interval_ms)}
    database = _database(settings.database_url)
    return {
        **_TUNED,
        **converters(settings.avro, settings.schemas_enable),
        **poll,
        **database,
        **settings.overrides,
        **owned,
    }


def converters(avro: tuple[str, str] | None, schemas_enable: bool) -> dict[str, str]:
    """What keys and values are written in. A key is JSON in any case.

    A key in Avro has the id of its schema in it: with a new id the key's events would go to another partition.
    """
    schemas = "true" if schemas_enable and avro is None else "false"
    # Without the last one a NULL arrives as its column's default.
    json = {"": JSON, ".schemas.enable": schemas, ".replace.null.with.default": "false"}
    if avro is None:
        return {f"{part}.converter{name}": value for part in ("key", "value") for name, value in json.items()}
    converter, registry = avro
    made = {f"key.converter{name}": value for name, value in json.items()} | {"value.converter": converter}
    return made | _AVRO | {f"value.converter.{k}": v for k, v in converter_settings(converter, registry).items()}


def _database(url: str) -> dict[str, str]:
    """database.* of a PostgreSQL URL, with libpq's TLS settings; their files are the worker's."""
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError:
        raise url_error("it is no PostgreSQL URL", "write postgresql://user:password@host:port/database") from None
    host = parts.get("host", "")
    if not host or host.startswith("/") or "," in host:
        message = "the connector needs one host to connect to, not a socket or a list of hosts"
        raise url_error(message, "set connect.database_url to the source as the Connect workers see it")
    named = {"hostname": host, "port": parts.get("port", "5432"), "user": parts.get("user", "")}
    named |= {"password": parts.get("password", ""), "dbname": parts.get("dbname") or parts.get("user", "")}
    named |= {name: parts[name] for name in _SSL if name in parts}
    return {f"database.{name}": value for name, value in named.items() if value}


def url_error(message: str, hint: str) -> ConfigError:
    """What is wrong with the URL that the connector connects to."""
    return ConfigError([Problem(("connect", "database_url"), message, hint)])


def message_keys(tables: Mapping[tuple[str, str], tuple[str, ...]]) -> str:
    """message.key.columns: "table:column,column;..." of the tables whose source key is configured."""
    lists = ((table, ",".join(literal_regex(column) for column in key)) for table, key in sorted(tables.items()) if key)
    return ";".join(f"{table_regex(*table)}:{columns}" for table, columns in lists)


def check_overrides(overrides: Mapping[str, str], owned: Iterable[str]) -> None:
    """Raise ConfigError for a setting of the configuration that must have its own value."""
    refused = sorted({*owned, *EXACTLY_ONCE}.intersection(overrides))
    if refused:
        message = "it cannot be set: what Changeover guarantees rests on its own value"
        raise ConfigError([Problem(("connect", "config", name), message) for name in refused])


def table_regex(schema: str, table: str) -> str:
    r"""A regular expression for a table's name and no other."""
    return rf"{literal_regex(schema)}\.{literal_regex(table)}"


def literal_regex(name: str) -> str:
    """A name inside a regular expression, inside Debezium's lists: these split at , ; : and blanks, which no escape of
    theirs protects in all places. Written by code, none of these characters appears."""
    return "".join(char if _WORD.match(char) or not char.isascii() else f"\\x{ord(char):02x}" for char in name)
