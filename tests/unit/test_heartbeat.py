"""What a heartbeat takes for its own among logical messages."""

from __future__ import annotations

import json
from typing import cast

from connectors.change import Change
from connectors.kafka.connector_config import MESSAGE_PREFIX as PREFIX
from connectors.source_log import SourceLog
from daemon.heartbeat import Heartbeat


class Spoken:
    """Stands where the source's log is, and keeps what was written to it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []

    def emit(self, content: str) -> int:
        self.said.append((PREFIX, content.encode()))
        return 0


def message(prefix: str, content: bytes) -> Change:
    return Change("m", (), None, frozenset(), 7, (1, 2), 3, 4, (prefix, content))


def test_only_its_own_messages_are_measured_and_no_others_harm() -> None:
    now, source = [10.0], Spoken()
    beat = Heartbeat(cast("SourceLog", source), 1, lambda: now[0], lambda: True, lambda error: None)
    beat._beat()
    now[0] = 12.5
    foreign = json.dumps({"kind": "heartbeat", "writer": "another", "at_s": 1}).encode()
    others = [b"no JSON at all", b"7", b"", b"\x00\xff", b'{"kind": 7}', b"[]", foreign]
    assert beat.applied([message(PREFIX, content) for content in others]) is None
    assert beat.applied([message("changeover.x", source.said[0][1])]) is None
    assert beat.applied([message(*source.said[0]), *(message(PREFIX, content) for content in others)]) == 2.5
