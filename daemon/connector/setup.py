"""The source's publication and slot, the topics and the connector, as one thing: applied, asked and removed.

`apply` makes the whole way from the source to Kafka, and changes nothing where it is already there. What belongs to
someone else (by the pipeline's name in the connector, by the publication's comment) is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import psycopg

from connectors.kafka.avro_converters import chosen
from connectors.kafka.connect import DEBEZIUM_POSTGRESQL, Connect
from connectors.kafka.connector_config import OWNER, ConnectorSettings, connector_config
from connectors.kafka.topics import Topics, admin_client
from connectors.postgresql.catalogue import server_facts
from connectors.postgresql.publication import drop_publication, ensure_publication, publication
from connectors.postgresql.session import connect as connect_source
from connectors.postgresql.session import translated
from connectors.postgresql.slots import drop_slot, lost, read_slot
from connectors.waiting import Patience
from daemon.connector.plan import StreamPlan
from daemon.connector.source_checks import check_source
from mappers.errors import ChangeoverError, ConfigError, FatalError, Problem

OLDEST_DEBEZIUM = (3, 7)
"""Earlier ones lose events when they restart between two that share an LSN (debezium/debezium#7531)."""


def apply(plan: StreamPlan, patience: Patience) -> dict[str, Any]:
    """Bring everything to what the plan says, and wait until changes flow. Says what it created and changed.

    Raises ConfigError with everything that is missing at the source, before anything is changed.
    """
    topics = _topics(plan)
    wanted = plan.topics
    with _source(plan) as conn, Connect(plan.connect_url) as connect:
        check_source(conn, plan.tables, plan.slot)
        config = patience.call(lambda: _config(plan, connect))
        now = _own_config(plan, connect)
        _check_continuity(plan, conn, connect, now is not None)
        created = patience.call(lambda: topics.ensure(wanted, plan.replication_factor, plan.retention_ms))
        published = ensure_publication(conn, plan.publication, plan.tables, plan.pipeline)
        changed = patience.call(lambda: _put(plan, connect, config, now))
        connect.wait_running(plan.connector, patience)
        patience.until(lambda: _slot_idle(conn, plan.slot), where=f"replication slot {plan.slot}")
        return {
            "topics_created": created,
            "publication": published,
            "connector": changed,
            "exactly_once": "exactly.once.support" in config,
            "slot": _slot(conn, plan.slot),
        }


def status(plan: StreamPlan) -> dict[str, Any]:
    """How each part is. A part that cannot be asked says why instead: {"error": ...}."""
    return {
        "connector": _told(lambda: _connector_status(plan)),
        "source": _told(lambda: _source_status(plan)),
        "topics": _told(lambda: _topic_status(plan)),
    }


def delete(plan: StreamPlan, patience: Patience, *, topics: bool = False) -> dict[str, Any]:
    """Remove the connector with its offsets, the slot, the publication and, if asked, the topics. Says what was there.

    In this order, so that it can be repeated from wherever it was interrupted.
    """
    with _source(plan) as conn, Connect(plan.connect_url) as connect:
        return {
            "connector": _remove_connector(plan, connect, patience),
            "slot": drop_slot(conn, plan.slot, patience),
            "publication": drop_publication(conn, plan.publication, plan.pipeline),
            "topics": _topics(plan).delete(plan.topics) if topics else [],
        }


@contextmanager
def _source(plan: StreamPlan) -> Iterator[psycopg.Connection[Any]]:
    with translated("source", plan.source_url), connect_source(plan.source_url, "source") as conn:
        yield conn


def _topics(plan: StreamPlan) -> Topics:
    return Topics(admin_client(plan.bootstrap_servers, plan.kafka_settings or {}), plan.bootstrap_servers)


def _config(plan: StreamPlan, connect: Connect) -> dict[str, str]:
    """The connector's configuration, after asking the workers what they can do."""
    version = connect.plugins().get(DEBEZIUM_POSTGRESQL)
    if version is None:
        hint = "install debezium-connector-postgres 3.7 or later in the workers' plugin.path"
        raise FatalError("Debezium's PostgreSQL connector is not installed", where=connect.where, hint=hint)
    if version_of(version) < OLDEST_DEBEZIUM:
        what = f"Debezium {version} can lose events when it restarts (debezium/debezium#7531)"
        raise FatalError(what, where=connect.where, hint="install 3.7 or later")
    exactly_once = plan.exactly_once != "off" and connect.offers_exactly_once()
    if plan.exactly_once == "required" and not exactly_once:
        hint = "set exactly.once.source.support=enabled on every worker, or connect.exactly_once to auto"
        raise FatalError("the workers have exactly-once source support disabled", where=connect.where, hint=hint)
    return wanted_config(plan, exactly_once, connect.converters() if plan.converter else ())


def wanted_config(plan: StreamPlan, exactly_once: bool, converters: Collection[str]) -> dict[str, str]:
    """The connector's settings that the plan asks for. converters: the classes that the workers have.

    Raises ConfigError for overrides and URLs that cannot be, and where the wanted Avro converter is not installed.
    """
    converter = chosen(plan.converter, converters) if plan.converter else None
    if plan.converter and converter is None:
        what = "the Connect workers have no Avro converter" if plan.converter == "auto" else "it is not installed"
        hint = "install Confluent's or Apicurio's in the workers' plugin.path, or set connect.format: json"
        raise ConfigError([Problem(("connect", "converter"), what, hint)])
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
            avro=None if converter is None else (converter, plan.registry_url),
            poll_interval_ms=plan.poll_interval_ms,
            placeholder=plan.placeholder,
            overrides=plan.overrides or {},
        )
    )


