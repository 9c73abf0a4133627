"""What `doctor` asks of Kafka Connect, as frozen facts. Read-only: validating a connector creates nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kafka.connect import DEBEZIUM_POSTGRESQL, Connect, ConnectorState


@dataclass(frozen=True, slots=True)
class ConnectFacts:
    """A Connect cluster and one connector of it. where: its URL without user and password.

    worker: its version of Kafka. debezium: the plugin's version; None where it is not installed. exactly_once: whether
    the workers offer it. converters: the converter classes that they have. config, state: None where there is no such
    connector; a config may hold passwords.
    """

    where: str
    worker: str
    debezium: str | None
    exactly_once: bool
    config: Mapping[str, str] | None
    state: ConnectorState | None
    converters: tuple[str, ...] = ()
    offsets: Mapping[str, Any] | None = None
    """The committed source offset, where there is one."""


def connect_facts(connect: Connect, connector: str, plugin: str = DEBEZIUM_POSTGRESQL) -> ConnectFacts:
    """Ask for everything. plugin: the connector's class. Raises TransientError and FatalError as `Connect` does."""
    debezium = connect.plugins().get(plugin)
    return ConnectFacts(
        where=connect.where.removeprefix("kafka connect "),
        worker=connect.version(),
        debezium=debezium,
        exactly_once=debezium is not None and connect.offers_exactly_once(plugin),
        config=connect.config(connector),
        state=connect.state(connector),
        converters=tuple(connect.converters()),
        offsets=next(iter(connect.offsets(connector)), None),
    )
