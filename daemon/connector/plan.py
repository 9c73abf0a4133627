"""What the way from source to Kafka is made of: plain values, out of the configuration or made by hand in tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.kafka.connector_config import PLACEHOLDER
from connectors.kafka.topics import stream_topics
from daemon.sources import stream_of
from mappers.errors import ConfigError, Problem

if TYPE_CHECKING:
    from daemon.config.model import Config

Keys = Mapping[tuple[str, str], tuple[str, ...]]
"""(schema, name) of the mapped source tables -> the configured source key; empty where it is the primary key."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """All that the way from source to Kafka is made of."""

    pipeline: str
    source_url: str
    database_url: str
    """The source as the Connect workers see it."""
    slot: str
    publication: str
    topic_prefix: str
    tables: Keys
    bootstrap_servers: str
    connect_url: str
    connector: str
    partitions: int = 4
    replication_factor: int = 1
    retention_ms: int = 7 * 24 * 3_600_000
    kafka_settings: Mapping[str, str | int | float] | None = None
    exactly_once: str = "auto"
    schemas_enable: bool = False
    converter: str = ""
    """Which Avro converter: confluent, apicurio or auto; "" for JSON."""
    registry_url: str = ""
    """The schema registry as the Connect workers see it."""
    poll_interval_ms: int = 20
    placeholder: str = PLACEHOLDER
    overrides: Mapping[str, str] | None = None
    kind: str = "postgresql"
    """The source's engine, by its name in the configuration."""

    @property
    def topics(self) -> dict[str, int]:
        """Every topic of the stream and its number of partitions. Raises ConfigError where two tables share one."""
        messages = stream_of(self.kind).messages(self.topic_prefix)
        return stream_topics(self.topic_prefix, list(self.tables), self.partitions, messages)


def plan_of(config: Config) -> StreamPlan:
    """The plan that a configuration asks for. Raises ConfigError where it leaves the connector to someone else."""
    connect = config.connect
    if connect is None:
        hint = "add connect: {url: ...}, or leave the connector to whoever runs it"
        raise ConfigError([Problem(("connect",), "there is no such section, so there is no connector to manage", hint)])
    registry = config.kafka.schema_registry
    if connect.format == "avro" and registry is None:
        hint = "set kafka.schema_registry, or take JSON"
        raise ConfigError([Problem(("connect", "format"), "avro needs a schema registry", hint)])
    avro = connect.format != "json" and registry is not None
    return StreamPlan(
        pipeline=config.pipeline,
        source_url=config.source.url.get_secret_value(),
        database_url=(connect.database_url or config.source.url).get_secret_value(),
        slot=config.source.slot,
        publication=config.source.publication,
        topic_prefix=config.source.topic_prefix,
        tables=keys_of(config),
        bootstrap_servers=config.kafka.bootstrap_servers,
        connect_url=connect.url,
        connector=connect.connector,
        partitions=config.kafka.partitions,
        replication_factor=config.kafka.replication_factor,
        retention_ms=round(config.kafka.retention_h * 3_600_000),
        kafka_settings=config.kafka.settings,
        exactly_once=connect.exactly_once,
        schemas_enable=connect.schemas_enable,
        converter=connect.converter if avro else "",
        registry_url=connect.schema_registry or registry or "",
        poll_interval_ms=connect.poll_interval_ms,
        overrides=connect.config,
        kind=config.source.kind,
    )


def keys_of(config: Config) -> dict[tuple[str, str], tuple[str, ...]]:
    """The source tables and their configured keys; of several entries for one table, one may name the key for all."""
    keys: dict[tuple[str, str], tuple[str, ...]] = {}
    for spec in config.tables:
        keys[spec.source_name] = keys.get(spec.source_name) or tuple(spec.source_key or ())
    return keys
