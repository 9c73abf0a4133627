"""One decoder a topic, from the source's catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kafka.consumer import Decode
from connectors.kafka.decode import TableDecoder, decode_message
from connectors.tables import MappedTable
from daemon.prepare import Topic


def decoders(
    tables: Mapping[str, MappedTable], topics: Mapping[str, Topic], messages: Topic
) -> dict[str, tuple[str | None, Decode]]:
    """Topic -> (source table, function from value and offset to a Change)."""
    made: dict[str, tuple[str | None, Decode]] = {messages.name: (None, decode_message)}
    for name, mapped in tables.items():
        decoder = TableDecoder(
            topics[name].name, mapped.table, mapped.wires, mapped.form.columns, read_after=mapped.read_after
        )
        made[topics[name].name] = (name, decoder.decode)
    return made
