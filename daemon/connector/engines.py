"""The engines of sources by their name in the configuration. A driver is loaded when its engine is asked for."""

from __future__ import annotations

from daemon.connector.engine import Engine


def engine_of(kind: str) -> Engine:
    """How a source of this kind gets to Kafka."""
    if kind == "postgresql":
        from daemon.connector.postgresql import PostgresEngine

        return PostgresEngine()
    from daemon.connector.mariadb import MariadbEngine

    return MariadbEngine(kind)
