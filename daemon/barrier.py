"""The barrier: proof that everything committed at the source before now has been applied. Never a gauge.

A sentinel is written into the source's log; when the connector's committed position has passed it, everything before it
is in Kafka; only then are the ends of all partitions read (high watermarks: transaction markers count), and then every
position in the target must be at or past them, with no chunk left to load. (docs/protocol.md, part 5 of the rules.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from connectors.chunks import ChunkRow, ChunkState, Position
from connectors.source_log import SourceLog
from mappers.errors import NotReadyError

SENTINEL = json.dumps({"kind": "sentinel"})
NUDGE_S = 1.0


class Barrier:
    """Writes sentinels and waits. wait: called between looks. clock: monotonic seconds. One thread only."""

    def __init__(
        self,
        log: SourceLog,
        wait: Callable[[], None],
        clock: Callable[[], float],
        limit_s: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log = log
        self._wait = wait
        self._clock = clock
        self._limit_s = limit_s
        self._stopping = stopping
        self._deadline = 0.0

    def close(self) -> None:
        """Close its connection to the source."""
        self._log.close()

    def sentinel(self) -> int:
        """Write a sentinel; returns its position in the log (`SourceLog.emit`). The time limit runs from here."""
        self._deadline = self._clock() + self._limit_s
        return self._log.emit(SENTINEL)

    def delivered(self, position: int) -> None:
        """Wait until the connector's committed position has passed a sentinel. Raises NotReadyError, TransientError.

        The position may lie behind what somebody else wrote into the log since, which on a quiet database the connector
        does not pass before there is something new for it: so there is, every second.
        """
        nudged = self._clock()
        while True:
            if self._log.confirmed() >= position:
                return
            if self._clock() - nudged >= NUDGE_S:
                nudged = self._clock()
                self._log.emit(SENTINEL)
            self._pause(f"the connector's committed position ({self._log.name}) to pass the sentinel")

    def applied(
        self,
        ends: Mapping[tuple[str, int], int],
        look: Callable[[], tuple[list[Position], list[ChunkRow]]],
    ) -> None:
        """Wait until the target has passed these ends and holds every chunk. Raises NotReadyError, saying for what."""
        while blocker := blocking(ends, *look()):
            self._pause(blocker)

    def _pause(self, waiting_for: str) -> None:
        if self._clock() >= self._deadline or self._stopping():
            raise NotReadyError(f"timed out after {self._limit_s:g} s waiting for {waiting_for}")
        self._wait()


def blocking(ends: Mapping[tuple[str, int], int], positions: list[Position], chunks: list[ChunkRow]) -> str:
    """What keeps the barrier from being passed; empty when it is. Pure."""
    if not chunks:
        return "the pipeline to be started"
    unfinished = sum(chunk.state is not ChunkState.DONE for chunk in chunks)
    if unfinished:
        return f"{unfinished} of {len(chunks)} chunks"
    at = {(position.topic, position.partition): position.next_offset for position in positions}
    behind = [(where, end) for where, end in sorted(ends.items()) if at.get(where, -1) < end]
    if behind:
        (topic, partition), end = behind[0]
        return f"{topic}[{partition}] to reach offset {end} (at {at.get((topic, partition), 'none')})"
    return ""
