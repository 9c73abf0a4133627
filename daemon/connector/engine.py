"""What an engine has of its own in the way from the source to Kafka, beside topics and connector."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from connectors.kafka.connect import Connect
from connectors.waiting import Patience
from daemon.connector.plan import StreamPlan


class SourceSetup(Protocol):
    """The source's part, on one session. What it makes there it also removes."""

    def check(self) -> None:
        """Raise ConfigError with everything that is missing at the source, each with what mends it."""

    def lost(self, connect: Connect, *, exists: bool) -> tuple[str, str]:
        """(what, why) of a place in the log that a connector which has read before would not find again; or ("", "").

        exists: the connector is there now.
        """

    def prepare(self) -> dict[str, Any]:
        """Make what the connector needs there. Says what changed."""

    def not_ready(self, connect: Connect) -> tuple[str, str]:
        """(what, why it does not deliver yet) of the running connector; ("", "") where it does."""

    def made(self) -> dict[str, Any]:
        """What `apply` says of the source once the connector streams."""

    def status(self) -> dict[str, Any]:
        """How each part at the source is."""

    def remove(self, patience: Patience) -> dict[str, Any]:
        """Remove this pipeline's parts. Says what was there."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """The Debezium connector of an engine. oldest: the first version that may be used; why: what older ones do."""

    title: str
    java_class: str
    package: str
    oldest: tuple[int, int]
    why: str


class Engine(Protocol):
    """One engine's way."""

    plugin: Plugin

    def source(self, plan: StreamPlan) -> AbstractContextManager[SourceSetup]:
        """The source's part, with a session for the block."""

    def config(self, plan: StreamPlan, exactly_once: bool, avro: tuple[str, str] | None) -> dict[str, str]:
        """The connector's whole configuration. avro: as in `ConnectorSettings`."""

    def own_topics(self, plan: StreamPlan) -> Collection[str]:
        """Topics that the connector keeps for itself: one partition, for ever, gone with the connector."""
