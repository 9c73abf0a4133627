"""The Kafka broker: one node that is its own controller."""

import shutil
import socket
import struct
from collections.abc import Mapping

from stacklib.java import KAFKA, kafka_program, write_properties
from stacklib.part import Part
from stacklib.ports import HOST
from stacklib.processes import Command
from stacklib.stack import Stack

_CONTROLLER = "kafka-controller"
_MAX_MESSAGE = 32 * 1024 * 1024
_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)
"""The header of an ApiVersions request, version 0, without a client's name."""


class Kafka(Part):
    """The broker."""

    name = "kafka"
    items = (KAFKA,)

    def ports(self) -> list[str]:
        """Return the ports of the broker and of its controller."""
        return [self.name, _CONTROLLER]

    def prepare(self, stack: Stack) -> None:
        """Write the settings and format the storage."""
        home = stack.home(self.name)
        write_properties(home / "server.properties", _settings(stack))
        formatted = home / "formatted"
        if formatted.exists():
            return
        shutil.rmtree(home / "data", ignore_errors=True)
        args = ["format", "-t", stack.state.cluster_id, "-c", str(home / "server.properties")]
        options = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command = kafka_program(home, "kafka.tools.StorageTool", options, args)
        stack.launcher.run(self.name, command, stack.log(self.name))
        formatted.touch()

    def command(self, stack: Stack) -> Command:
        """Return the broker's command."""
        home = stack.home(self.name)
        options = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"]
        return kafka_program(home, "kafka.Kafka", options, [str(home / "server.properties")])

    def ready(self, stack: Stack) -> bool:
        """Tell whether the broker answers a request."""
        try:
            with socket.create_connection((HOST, stack.port(self.name)), timeout=2) as connection:
                connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def env_lines(self, stack: Stack) -> Mapping[str, str]:
        """Return the address for clients."""
        return {"KAFKA_BOOTSTRAP": bootstrap(stack)}


def bootstrap(stack: Stack) -> str:
    """Return the broker's address."""
    return f"{HOST}:{stack.port(Kafka.name)}"


def _settings(stack: Stack) -> dict[str, object]:
    """Return server.properties."""
    controller = f"{HOST}:{stack.port(_CONTROLLER)}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{bootstrap(stack)},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{bootstrap(stack)}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": stack.home(Kafka.name) / "data",
        "message.max.bytes": _MAX_MESSAGE,
        "replica.fetch.max.bytes": _MAX_MESSAGE,
        "auto.create.topics.enable": False,
        "num.partitions": 1,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # A killed broker's successor is let in when the controller has given up the first.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
    }
