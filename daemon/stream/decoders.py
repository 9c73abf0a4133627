"""One decoder a topic, from the source's catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from connectors.kafka.consumer import Decode
from connectors.kafka.decode import TableDecoder, decode_message
from connectors.tables import MappedTable
from daemon.prepare import Topic

if TYPE_CHECKING:
    from connectors.kafka.avro import AvroReader, Schemas


def decoders(
    tables: Mapping[str, MappedTable], topics: Mapping[str, Topic], messages: Topic, schemas: Schemas | None = None
) -> dict[str, tuple[str | None, Decode]]:
    """Topic -> (source table, function from value and offset to a Change). schemas: for events in Avro."""
    avro = _reader(schemas) if schemas else None
    made: dict[str, tuple[str | None, Decode]] = {messages.name: (None, partial(decode_message, avro=avro))}
    for name, mapped in tables.items():
        made[topics[name].name] = (name, table_decoder(mapped, topics[name].name, schemas))
    return made


def _reader(schemas: Schemas) -> AvroReader:
    from connectors.kafka.avro import AvroReader

    return AvroReader(schemas)


def table_decoder(mapped: MappedTable, topic: str, schemas: Schemas | None = None) -> Decode:
    """The decoder of one table's topic."""
    columns, key, after = mapped.wires, mapped.form.columns, mapped.read_after
    return TableDecoder(topic, mapped.table, columns, key, read_after=after, schemas=schemas).decode
