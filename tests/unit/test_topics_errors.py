"""Which of Kafka's errors are waited for, and which end the process."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka.topics import Topics
from mappers.errors import ChangeoverError, FatalError, TransientError


class Broker(AdminClient):
    """Answers every question with an error."""

    def __init__(self, code: int) -> None:
        super().__init__({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
        self._code = code

    def list_topics(self, *_: object, **__: object) -> object:
        raise KafkaException(KafkaError(self._code))


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (KafkaError.UNKNOWN_LEADER_EPOCH, TransientError),
        (KafkaError.FENCED_LEADER_EPOCH, TransientError),
        (KafkaError.LEADER_NOT_AVAILABLE, TransientError),
        (KafkaError._ALL_BROKERS_DOWN, TransientError),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, FatalError),
        (KafkaError.INVALID_REPLICATION_FACTOR, FatalError),
    ],
)
def test_what_passes_is_waited_for(code: int, raised: type[ChangeoverError]) -> None:
    with pytest.raises(raised):
        Topics(Broker(code), "broker").partition_counts(["any"])
