"""One decoder a topic, from the configuration and the source's catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kafka.decode import TableDecoder, decode_message

from connectors.kafka.consumer import Decode
from connectors.tables import MappedTable
from daemon.config import Config
from daemon.prepare import Topic

PLACEHOLDER_PREFIX = "__changeover_value_unavailable__"


def placeholder(pipeline: str) -> str:
    """What the connector writes for a value that did not travel: no value of a real column."""
    return f"{PLACEHOLDER_PREFIX}{pipeline}"


def decoders(
    config: Config, tables: Mapping[str, MappedTable], topics: Mapping[str, Topic], messages: Topic
) -> dict[str, tuple[str | None, Decode]]:
    """Topic -> (source table, function from value and offset to a Change)."""
    made: dict[str, tuple[str | None, Decode]] = {messages.name: (None, decode_message)}
    for name, mapped in tables.items():
        decoder = TableDecoder(
            topics[name].name, mapped.table, mapped.wires, mapped.form.columns, placeholder(config.pipeline)
        )
        made[topics[name].name] = (name, decoder.decode)
    return made
