"""Kafka Connect and the Debezium connector: does it run, and does it send what the decoder reads? Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from connectors.kafka.avro_converters import NAMES, chosen
from connectors.kafka.connector_check import SettingFault, setting_faults
from connectors.kafka.connector_config import OWNER
from daemon.connector.engines import engine_of
from daemon.connector.setup import version_of
from daemon.doctor.case import CONNECT, Case, wanted_of
from daemon.doctor.findings import Check, Fault, How, Level, Skipped, Verdict, fail, warn
from daemon.doctor.source import APPLY
from daemon.doctor.words import listed
from daemon.logs import is_secret

AREA = "connect"
NEED = (CONNECT,)
_FILE = {
    "message.key.columns": "source_key: the columns in its message.key.columns",
    "value.converter": "kafka.schema_registry: the URL of its registry, with Confluent's interface",
}
"""What to write into the configuration where the connector is right and it is not."""
PATCHES_SINCE = (3, 8)
"""From this version of Kafka on, a worker takes a part of a connector's configuration (KIP-477)."""


def _reachable(case: Case) -> Verdict:
    if case.config.connect is None:
        mend = "connect: {url: http://HOST:8083, connector: ITS_NAME, managed: false}"
        return [warn("there is no section connect, so the connector's settings cannot be checked", mend, How.FILE)]
    if CONNECT in case.errors:
        seen, mend = case.errors[CONNECT]
        return [fail(seen, mend or "start it, or correct connect.url", How.SETTING)]
    return f"{case.connect.where} answers, Kafka {case.connect.worker}"


def _debezium(case: Case) -> Verdict:
    found = case.connect.debezium
    plugin = engine_of(case.config.source.kind).plugin
    oldest = ".".join(map(str, plugin.oldest))
    install = f"install {plugin.package} {oldest} or later in the workers' plugin.path"
    if found is None:
        return [fail(f"Debezium's {plugin.title} connector is not installed", install, How.SETTING)]
    if version_of(found) < plugin.oldest:
        return [fail(f"Debezium {found} {plugin.why}", install, How.SETTING)]
    return f"Debezium {found}"


def _connector(case: Case) -> Verdict:
    section, config = case.config.connect, case.connect.config
    assert section is not None
    if config is None:
        seen = f"there is no connector {section.connector}"
        if section.managed:
            return [fail(f"{seen} yet", APPLY, How.SHELL)]
        return [fail(seen, "connect.connector: the name that it has in Kafka Connect", How.FILE)]
    owner = config.get(OWNER, "")
    if owner == case.config.pipeline:
        return f"{section.connector} is this pipeline's own"
    whose = f"belongs to pipeline {owner}" if owner else "was not made by Changeover"
    if section.managed:
        return [fail(f"{section.connector} {whose}", "connect.managed: false", How.FILE)]
    return f"{section.connector} {whose}; its settings are checked, and never changed"


def _running(case: Case) -> Verdict:
    section, state = case.config.connect, case.connect.state
    assert section is not None
    if state is None:
        return Skipped("there is no connector")
    if state.running:
        return state.describe()
    if state.failure:
        seen = f"{state.describe()}: {state.failure}"
        return [fail(seen, *_act(case, "POST", "/restart?includeTasks=true&onlyFailed=true"))]
    if state.state in ("PAUSED", "STOPPED"):
        return [fail(state.describe(), *_act(case, "PUT", "/resume"))]
    return [warn(f"{state.describe()}: it is being started", "wait, and look again", How.SETTING)]


def _act(case: Case, method: str, path: str) -> tuple[str, How]:
    return f"curl -sS -X {method} '{_url(case)}{path}'", How.SHELL


def _url(case: Case) -> str:
    assert case.config.connect is not None
    return f"{case.connect.where}/connectors/{quote(case.config.connect.connector, safe='')}"


def _settings(case: Case) -> Verdict:
    config = case.connect.config
    if config is None:
        return Skipped("there is no connector")
    entries = case.found_mapping.entries if case.found_mapping else ()
    faults = setting_faults(config, wanted_of(case.config, entries))
    together = {fault.setting: fault.wanted for fault in faults if fault.wanted != ""}
    return [_setting(case, fault, together) for fault in faults]


def _setting(case: Case, fault: SettingFault, together: Mapping[str, str | None]) -> Fault:
    """One setting's line. Every change restarts the connector, so that one request makes them all."""
    value = "***" if is_secret(fault.setting) else fault.value
    level = Level.FAIL if fault.harmful else Level.WARN
    mend = _change(case, together)
    if fault.wanted == "" and not case.managed:
        mend = _FILE[fault.setting], How.FILE
    return Fault(level, f"{value}: {fault.why}", *mend, fault.setting)


