"""A message through the whole chain every second: true lag when nothing else changes, and a slot that moves on.

The message carries this process's own monotonic clock and is measured by the process that wrote it, so that no two
clocks are compared.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from uuid import uuid4

from connectors.change import Change
from connectors.kafka.connector_config import MESSAGE_PREFIX
from connectors.source_log import SourceLog
from mappers.errors import ChangeoverError


class Heartbeat(threading.Thread):
    """Writes heartbeats while `owner` says so, and recognises its own when they have been applied."""

    def __init__(
        self,
        log: SourceLog,
        interval_s: float,
        clock: Callable[[], float],
        owner: Callable[[], bool],
        failed: Callable[[ChangeoverError], None],
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.lag_s: float | None = None
        self._log = log
        self._interval_s = interval_s
        self._clock = clock
        self._owner = owner
        self._failed = failed
        self._writer = uuid4().hex
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End after the message in hand."""
        self._stopping.set()

    def run(self) -> None:
        """The thread's body."""
        while not self._stopping.wait(self._interval_s):
            if self._owner():
                self._beat()
        self._log.close()

    def _beat(self) -> None:
        content = {"kind": "heartbeat", "writer": self._writer, "at_s": self._clock()}
        try:
            self._log.emit(json.dumps(content))
        except ChangeoverError as error:
            self._log.close()
            self._failed(error)

    def applied(self, changes: Iterable[Change]) -> float | None:
        """The end-to-end lag, in seconds, that the newest of this process's heartbeats among these shows."""
        for change in reversed(list(changes)):
            sent = self._sent(change)
            if sent is not None:
                self.lag_s = max(0.0, self._clock() - sent)
                return self.lag_s
        return None

    def _sent(self, change: Change) -> float | None:
        """When it was sent; None for what others wrote, which under our prefix may be anything."""
        mine = change.message is not None and change.message[0] == MESSAGE_PREFIX
        if not mine or change.message is None or self._writer.encode() not in change.message[1]:
            return None
        return float(json.loads(change.message[1])["at_s"])
