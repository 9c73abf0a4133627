"""Reading ranges of partitions to look at them: assigned, never subscribed, nothing committed, no effect on a group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.consumer import LIBRDKAFKA_LOG, Partition
from mappers.errors import FatalError, TransientError

FETCH_MAX = 10_000
LOOK_S = 0.2


class Logged(NamedTuple):
    """One message as it is in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class LogReader:
    """Reads what is in partitions. One thread only. timeout_s: how long the broker may be silent."""

    def __init__(self, settings: Mapping[str, object], timeout_s: float = 15.0) -> None:
        self._where = f"kafka {settings.get('bootstrap.servers', '')}"
        self._timeout_s = timeout_s
        self._trouble = ""
        self.reached: dict[Partition, int] = {}
        try:
            self._consumer = Consumer({**settings, "error_cb": self._on_error, "logger": LIBRDKAFKA_LOG})
        except KafkaException as error:
            raise FatalError(error.args[0].str(), where="kafka.settings") from error

    def close(self) -> None:
        """Close the connection to the broker."""
        self._consumer.close()

    def bounds(self, where: Partition) -> tuple[int, int]:
        """The partition's first offset, and one past its last record or marker. Raises TransientError."""
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*where), timeout=self._timeout_s)
        except KafkaException as error:
            raise self._error(error.args[0].str()) from error
        return int(low), int(high)

    def read(self, ranges: Mapping[Partition, tuple[int, int]]) -> Iterator[Logged]:
        """The committed messages at [start, end) of each partition, each in order; `reached` says how far it was read.

        Raises TransientError when the broker falls silent before the ends.
        """
        left = {where: end for where, (start, end) in ranges.items() if start < end}
        self.reached = {where: start for where, (start, _) in ranges.items()}
        self._consumer.assign([TopicPartition(*where, ranges[where][0]) for where in left])
        deadline = time.monotonic() + self._timeout_s
        try:
            while left:
                messages = self._consumer.consume(FETCH_MAX, LOOK_S)
                if messages:
                    deadline = time.monotonic() + self._timeout_s
                elif time.monotonic() > deadline:
                    raise self._error(self._trouble or "it does not answer")
                for message in messages:
                    if (found := self._look(message, left)) is not None:
                        yield found
        except KafkaException as error:
            raise self._error(error.args[0].str()) from error
        finally:
            self._consumer.unassign()

    def _look(self, message: Message, left: dict[Partition, int]) -> Logged | None:
        where = (message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        error = message.error()
        if where not in left:
            return None
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise self._error(error.str())
            self.reached[where] = max(offset, self.reached[where])
            del left[where]
            return None
        beyond = offset >= left[where]
        self.reached[where] = left[where] if beyond else offset + 1
        if offset + 1 >= left[where]:
            del left[where]
        return None if beyond else Logged(*where, offset, message.key(), message.value())

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error.str()

    def _error(self, what: str) -> TransientError:
        return TransientError(what, where=self._where, hint="start it, or correct kafka.bootstrap_servers")
