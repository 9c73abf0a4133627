"""The topics of the change stream: their names as Debezium makes them, their creation, and what they are now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export what it documents
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from connectors.waiting import Patience
from mappers.errors import ChangeoverError, ConfigError, FatalError, Problem, TransientError

MESSAGE_BYTES_MAX = 32 << 20
"""The largest event a topic takes; the connector's producer is given the same limit."""
TIMEOUT_S = 15.0
_NAME_MAX = 249
_LOG = logging.getLogger("changeover.librdkafka")
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._RETRY,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.INCONSISTENT_TOPIC_ID,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""What Kafka's protocol calls retriable, and what the client says while it has no connection."""
Result = TypeVar("Result")


def table_topic(prefix: str, schema: str, table: str) -> str:
    """The topic of a table's changes, as Debezium names it: what Kafka does not allow in a name becomes _."""
    return "".join(_allowed(char) for char in f"{prefix}.{schema}.{table}")


def message_topic(prefix: str) -> str:
    """The topic of logical messages (barriers and heartbeats)."""
    return f"{prefix}.message"


def heartbeat_topic(prefix: str) -> str:
    """The topic in which Debezium says that it lives."""
    return f"__debezium-heartbeat.{prefix}"


def table_topics(prefix: str, tables: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(schema, name) -> topic. Raises ConfigError where two tables would share one, or a name is too long for Kafka."""
    topics = {(schema, name): table_topic(prefix, schema, name) for schema, name in tables}
    problems = []
    owners: dict[str, tuple[str, str]] = {}
    for table, topic in topics.items():
        if len(topic) > _NAME_MAX:
            message = f"the topic {topic} would be longer than the {_NAME_MAX} characters that Kafka takes"
            problems.append(Problem(("tables",), message, "set a shorter source.topic_prefix"))
        other = owners.setdefault(_same(topic), table)
        if other != table:
            message = f"{'.'.join(other)} and {'.'.join(table)} would share the topic {topic}"
            problems.append(Problem(("tables",), message, "rename one, or move it in a pipeline with another prefix"))
    if problems:
        raise ConfigError(problems)
    return topics


def admin_client(bootstrap: str, extra: Mapping[str, str | int | float]) -> AdminClient:
    """A client for the functions below. Connects when it is first used."""
    return AdminClient({**extra, "bootstrap.servers": bootstrap, "client.id": "changeover"}, logger=_LOG)


class Topics:
    """The topics of one cluster. Every call is bounded by `timeout_s`; an unreachable broker is a TransientError."""

    def __init__(self, admin: AdminClient, bootstrap: str, timeout_s: float = TIMEOUT_S) -> None:
        self._admin = admin
        self._where = f"kafka {bootstrap}"
        self._timeout_s = timeout_s

    def ensure(self, partitions: Mapping[str, int], replication_factor: int, retention_ms: int) -> list[str]:
        """Create what is missing (names and partition counts as given) and return it; check what is there.

        retention_ms: -1 for ever.
        Raises ConfigError with every problem of every existing topic; then nothing was created.
        """
        existing = self.partition_counts(partitions)
        problems = list(self._problems(existing, partitions, retention_ms))
        if problems:
            raise ConfigError(problems)
        missing = [name for name in partitions if name not in existing]
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(MESSAGE_BYTES_MAX),
        }
        new = [NewTopic(name, partitions[name], replication_factor, config=config) for name in missing]
        if new:
            futures = self._admin.create_topics(new, operation_timeout=self._timeout_s)
            self._each(futures, KafkaError.TOPIC_ALREADY_EXISTS)
            self._wait_led({name: partitions[name] for name in missing})
        return missing

    def partition_counts(self, names: Iterable[str]) -> dict[str, int]:
        """Topic -> number of partitions; topics that are not there are absent."""
        wanted = set(names)
        found = self._call(lambda: self._admin.list_topics(timeout=self._timeout_s)).topics
        return {name: len(found[name].partitions) for name in sorted(wanted) if name in found}

    def ids(self, names: Iterable[str]) -> dict[str, str]:
        """Topic -> its id, which a topic that is deleted and created again does not keep. Missing ones are absent."""
        wanted = list(self.partition_counts(names))  # asked about a topic that is not there, librdkafka waits for it
        if not wanted:
            return {}
        futures = self._admin.describe_topics(TopicCollection(wanted), request_timeout=self._timeout_s)
        described = self._each(futures, KafkaError.UNKNOWN_TOPIC_OR_PART)
        return {name: str(topic.topic_id) for name, topic in described.items()}

    def end_offsets(self, names: Iterable[str]) -> dict[tuple[str, int], int]:
        """(topic, partition) -> high watermark: one past the last record or marker, committed or not."""
        counts = self.partition_counts(names)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(name, p): latest for name, count in counts.items() for p in range(count)}
        if not wanted:
            return {}
        futures = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=self._timeout_s
        )
        return {(where.topic, where.partition): int(end.offset) for where, end in self._each(futures).items()}

    def delete(self, names: Iterable[str]) -> list[str]:
        """Delete these topics, with all that is in them; returns those that were there."""
        existing = list(self.partition_counts(names))
        if existing:
            futures = self._admin.delete_topics(existing, operation_timeout=self._timeout_s)
            self._each(futures, KafkaError.UNKNOWN_TOPIC_OR_PART)
        return existing

    def _wait_led(self, partitions: Mapping[str, int]) -> None:
        """Wait until every partition of new topics answers: they are there a moment before they have a leader."""

        def unled() -> str:
            answered = len(self.end_offsets(partitions))
            return "" if answered == sum(partitions.values()) else f"{answered} partitions answer"

        Patience(self._timeout_s).until(unled, where=f"{self._where}: new topics")

    def _problems(self, existing: Mapping[str, int], wanted: Mapping[str, int], retention_ms: int) -> Iterable[Problem]:
        configs = self._configs(existing)
        for name, count in existing.items():
            config, path = configs[name], ("kafka", "topics", name)
            if count != wanted[name]:
                message = f"it has {count} partitions, not {wanted[name]}"
                yield Problem(
                    path, message, f"set kafka.partitions to {count}, or delete the topic if nothing is in it"
                )
            if "compact" in config["cleanup.policy"]:
                hint = "set its cleanup.policy to delete"
                yield Problem(path, f"cleanup.policy is {config['cleanup.policy']}: compaction removes events", hint)
            kept = int(config["retention.ms"])
            if kept >= 0 and (retention_ms < 0 or kept < retention_ms):
                message = f"retention.ms is {config['retention.ms']}, below kafka.retention_h ({retention_ms} ms)"
                yield Problem(path, message, f"set its retention.ms to {retention_ms}")

    def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        found = self._each(self._admin.describe_configs(resources, request_timeout=self._timeout_s))
        return {
            resource.name: {key: entry.value for key, entry in entries.items()} for resource, entries in found.items()
        }

    def _each(self, futures: Mapping[Any, Future[Any]], *ignored: int) -> dict[Any, Any]:
        """The result of every future; those that failed with an ignored code are absent."""
        results = {}
        for what, future in futures.items():
            try:
                results[what] = future.result(self._timeout_s + 5)
            except KafkaException as error:
                if error.args[0].code() not in ignored:
                    raise self._error(error.args[0]) from error
        return results

    def _call(self, operation: Callable[[], Result]) -> Result:
        try:
            return operation()
        except KafkaException as error:
            raise self._error(error.args[0]) from error

    def _error(self, error: KafkaError) -> ChangeoverError:
        if error.code() in _PASSING or error.retriable():
            return TransientError(error.str(), where=self._where, hint="start it, or correct kafka.bootstrap_servers")
        return FatalError(error.str(), where=self._where)


def stream_topics(
    prefix: str, tables: Sequence[tuple[str, str]], partitions: int, messages: str = ""
) -> dict[str, int]:
    """Every topic of a stream and its number of partitions: the tables', the messages', Debezium's heartbeats'.

    messages: the messages' topic, where it is not that of logical messages.
    """
    topics = dict.fromkeys(table_topics(prefix, tables).values(), partitions)
    return {**topics, messages or message_topic(prefix): 1, heartbeat_topic(prefix): 1}


def history_topic(prefix: str) -> str:
    """The topic in which a connector of MariaDB or MySQL keeps the tables' definitions, for itself."""
    return f"{prefix}.schema-history"


def _allowed(char: str) -> str:
    """Debezium replaces each UTF-16 unit by itself: what lies beyond the basic plane becomes two."""
    if char.isascii() and (char.isalnum() or char in "._-"):
        return char
    return "_" if ord(char) <= 0xFFFF else "__"


def _same(topic: str) -> str:
    """Kafka refuses topics that differ in . and _ only: their metrics would collide."""
    return topic.replace(".", "_")
