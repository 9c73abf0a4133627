"""The thread that reads: events into the buffer, partitions paused while the writer is behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from connectors.kafka.consumer import ChangeConsumer, Partition
from daemon.stream.buffer import Buffer
from mappers.errors import ChangeoverError, FatalError, TransientError

log = logging.getLogger(__name__)
EVENTS_PER_POLL = 2_000
POLL_TIMEOUT_S = 0.1


class Reader(threading.Thread):
    """Polls until stopped or until something fails; then the buffer is closed and `failure` says why.

    make_consumer: from the callbacks for assigned and revoked partitions to a consumer. positions: the offsets that the
    target has for partitions newly assigned.
    """

    def __init__(
        self,
        make_consumer: Callable[[Assigned, Revoked], ChangeConsumer],
        positions: Callable[[Sequence[Partition]], Mapping[Partition, int]],
        buffer: Buffer,
        events_max: int,
        bytes_max: int,
        handover_s: float,
        troubled: Callable[[str], None],
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self.failure: ChangeoverError | None = None
        self.backlog: dict[Partition, int] = {}
        self.partitions: frozenset[Partition] = frozenset()
        self.rebalances = 0
        self.paused: frozenset[str] = frozenset()
        """Topics of which nothing is fetched."""
        self._make_consumer = make_consumer
        self._positions = positions
        self._buffer = buffer
        self._limits = (events_max, bytes_max)
        self._handover_s = handover_s
        self._troubled = troubled
        self._stopping = threading.Event()
        self._commits: dict[Partition, int] = {}

    def stop(self) -> None:
        """Leave the group and end, after the poll in hand."""
        self._stopping.set()

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Positions that the target has now; told to the broker with the next poll, for lag tools."""
        self._commits = {**self._commits, **positions}

    def run(self) -> None:
        """The thread's body."""
        try:
            consumer = self._make_consumer(self._assigned, self._revoked)
            try:
                while not self._stopping.is_set():
                    self._poll(consumer)
            except BaseException as error:
                self._fail(error)
                self._stopping.wait()  # leaving the group forgets what was read before the fault: that is written first
            finally:
                consumer.close()
        except BaseException as error:
            self._fail(error)
        finally:
            self._buffer.close()

    def _fail(self, error: BaseException) -> None:
        """A thread's fault stops the process, whatever it is."""
        if not isinstance(error, ChangeoverError):
            log.exception("the reader failed")
            error = FatalError(f"the reader failed: {error!r}")
        self.failure = self.failure or error
        self._buffer.close()

    def _poll(self, consumer: ChangeConsumer) -> None:
        self._balance(consumer)
        try:
            self._buffer.put(consumer.poll(EVENTS_PER_POLL, POLL_TIMEOUT_S))
        except TransientError as error:  # librdkafka reconnects by itself
            self._troubled(str(error))
            self._stopping.wait(POLL_TIMEOUT_S)
        else:
            self._troubled(consumer.trouble)
        self.backlog = consumer.backlog()
        self.partitions = consumer.partitions
        commits, self._commits = self._commits, {}
        consumer.commit(commits)

    def _balance(self, consumer: ChangeConsumer) -> None:
        """Bound the buffer: each partition may fill its share, so that one held by a chunk does not stop the others."""
        events_max, bytes_max = self._limits
        fill = {w: max(events / events_max, size / bytes_max) for w, (events, size) in self._buffer.sizes().items()}
        paused = {where for where in consumer.partitions if where[0] in self.paused}
        taken = sum(fill.pop(where, 0.0) for where in paused)
        shares = shares_taken(fill, taken)
        consumer.pause(paused | {where for where, share in shares.items() if share >= 1})
        consumer.resume(w for w in consumer.partitions - paused if shares.get(w, 0.0) < 0.5)

    def _assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        self.rebalances += 1
        self._buffer.drop(partitions, 0)
        return self._positions(partitions)

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        self._buffer.drop(partitions, self._handover_s)


def shares_taken(fill: Mapping[Partition, float], paused: float) -> dict[Partition, float]:
    """How much of its share of the buffer each partition takes; 1 is all of it. Pure.

    fill: partition -> the part of the whole buffer that it takes. paused: the part that paused tables take, which is
    gone from what the others share, down to a quarter.
    """
    sharing = max(1, sum(1 for full in fill.values() if full))
    room = max(1 - paused, 0.25)
    return {where: full * sharing / room for where, full in fill.items()}


Assigned = Callable[[Sequence[Partition]], Mapping[Partition, int]]
Revoked = Callable[[Sequence[Partition]], None]
