"""What a connector has committed, as Kafka Connect says it: nothing else tells how far a reader of a binlog is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.kafka.connect import Connect


class ConnectorOffsets:
    """One connector's offset. Connections are opened when it is asked for."""

    def __init__(self, url: str, connector: str) -> None:
        self._url = url
        self._connector = connector
        self._connect: Connect | None = None

    def __call__(self) -> Mapping[str, Any] | None:
        """The offset of its only partition; None where nothing was committed yet. Raises as `Connect` does."""
        if self._connect is None:
            self._connect = Connect(self._url)
        return next(iter(self._connect.offsets(self._connector)), None)

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        if self._connect is not None:
            self._connect.close()
            self._connect = None
