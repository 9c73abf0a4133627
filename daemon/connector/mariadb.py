"""MariaDB's part in the way to Kafka: a table of our own at the source, and a topic of the connector's. MySQL by the
same code (not run against MySQL).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from connectors.kafka.binlog_connector import BinlogConnectorSettings, binlog_connector_config, plugin_of
from connectors.kafka.connect import Connect
from connectors.kafka.topics import history_topic
from connectors.mariadb import binlog, heartbeat_table
from connectors.mariadb.log import lost_log, position_of
from connectors.mariadb.server import server_facts
from connectors.mariadb.session import Raw, translated
from connectors.mariadb.session import connect as connect_source
from connectors.waiting import Patience
from daemon.connector.engine import Plugin
from daemon.connector.mariadb_checks import check_source
from daemon.connector.plan import StreamPlan

BEATS = (heartbeat_table.DATABASE, heartbeat_table.TABLE)
_SENTINEL = '{"kind": "sentinel"}'


class MariadbEngine:
    """MariaDB or MySQL through the binlog."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        title = "MySQL" if kind == "mysql" else "MariaDB"
        self.plugin = Plugin(
            title, plugin_of(kind), f"debezium-connector-{kind}", (3, 5), "is older than what was tried"
        )

    @contextmanager
    def source(self, plan: StreamPlan) -> Iterator[MariadbSetup]:
        """The source's part, with a session for the block."""
        with translated("source", plan.source_url):
            raw = connect_source(plan.source_url, "source")
            try:
                yield MariadbSetup(plan, raw)
            finally:
                raw.close()

    def config(self, plan: StreamPlan, exactly_once: bool, avro: tuple[str, str] | None) -> dict[str, str]:
        """The connector's whole configuration."""
        return binlog_connector_config(
            BinlogConnectorSettings(
                kind=self._kind,
                pipeline=plan.pipeline,
                connector=plan.connector,
                database_url=plan.database_url,
                topic_prefix=plan.topic_prefix,
                tables=plan.tables,
                beats=BEATS,
                history_topic=history_topic(plan.topic_prefix),
                bootstrap_servers=plan.bootstrap_servers,
                exactly_once=exactly_once,
                schemas_enable=plan.schemas_enable,
                avro=avro,
                poll_interval_ms=plan.poll_interval_ms,
                overrides=plan.overrides or {},
            )
        )

    def own_topics(self, plan: StreamPlan) -> Collection[str]:
        """Where the connector keeps the tables' definitions."""
        return (history_topic(plan.topic_prefix),)


class MariadbSetup:
    """Our own table, and the binlog."""

    def __init__(self, plan: StreamPlan, raw: Raw) -> None:
        self._plan = plan
        self._raw = raw

    def check(self) -> None:
        """Raise ConfigError with everything that is missing at the source."""
        check_source(self._raw, self._plan.tables, self._plan.overrides)

    def lost(self, connect: Connect, *, exists: bool) -> tuple[str, str]:
        """The place of a connector that has read before, where the binlog does not have it any more."""
        offsets = connect.offsets(self._plan.connector) if exists else []
        if not offsets:
            return "", ""
        what = f"connector {self._plan.connector}"
        if heartbeat_table.read(self._raw, self._plan.pipeline) is None:
            return what, f"has lost its row in {heartbeat_table.PLACE}"
        gone = lost_log(binlog.files(self._raw), binlog.end(self._raw), position_of(offsets[0]))
        return (what, gone) if gone else ("", "")

    def prepare(self) -> dict[str, Any]:
        """Our own table, with a row for the pipeline."""
        return {"heartbeat": "created" if heartbeat_table.create(self._raw, self._plan.pipeline) else "unchanged"}

    def not_ready(self, connect: Connect) -> tuple[str, str]:
        """Whether it has delivered something that was written after it began."""
        heartbeat_table.beat(self._raw, self._plan.pipeline, _SENTINEL, binlog.end(self._raw))
        found = connect.offsets(self._plan.connector)
        return f"connector {self._plan.connector}", "" if found else "it has delivered nothing yet"

    def made(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def status(self) -> dict[str, Any]:
        """The server, and our own table."""
        row = heartbeat_table.read(self._raw, self._plan.pipeline)
        return {
            "server": server_facts(self._raw).shown(),
            "heartbeat": {"table": heartbeat_table.PLACE, "state": "missing" if row is None else "there"},
        }

    def remove(self, patience: Patience) -> dict[str, Any]:
        """The pipeline's row, and the table once it is empty."""
        return {"heartbeat": heartbeat_table.drop(self._raw, self._plan.pipeline)}
