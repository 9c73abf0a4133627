"""What `doctor` asks of Kafka, as frozen facts: brokers, topics, their settings and offsets. Read-only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import IsolationLevel, KafkaError, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # as in topics.py

from connectors.kafka.topics import Topics

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic. replicas, in_sync: of the partition that has the fewest. leaderless: partitions that nobody serves."""

    name: str
    topic_id: str
    partitions: int
    replicas: int
    in_sync: int
    leaderless: tuple[int, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KafkaState:
    """A cluster, and these topics of it; a missing topic is absent.

    low, high: (topic, partition) -> the first offset that is still there, and one past the last.
    """

    where: str
    brokers: int
    topics: Mapping[str, TopicState]
    low: Mapping[Partition, int] = field(default_factory=dict)
    high: Mapping[Partition, int] = field(default_factory=dict)


class Cluster(Topics):
    """Questions about a whole cluster. Every call is bounded; an unreachable broker is a TransientError."""

    def state(self, names: Iterable[str]) -> KafkaState:
        """The cluster and these topics."""
        wanted = set(names)
        metadata = self._call(lambda: self._admin.list_topics(timeout=self._timeout_s))
        there = {name: metadata.topics[name] for name in sorted(wanted) if name in metadata.topics}
        ids, settings = self.ids(there), self._configs(there)
        topics = {}
        for name, found in there.items():
            parts = found.partitions.values()
            topics[name] = TopicState(
                name=name,
                topic_id=ids.get(name, ""),
                partitions=len(parts),
                replicas=min((len(part.replicas) for part in parts), default=0),
                in_sync=min((len(part.isrs) for part in parts), default=0),
                leaderless=tuple(sorted(part.id for part in parts if part.leader < 0)),
                settings=settings.get(name, {}),
            )
        served = {
            (name, number)
            for name, topic in topics.items()
            for number in range(topic.partitions)
            if number not in topic.leaderless
        }
        earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return KafkaState(
            where=self._where,
            brokers=len(metadata.brokers),
            topics=topics,
            low=self._offsets(dict.fromkeys(served, earliest)),
            high=self._offsets(dict.fromkeys(served, latest)),
        )

    def first_since(self, times_ms: Mapping[Partition, int]) -> dict[Partition, int]:
        """(topic, partition) -> the first offset whose event is not older than this time; -1 where all are older."""
        specs = {where: OffsetSpec.for_timestamp(at) for where, at in times_ms.items()}
        return self._offsets(specs)

    def _offsets(self, specs: Mapping[Partition, OffsetSpec]) -> dict[Partition, int]:
        if not specs:
            return {}
        wanted = {TopicPartition(topic, number): spec for (topic, number), spec in specs.items()}
        futures = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=self._timeout_s
        )
        found = self._each(futures, KafkaError.UNKNOWN_TOPIC_OR_PART)
        return {(where.topic, where.partition): int(end.offset) for where, end in found.items()}
