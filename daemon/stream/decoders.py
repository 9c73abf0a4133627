"""One decoder a topic, from the source's catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from connectors.control.shapes import Stored
from connectors.kafka.consumer import Decode
from connectors.kafka.decode import TableDecoder
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.prepare import Topic
from daemon.sources import Stream

if TYPE_CHECKING:
    from connectors.kafka.avro import AvroReader, Schemas


def decoders(
    tables: Mapping[str, MappedTable],
    topics: Mapping[str, Topic],
    messages: Topic,
    stream: Stream,
    stored: Mapping[str, Stored],
    schemas: Schemas | None = None,
) -> dict[str, tuple[str | None, Decode]]:
    """Topic -> (source table, function from value and offset to a Change).

    stored: tables as their rows were made. schemas: for events in Avro.
    """
    avro = _reader(schemas) if schemas else None
    made: dict[str, tuple[str | None, Decode]] = {messages.name: (None, partial(stream.message, avro=avro))}
    for name, mapped in tables.items():
        altered = stored[name].altered if name in stored else None
        made[topics[name].name] = (name, table_decoder(mapped, topics[name].name, stream, altered, schemas))
    return made


def _reader(schemas: Schemas) -> AvroReader:
    from connectors.kafka.avro import AvroReader

    return AvroReader(schemas)


def table_decoder(
    mapped: MappedTable,
    topic: str,
    stream: Stream,
    altered: Snapshot | None = None,
    schemas: Schemas | None = None,
) -> Decode:
    """The decoder of one table's topic. altered: sees the transactions that may have written rows of another shape."""
    return TableDecoder(
        topic,
        mapped.table,
        mapped.wires,
        mapped.form.columns,
        stream.placeholder,
        read_after=mapped.read_after,
        schemas=schemas,
        altered=altered,
        ignore_new=mapped.ignores_new,
    ).decode
