"""The source's part, the topics and the connector, as one thing: applied, asked and removed.

`apply` makes the whole way from the source to Kafka, and changes nothing where it is already there. What belongs to
someone else (by the pipeline's name in the connector, by a mark at the source) is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from connectors.kafka.avro_converters import chosen
from connectors.kafka.connect import Connect
from connectors.kafka.connector_config import OWNER
from connectors.kafka.topics import Topics, admin_client
from connectors.waiting import Patience
from daemon.connector.engine import Engine, SourceSetup
from daemon.connector.engines import engine_of
from daemon.connector.plan import StreamPlan
from mappers.errors import ChangeoverError, ConfigError, FatalError, Problem

FOR_EVER = -1


def apply(plan: StreamPlan, patience: Patience) -> dict[str, Any]:
    """Bring everything to what the plan says, and wait until changes flow. Says what it created and changed.

    Raises ConfigError with everything that is missing at the source, before anything is changed.
    """
    engine = engine_of(plan.kind)
    with engine.source(plan) as source, Connect(plan.connect_url) as connect:
        source.check()
        config = patience.call(lambda: _config(plan, engine, connect))
        now = _own_config(plan, connect)
        _check_continuity(source, connect, now is not None)
        created = patience.call(lambda: _ensure_topics(plan, engine))
        prepared = source.prepare()
        changed = patience.call(lambda: _put(plan, connect, config, now))
        connect.wait_running(plan.connector, patience)
        where, _ = source.not_ready(connect)
        patience.until(lambda: source.not_ready(connect)[1], where=where)
        return {
            "topics_created": created,
            **prepared,
            "connector": changed,
            "exactly_once": "exactly.once.support" in config,
            **source.made(),
        }


def status(plan: StreamPlan) -> dict[str, Any]:
    """How each part is. A part that cannot be asked says why instead: {"error": ...}."""
    return {
        "connector": _told(lambda: _connector_status(plan)),
        "source": _told(lambda: _source_status(plan)),
        "topics": _told(lambda: _topic_status(plan)),
    }


def delete(plan: StreamPlan, patience: Patience, *, topics: bool = False) -> dict[str, Any]:
    """Remove the connector with its offsets, the source's part and, if asked, the topics. Says what was there.

    In this order, so that it can be repeated from wherever it was interrupted. What the connector keeps for itself in
    a topic goes with it.
    """
    engine = engine_of(plan.kind)
    with engine.source(plan) as source, Connect(plan.connect_url) as connect:
        removed = {"connector": _remove_connector(plan, connect, patience), **source.remove(patience)}
        own = engine.own_topics(plan)
        gone = _topics(plan).delete([*plan.topics, *own] if topics else own)
        return {**removed, "topics": gone if topics else []}


def _ensure_topics(plan: StreamPlan, engine: Engine) -> list[str]:
    topics, own = _topics(plan), dict.fromkeys(engine.own_topics(plan), 1)
    created = topics.ensure(plan.topics, plan.replication_factor, plan.retention_ms)
    return created + topics.ensure(own, plan.replication_factor, FOR_EVER) if own else created


def _topics(plan: StreamPlan) -> Topics:
    return Topics(admin_client(plan.bootstrap_servers, plan.kafka_settings or {}), plan.bootstrap_servers)


def _config(plan: StreamPlan, engine: Engine, connect: Connect) -> dict[str, str]:
    """The connector's configuration, after asking the workers what they can do."""
    plugin = engine.plugin
    version, oldest = connect.plugins().get(plugin.java_class), ".".join(map(str, plugin.oldest))
    if version is None:
        hint = f"install {plugin.package} {oldest} or later in the workers' plugin.path"
        raise FatalError(f"Debezium's {plugin.title} connector is not installed", where=connect.where, hint=hint)
    if version_of(version) < plugin.oldest:
        raise FatalError(f"Debezium {version} {plugin.why}", where=connect.where, hint=f"install {oldest} or later")
    exactly_once = plan.exactly_once != "off" and connect.offers_exactly_once(plugin.java_class)
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
    avro = None if converter is None else (converter, plan.registry_url)
    return engine_of(plan.kind).config(plan, exactly_once, avro)


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


def _check_continuity(source: SourceSetup, connect: Connect, exists: bool) -> None:
    """A connector that has read before, whose place in the log is gone, has missed changes that nobody brings back."""
    what, gone = source.lost(connect, exists=exists)
    if gone:
        raise FatalError(
            f"it {gone}: changes were lost that the stream has not seen",
            where=what,
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
        found: dict[str, Any] = {
            "name": plan.connector,
            "debezium": connect.plugins().get(engine_of(plan.kind).plugin.java_class),
        }
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
    with engine_of(plan.kind).source(plan) as source:
        return source.status()


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
