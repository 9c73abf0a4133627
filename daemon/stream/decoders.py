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
        made[topics[name].name] = (name, table_decoder(mapped, topics[name].name))
    return made


def table_decoder(mapped: MappedTable, topic: str) -> Decode:
    """The decoder of one table's topic."""
    given = (topic, mapped.table, mapped.wires, mapped.form.columns)
    return TableDecoder(*given, read_after=mapped.read_after, ignore_new=mapped.ignores_new).decode