def version_of(text: str) -> tuple[int, ...]:
    """A version's first two numbers: (3, 7) of 3.7.0.Final."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _own_config(plan: StreamPlan, connect: Connect) -> dict[str, str] | None:
    """The connector's configuration now; None where there is none. Raises FatalError where it is someone else's."""
    now = connect.config(plan.connector)
    if now is not None and now.get(OWNER) != plan.pipeline:
        owner = now.get(OWNER)
        whose = f"it belongs to pipeline {owner}" if owner else "it was not made by Changeover"
        raise FatalError(
            f"a connector of that name exists and {whose}",
            where=f"{connect.where} connector {plan.connector}",
            hint="set connect.connector to another name",
        )
    return now


def _check_continuity(plan: StreamPlan, conn: psycopg.Connection[Any], connect: Connect, exists: bool) -> None:
    """A connector that has read before, whose slot is gone or lost, has missed changes that nobody can bring back."""
    slot = read_slot(conn, plan.slot)
    gone = lost(slot)
    if gone and (slot is not None or (exists and connect.offsets(plan.connector))):
        raise FatalError(
            f"it {gone}: changes were lost that the stream has not seen",
            where=f"replication slot {plan.slot}",
            hint="run `connector delete`, `connector apply` and `run --anew`: the tables are read from the beginning",
        )


def _put(plan: StreamPlan, connect: Connect, config: Mapping[str, str], now: Mapping[str, str] | None) -> str:
    """Create or change the connector, and let it run: "created", "altered", "resumed", "restarted" or "unchanged"."""
    name = plan.connector
    if now is None or {**config, "name": name} != {**now, "name": name}:
        connect.put(name, config)
        return "created" if now is None else "altered"
    state = connect.state(name)
    if state is not None and state.state in ("PAUSED", "STOPPED"):
        connect.resume(name)
        return "resumed"
    if state is not None and state.failure:
        connect.restart_failed(name)
        return "restarted"
    return "unchanged"


def _slot_idle(conn: psycopg.Connection[Any], slot: str) -> str:
    """Why the slot does not deliver; "" where it does."""
    state = read_slot(conn, slot)
    if state is None:
        return "the connector has not created it yet"
    return "" if state.active else "the connector does not read from it yet"


def _slot(conn: psycopg.Connection[Any], slot: str) -> dict[str, Any] | None:
    state = read_slot(conn, slot)
    return None if state is None else asdict(state)


def _remove_connector(plan: StreamPlan, connect: Connect, patience: Patience) -> bool:
    """Stop the connector, make Connect forget its offsets, delete it. False where there was none.

    Offsets outlive a connector that is only deleted, and one of the same name would start from them, on a slot that
    does not have that any more. So even for a connector that is gone they are deleted, through a stopped one.
    """
    existed = patience.call(lambda: _own_config(plan, connect)) is not None
    if not existed:
        stopped = wanted_config(replace(plan, converter=""), exactly_once=False, converters=())
        patience.call(lambda: connect.create_stopped(plan.connector, stopped))
    patience.call(lambda: connect.stop(plan.connector))
    connect.wait_stopped(plan.connector, patience)
    connect.forget_offsets(plan.connector, patience)
    patience.call(lambda: connect.delete(plan.connector))
    connect.wait_gone(plan.connector, patience)
    return existed


def _connector_status(plan: StreamPlan) -> dict[str, Any]:
    with Connect(plan.connect_url) as connect:
        config, state = connect.config(plan.connector), connect.state(plan.connector)
        found: dict[str, Any] = {"name": plan.connector, "debezium": connect.plugins().get(DEBEZIUM_POSTGRESQL)}
        if config is None or state is None:
            return {**found, "state": "missing"}
        return {
            **found,
            "owner": config.get(OWNER),
            "exactly_once": config.get("exactly.once.support") == "required",
            "running": state.running,
            **asdict(state),
            "offsets": connect.offsets(plan.connector),
        }


def _source_status(plan: StreamPlan) -> dict[str, Any]:
    with _source(plan) as conn:
        published = publication(conn, plan.publication)
        return {
            "server": asdict(server_facts(conn)),
            "slot": {"name": plan.slot, **(_slot(conn, plan.slot) or {"state": "missing"})},
            "publication": {"name": plan.publication, "state": "missing"}
            if published is None
            else {
                "name": plan.publication,
                "owner": published.owner,
                "complete": published.complete and not published.partial,
                "tables_missing": sorted(".".join(table) for table in plan.tables.keys() - published.tables),
            },
        }


def _topic_status(plan: StreamPlan) -> dict[str, Any]:
    topics, wanted = _topics(plan), plan.topics
    counts, ids = topics.partition_counts(wanted), topics.ids(wanted)
    return {
        name: {"partitions": counts[name], "id": ids.get(name)} if name in counts else {"state": "missing"}
        for name in wanted
    }


def _told(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except ChangeoverError as error:
        return {"error": str(error)}
