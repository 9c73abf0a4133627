"""PostgreSQL's part in the way to Kafka: a publication, which we make, and a slot, which the connector makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import psycopg

from connectors.kafka.connect import DEBEZIUM_POSTGRESQL, Connect
from connectors.kafka.connector_config import ConnectorSettings, connector_config
from connectors.postgresql.catalogue import server_facts
from connectors.postgresql.publication import drop_publication, ensure_publication, publication
from connectors.postgresql.session import connect as connect_source
from connectors.postgresql.session import translated
from connectors.postgresql.slots import drop_slot, lost, read_slot
from connectors.waiting import Patience
from daemon.connector.engine import Plugin
from daemon.connector.plan import StreamPlan
from daemon.connector.source_checks import check_source


class PostgresEngine:
    """PostgreSQL through pgoutput."""

    plugin = Plugin(
        "PostgreSQL",
        DEBEZIUM_POSTGRESQL,
        "debezium-connector-postgres",
        (3, 7),
        "can lose events when it restarts (debezium/debezium#7531)",
    )

    @contextmanager
    def source(self, plan: StreamPlan) -> Iterator[PostgresSetup]:
        """The source's part, with a session for the block."""
        with translated("source", plan.source_url), connect_source(plan.source_url, "source") as conn:
            yield PostgresSetup(plan, conn)

    def config(self, plan: StreamPlan, exactly_once: bool, avro: tuple[str, str] | None) -> dict[str, str]:
        """The connector's whole configuration."""
        return connector_config(
            ConnectorSettings(
                pipeline=plan.pipeline,
                database_url=plan.database_url,
                slot=plan.slot,
                publication=plan.publication,
                topic_prefix=plan.topic_prefix,
                tables=plan.tables,
                exactly_once=exactly_once,
                schemas_enable=plan.schemas_enable,
                avro=avro,
                poll_interval_ms=plan.poll_interval_ms,
                placeholder=plan.placeholder,
                overrides=plan.overrides or {},
            )
        )

    def own_topics(self, plan: StreamPlan) -> Collection[str]:
        """None."""
        return ()


class PostgresSetup:
    """The publication and the slot."""

    def __init__(self, plan: StreamPlan, conn: psycopg.Connection[Any]) -> None:
        self._plan = plan
        self._conn = conn

    def check(self) -> None:
        """Raise ConfigError with everything that is missing at the source."""
        check_source(self._conn, self._plan.tables, self._plan.slot)

    def lost(self, connect: Connect, *, exists: bool) -> tuple[str, str]:
        """The slot of a connector that has read before, where it is gone or has lost its WAL."""
        slot = read_slot(self._conn, self._plan.slot)
        gone = lost(slot)
        read_before = slot is not None or (exists and bool(connect.offsets(self._plan.connector)))
        return (f"replication slot {self._plan.slot}", gone) if gone and read_before else ("", "")

    def prepare(self) -> dict[str, Any]:
        """The publication."""
        plan = self._plan
        return {"publication": ensure_publication(self._conn, plan.publication, plan.tables, plan.pipeline)}

    def not_ready(self, connect: Connect) -> tuple[str, str]:
        """Whether the slot is there and read."""
        state = read_slot(self._conn, self._plan.slot)
        if state is None:
            why = "the connector has not created it yet"
        else:
            why = "" if state.active else "the connector does not read from it yet"
        return f"replication slot {self._plan.slot}", why

    def made(self) -> dict[str, Any]:
        """The slot."""
        return {"slot": self._slot()}

    def status(self) -> dict[str, Any]:
        """Server, slot and publication."""
        plan = self._plan
        published = publication(self._conn, plan.publication)
        return {
            "server": asdict(server_facts(self._conn)),
            "slot": {"name": plan.slot, **(self._slot() or {"state": "missing"})},
            "publication": {"name": plan.publication, "state": "missing"}
            if published is None
            else {
                "name": plan.publication,
                "owner": published.owner,
                "complete": published.complete and not published.partial,
                "tables_missing": sorted(".".join(table) for table in plan.tables.keys() - published.tables),
            },
        }

    def remove(self, patience: Patience) -> dict[str, Any]:
        """The slot, then the publication."""
        plan = self._plan
        return {
            "slot": drop_slot(self._conn, plan.slot, patience),
            "publication": drop_publication(self._conn, plan.publication, plan.pipeline),
        }

    def _slot(self) -> dict[str, Any] | None:
        state = read_slot(self._conn, self._plan.slot)
        return None if state is None else asdict(state)
