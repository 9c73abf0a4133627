"""One decoder a topic, from the source's catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.control.shapes import Stored
from connectors.kafka.consumer import Decode
from connectors.kafka.decode import TableDecoder, decode_message
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.prepare import Topic


def decoders(
    tables: Mapping[str, MappedTable],
    topics: Mapping[str, Topic],
    messages: Topic,
    stored: Mapping[str, Stored],
) -> dict[str, tuple[str | None, Decode]]:
    """Topic -> (source table, function from value and offset to a Change). stored: tables as their rows were made."""
    made: dict[str, tuple[str | None, Decode]] = {messages.name: (None, decode_message)}
    for name, mapped in tables.items():
        altered = stored[name].altered if name in stored else None
        made[topics[name].name] = (name, table_decoder(mapped, topics[name].name, altered))
    return made


def table_decoder(mapped: MappedTable, topic: str, altered: Snapshot | None = None) -> Decode:
    """The decoder of one table's topic. altered: sees the transactions that may have written rows of another shape."""
    given = (topic, mapped.table, mapped.wires, mapped.form.columns)
    return TableDecoder(*given, read_after=mapped.read_after, altered=altered, ignore_new=mapped.ignores_new).decode