def _change(case: Case, settings: Mapping[str, str | None]) -> tuple[str, How]:
    if case.managed:
        return APPLY, How.SHELL
    body = json.dumps(dict(settings))
    if tuple(int(part) for part in case.connect.worker.split(".")[:2] if part.isdigit()) < PATCHES_SINCE:
        return f"put the connector's configuration again with {body}", How.SETTING
    return f"curl -sS -X PATCH -H 'Content-Type: application/json' '{_url(case)}/config' -d '{body}'", How.SHELL


def _format(case: Case) -> Verdict:
    section = case.config.connect
    assert section is not None
    if not section.managed:
        return Skipped("the connector is somebody else's")
    registry = case.config.kafka.schema_registry
    if section.format == "json" or (section.format == "auto" and registry is None):
        return "JSON"
    if registry is None:
        return [fail("connect.format is avro, without a registry", "kafka.schema_registry: its URL", How.FILE)]
    found = chosen(section.converter, case.connect.converters)
    if found is None:
        name = "Avro converter" if section.converter == "auto" else NAMES[section.converter]
        return [fail(f"the workers have no {name}", "connect.format: json, or install it on every worker", How.SETTING)]
    return f"Avro, by {found}"


def _as_configured(case: Case) -> Verdict:
    """A connector of ours that somebody changed, or that was made by another configuration."""
    now, wanted = case.connect.config, case.wanted_config
    if now is None or not case.managed:
        return Skipped("there is no connector of ours")
    if wanted is None:
        return Skipped("what it would be made of is not known")
    differ = sorted(name for name in {*now, *wanted} - {"name"} if now.get(name) != wanted.get(name))
    if differ:
        return [warn(f"{listed(differ)} differ from what `connector apply` sets", APPLY, How.SHELL)]
    return "all settings are as `connector apply` sets them"


def _exactly_once(case: Case) -> Verdict:
    config, offered = case.connect.config or {}, case.connect.exactly_once
    section = case.config.connect
    assert section is not None
    used = config.get("exactly.once.support") == "required"
    worker = "exactly.once.source.support=enabled on every worker (and a restart), or connect.exactly_once: auto"
    if section.exactly_once == "required" and not offered:
        return [fail("the workers do not offer it, and connect.exactly_once requires it", worker, How.SETTING)]
    if case.connect.config is None or used:
        return list(_boundary(case)) or f"{'used' if used else 'offered' if offered else 'not offered'}"
    if offered and section.exactly_once != "off":
        return [
            warn(
                "the workers offer it, and the connector does not use it",
                *_change(case, {"exactly.once.support": "required"}),
            )
        ]
    return "not used: a restart of the connector sends some events twice, which is recognised"


def _boundary(case: Case) -> Iterator[Fault]:
    """Transactions that end by time make every barrier wait for that time."""
    boundary = (case.connect.config or {}).get("transaction.boundary", "poll")
    if boundary.lower() != "poll":
        mend = _change(case, {"transaction.boundary": "poll"})
        yield warn(f"transaction.boundary is {boundary}: events wait for its end", *mend)


def _commits(case: Case) -> Verdict:
    """How soon a position is committed. REST does not tell the worker's setting; exactly-once does not use it."""
    config = case.connect.config
    if config is None:
        return Skipped("there is no connector")
    if config.get("exactly.once.support") == "required":
        return "with every poll, in the transaction of its events"
    seen = (
        "every offset.flush.interval.ms of the workers, which cannot be asked: a barrier waits for it (60 s by default)"
    )
    return [warn(seen, "offset.flush.interval.ms=1000 on every worker, or exactly-once support", How.SETTING)]


CHECKS = (
    Check("reachable", "Kafka Connect's REST interface answers", _reachable),
    Check("Debezium", "Debezium's connector for the source, no older than what is known to be whole", _debezium, NEED),
    Check("connector", "the connector is there, ours or declared as somebody else's", _connector, NEED),
    Check("running", "the connector and its task run", _running, NEED),
    Check("settings", "every setting that the decoder and the hand-over rest on", _settings, NEED),
    Check("format", "the workers have the converter that events are to be written with", _format, NEED),
    Check("as configured", "nobody changed the connector that we made", _as_configured, NEED),
    Check("exactly once", "used where the workers offer it, and there where it is required", _exactly_once, NEED),
    Check("commit interval", "positions are committed soon, so that barriers are quick", _commits, NEED),
)
