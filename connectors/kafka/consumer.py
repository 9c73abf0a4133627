"""The change stream's consumer: partitions as the group assigns them, positions as the target has them.

Kafka's committed offsets are advisory (for lag tools); on assignment every partition is sought to its position in the
target. Offsets beyond the last event (transaction markers) are passed by the partition's end-of-file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.change import Change, Slice
from mappers.errors import LEAVE_OUT, ChangeoverError, FatalError, RecordError, TransientError

Partition = tuple[str, int]
Decode = Callable[[bytes | None, int], Change]
Ends = Callable[[Iterable[str]], Mapping[Partition, int]]
"""Topics -> the high watermark of each of their partitions: what an open transaction has written is before it."""
LIBRDKAFKA_LOG = logging.getLogger("changeover.librdkafka")
"""What matters in it arrives as an error as well, in this program's words."""


class ChangeConsumer:
    """Reads slices of the assigned partitions. One thread only.

    decoders: topic -> (source table or None, function from value and offset to a Change). ends: asked for the topics of
    new partitions. assigned: called with new partitions, returns their next offsets in the target. revoked: called with
    the partitions taken away.
    """

    def __init__(
        self,
        settings: Mapping[str, object],
        decoders: Mapping[str, tuple[str | None, Decode]],
        ends: Ends,
        assigned: Callable[[Sequence[Partition]], Mapping[Partition, int]],
        revoked: Callable[[Sequence[Partition]], None],
    ) -> None:
        self._decoders = decoders
        self._ends = ends
        self._assigned = assigned
        self._revoked = revoked
        self._next: dict[Partition, int] = {}
        self._unplaced: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._failure: ChangeoverError | None = None
        self._last_error = ""
        try:
            self._consumer = Consumer({**settings, "error_cb": self._on_error, "logger": LIBRDKAFKA_LOG})
        except KafkaException as error:
            raise FatalError(error.args[0].str(), where="kafka.settings") from error
        self._where = str(settings.get("bootstrap.servers", ""))
        self._consumer.subscribe(
            sorted(decoders), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions this process has now."""
        return frozenset(self._next)

    @property
    def trouble(self) -> str:
        """What the broker connection last complained about; empty after a successful read."""
        return self._last_error

    def poll(self, events_max: int, timeout_s: float) -> list[Slice]:
        """Wait for events and return them as slices, one a partition, contiguous with what was returned before.

        Raises RecordError, FatalError or TransientError; what was read before the fault is returned first.
        """
        self._raise_failure()
        trouble = self._place() if self._unplaced else None
        try:
            messages = self._consumer.consume(1, timeout_s)
            if messages:  # consume(n) waits for n messages: wait for one, then take what has arrived
                messages += self._consumer.consume(events_max, 0)
        except KafkaException as error:
            raise self._error(error.args[0]) from error
        slices = self._slices(messages)
        if not slices:
            self._raise_failure()
            if trouble is not None:
                raise trouble
        return slices

    def _raise_failure(self) -> None:
        """What the broker may recover from is raised once, everything else for good."""
        failure = self._failure
        if isinstance(failure, TransientError):
            self._failure = None
        if failure is not None:
            raise failure

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Fetch no more of these for now."""
        wanted = set(partitions) & self._next.keys()
        if new := wanted - self._paused:
            self._consumer.pause([TopicPartition(*where) for where in new])
            self._paused |= new

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Fetch these again."""
        if old := set(partitions) & self._paused & self._next.keys():
            self._consumer.resume([TopicPartition(*where) for where in old])
            self._paused -= old

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the broker where the target stands; for lag tools only, so that a failure is no failure."""
        mine = [TopicPartition(t, p, offset) for (t, p), offset in positions.items() if (t, p) in self._next]
        if mine:
            self._consumer.commit(offsets=mine, asynchronous=True)

    def backlog(self) -> dict[Partition, int]:
        """Events and markers between what was read and the partition's end, as last told by the broker."""
        found = {}
        for where, offset in self._next.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*where), cached=True)
            if high >= 0:
                found[where] = max(0, high - offset)
        return found

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    # -- assignment ------------------------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Only note them: a callback that raises, or assigns nothing, has its partitions assigned at no offset."""
        self._unplaced.update((p.topic, p.partition) for p in partitions)
        consumer.incremental_assign([])

    def _place(self) -> TransientError | None:
        """Begin to read newly assigned partitions at their positions; returns why that has to be tried again."""
        try:
            offsets = self._assigned(sorted(self._unplaced))
            ends = self._ends({topic for topic, _ in offsets})
            for where, offset in offsets.items():
                self._check_range(where, offset, ends[where])
            self._consumer.incremental_assign([TopicPartition(t, p, offset) for (t, p), offset in offsets.items()])
        except TransientError as error:
            return error
        except KafkaException as error:
            raise self._error(error.args[0]) from error
        self._next.update(offsets)
        self._unplaced.clear()
        return None

    def _check_range(self, where: Partition, offset: int, high: int) -> None:
        """A position may lie beyond what this consumer may read: a table joined while a transaction was open."""
        place = f"{where[0]}[{where[1]}]"
        try:
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(*where), timeout=20)
        except KafkaException as error:
            raise TransientError(str(error.args[0].str()), where=place) from error
        if offset < low:
            raise FatalError(
                f"the next event wanted is {offset}, but the topic begins at {low}: its retention removed events",
                where=place,
                hint="raise kafka.retention_h and start over with `run --anew`",
            )
        if offset > high:
            raise FatalError(
                f"the position in the target is {offset}, but the topic ends at {high}: it was recreated or truncated",
                where=place,
                hint="start over with `run --anew`",
            )

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = [(p.topic, p.partition) for p in partitions]
        mine = [TopicPartition(*where) for where in gone if where in self._next]
        self._revoked(gone)
        for where in gone:
            self._next.pop(where, None)
            self._paused.discard(where)
            self._unplaced.discard(where)
        consumer.incremental_unassign(mine)

    # -- messages --------------------------------------------------------------------------------------------------

    def _slices(self, messages: Sequence[Message]) -> list[Slice]:
        changes: dict[Partition, list[Change]] = {}
        ends: dict[Partition, int] = {}
        sizes: dict[Partition, int] = {}
        again: dict[Partition, int] = {}
        for message in messages:
            error = message.error()
            where = (message.topic() or "", message.partition() or 0)
            offset = message.offset() or 0
            if error is None:
                if where not in self._next or where in again:
                    continue  # of a partition that was taken away within this call, or is read again
                if again:
                    again[where] = offset
                    continue
                value = message.value()
                sizes[where] = sizes.get(where, 0) + len(value or b"")
                if not self._decode(where, offset, value, changes.setdefault(where, [])):
                    ends[where] = offset  # all that is before it has been read, transaction markers too
                    if not isinstance(self._failure, TransientError):
                        break
                    again[where] = offset
                else:
                    ends[where] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                if where in self._next and where not in again:
                    ends[where] = max(ends.get(where, 0), offset)
            else:
                self._failure = self._failure or self._error(error)
                break
            self._last_error = ""
        self._return_to(again)
        return [
            self._slice(where, end, changes.get(where, []), sizes.get(where, 0)) for where, end in sorted(ends.items())
        ]

    def _return_to(self, offsets: Mapping[Partition, int]) -> None:
        """Have these read again from there: what was fetched could not be decoded yet."""
        try:
            for (topic, partition), offset in offsets.items():
                self._consumer.seek(TopicPartition(topic, partition, offset))
        except KafkaException as error:
            raise self._error(error.args[0]) from error

    def _slice(self, where: Partition, end: int, changes: Sequence[Change], size: int) -> Slice:
        start = self._next[where]
        self._next[where] = max(start, end)
        return Slice(where[0], where[1], self._decoders[where[0]][0], start, self._next[where], changes, size)

    def _decode(self, where: Partition, offset: int, value: bytes | None, into: list[Change]) -> bool:
        _, decode = self._decoders[where[0]]
        try:
            into.append(decode(value, offset))
        except RecordError as error:
            hint = "; ".join(filter(None, (error.hint, LEAVE_OUT)))
            self._failure = RecordError(error.what, where=f"{where[0]}[{where[1]}] offset {offset}", hint=hint)
            return False
        except TransientError as error:  # the registry does not answer
            self._failure = self._failure or error
            return False
        return True

    def _error(self, error: KafkaError) -> ChangeoverError:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            return FatalError(
                f"the topic no longer has the wanted offset ({error.str()})",
                where=self._where,
                hint="its retention removed events: raise kafka.retention_h and start over with `run --anew`",
            )
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            return FatalError(error.str(), where=self._where, hint="run `changeover connector apply`")
        return TransientError(error.str(), where=f"kafka {self._where}")

    def _on_error(self, error: KafkaError) -> None:
        self._last_error = error.str()
        if error.fatal():
            self._failure = FatalError(error.str(), where=f"kafka {self._where}")


def settings(
    bootstrap: str, group: str, extra: Mapping[str, object], *, client_id: str = "changeover"
) -> dict[str, object]:
    """librdkafka's settings for the change stream."""
    return {
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_500,
        "max.poll.interval.ms": 300_000,
        "fetch.wait.max.ms": 20,
        # Bytes as they travel: JSON with schemas unpacks to twenty times as much, all of it resident at once.
        "fetch.max.bytes": 1 << 20,
        "max.partition.fetch.bytes": 512 << 10,
        "receive.message.max.bytes": 64 << 20,
        "queued.max.messages.kbytes": 16 << 10,
        "queued.min.messages": 20_000,
        # The default is a second of not fetching each time the queue has been full.
        "fetch.queue.backoff.ms": 5,
        **extra,
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "client.id": client_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.partition.eof": True,
    }
