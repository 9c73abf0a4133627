"""Messages that are about no row: logical ones, Debezium's heartbeats, and changes of our own table at the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.change import Change
from connectors.kafka.decode_careful import (
    AVRO,
    Where,
    envelope,
    logical_message,
    parse,
    position_of,
    tombstone,
    unregistered,
    whole,
)
from connectors.kafka.decode_values import Unfit

if TYPE_CHECKING:
    from connectors.kafka.avro import AvroReader

PREFIX = "changeover"
"""Prefix of this program's logical messages."""
_NONE: frozenset[int] = frozenset()


def control(value: bytes | None, offset: int, where: Where, op: str, avro: AvroReader | None = None) -> Change:
    """A logical message (op m) or a heartbeat (op ""). Raises RecordError."""
    if value is None:
        return tombstone(offset)
    with where:
        event = _document(value, avro)
        if isinstance(event, dict) and "schema" in event and "payload" in event:
            event = event["payload"]
        if op == "m":
            found, source = envelope(event)
            if found != "m":
                raise Unfit("the event is no logical message", "check topic.prefix: this topic is the messages' own")
            return logical_message(event, source, offset)
        return tombstone(offset, whole(event, "ts_ms", "the heartbeat") * 1_000)


def beat(value: bytes | None, offset: int, where: Where, avro: AvroReader | None = None) -> Change:
    """A change of our own table at the source as a logical message (op m). Raises RecordError."""
    if value is None:
        return tombstone(offset)
    with where:
        event = _document(value, avro)
        if isinstance(event, dict) and "schema" in event and "payload" in event:
            event = event["payload"]
        _, source = envelope(event)
        xid, sequence, commit = position_of(source)
        after = event.get("after")
        content = after.get("content") if isinstance(after, dict) else None
        if not isinstance(content, str):
            return tombstone(offset, commit)
        message = (PREFIX, content.encode())
        return Change("m", (), None, _NONE, xid, sequence, offset, commit, message)


def _document(value: bytes, avro: AvroReader | None) -> Any:
    if value[:1] != AVRO:
        return parse(value)
    if avro is None:
        raise unregistered()
    return avro.event(value)
