"""Kafka Connect, one distributed worker, with Debezium's connectors as its plugins."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

from stacklib.cache import Item, MavenFiles, fetch
from stacklib.java import KAFKA, kafka_program, write_properties
from stacklib.kafka import bootstrap
from stacklib.part import Part
from stacklib.ports import HOST
from stacklib.processes import Command
from stacklib.stack import Stack

DEBEZIUM_POSTGRES = MavenFiles("debezium-postgres")
OLDER_DEBEZIUM = {"3.6.3": MavenFiles("debezium-postgres-3.6.3")}
"""Releases that are only there to show what they do wrong."""
_CONVERTER = "org.apache.kafka.connect.json.JsonConverter"
_MAX_REQUEST = 32 * 1024 * 1024
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Connect(Part):
    """The worker. Other parts may bring plugins for it."""

    name = "connect"
    items = (KAFKA, DEBEZIUM_POSTGRES)
    plugins = (DEBEZIUM_POSTGRES,)
    ready_bound_s = 120

    def __init__(self) -> None:
        """Start with the plugins of its own."""
        self._plugins: dict[Item, None] = dict.fromkeys(self.plugins)

    def add_plugins(self, plugins: Iterable[Item]) -> None:
        """Put more plugins on the path."""
        self._plugins.update(dict.fromkeys(plugins))

    def prepare(self, stack: Stack) -> None:
        """Write the worker's settings."""
        plugins = [item for item in self._plugins if item is not DEBEZIUM_POSTGRES or not stack.state.debezium]
        if stack.state.debezium:
            plugins.append(OLDER_DEBEZIUM[stack.state.debezium])
            fetch(plugins)
        settings = _settings(stack, plugins)
        write_properties(stack.home(self.name) / "worker.properties", settings)

    def command(self, stack: Stack) -> Command:
        """Return the worker's command."""
        home = stack.home(self.name)
        options = ["-Xms256m", "-Xmx768m", "-XX:+UseSerialGC"]
        main_class = "org.apache.kafka.connect.cli.ConnectDistributed"
        return kafka_program(home, main_class, options, [str(home / "worker.properties")])

    def ready(self, stack: Stack) -> bool:
        """Tell whether the worker serves its REST interface (before that it answers 404)."""
        try:
            with _DIRECT.open(f"{_url(stack)}/connectors", timeout=5) as answer:
                return isinstance(json.load(answer), list)
        except (OSError, ValueError, urllib.error.URLError):
            return False

    def env_lines(self, stack: Stack) -> Mapping[str, str]:
        """Return the URL of the REST interface."""
        return {"CONNECT_URL": _url(stack)}


def _url(stack: Stack) -> str:
    """Return the URL of the REST interface."""
    return f"http://{HOST}:{stack.port(Connect.name)}"


def _settings(stack: Stack, plugins: Sequence[Item]) -> dict[str, object]:
    """Return worker.properties."""
    return {
        "bootstrap.servers": bootstrap(stack),
        "group.id": "connect",
        "listeners": _url(stack),
        "rest.advertised.host.name": HOST,
        "rest.advertised.port": stack.port(Connect.name),
        "plugin.path": ",".join(str(item.path) for item in plugins),
        "plugin.discovery": "service_load",
        "key.converter": _CONVERTER,
        "key.converter.schemas.enable": False,
        "value.converter": _CONVERTER,
        "value.converter.schemas.enable": False,
        "config.storage.topic": "connect-configs",
        "config.storage.replication.factor": 1,
        "offset.storage.topic": "connect-offsets",
        "offset.storage.replication.factor": 1,
        "offset.storage.partitions": 1,
        "status.storage.topic": "connect-status",
        "status.storage.replication.factor": 1,
        "status.storage.partitions": 1,
        "offset.flush.interval.ms": 100,
        "exactly.once.source.support": "enabled" if stack.state.exactly_once else "disabled",
        "connector.client.config.override.policy": "All",
        "producer.max.request.size": _MAX_REQUEST,
        "consumer.max.partition.fetch.bytes": _MAX_REQUEST,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 2000,
        "scheduled.rebalance.max.delay.ms": 0,
        "task.shutdown.graceful.timeout.ms": 3000,
    }
