"""Debezium's events of one table as changes: JSON, or Avro through a schema registry (`decode_avro`).

Each message says itself which it is. For JSON two ways lead to the same change. The fast one lets msgspec decode an
event straight into structs made for the table; whatever is unusual (special values, schemas not seen before, anything
malformed) fails there and is read again by the careful one (`decode_careful`), which alone decides what is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from connectors.change import Change, Key, Row
from connectors.kafka.ages import Ages
from connectors.kafka.decode_careful import AVRO, Careful, Where, parse, tombstone, unregistered
from connectors.kafka.decode_control import beat, control
from connectors.kafka.decode_fast import NONE_MISSING, Checks, Shape, Unusual, astuple, fast_way, lax_pair
from connectors.kafka.decode_place import binlog_place
from connectors.kafka.decode_values import Unfit
from connectors.kafka.placeholder import NoPlaceholder, Placeholder
from connectors.kafka.schema import TimePrecision, Units, units_of_schema, units_without_schema
from connectors.snapshot import Snapshot
from connectors.wire import Wire, WireColumn
from mappers.errors import ConfigError, Problem
from mappers.mapping import Table

if TYPE_CHECKING:
    from connectors.kafka.avro import AvroReader, Schemas
    from connectors.kafka.decode_avro import AvroDecoder

PLACEHOLDER = "__debezium_unavailable_value"
"""Debezium's default unavailable.value.placeholder."""
_SHAPES_KEPT = 8
_NO_PREFIX = b"\0"
"""Begins no JSON: for schemas in messages that are not written as JsonConverter writes them."""


class _Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What JsonConverter writes with schemas.enable."""

    schema: msgspec.Raw
    payload: msgspec.Raw


class TableDecoder:
    """Decodes the values of one table's topic. Not for use by several threads at once.

    columns: the wanted columns (`wire_columns`), in the order of the rows to be made. key: the source key's columns,
    all wanted. time_precision: the connector's time.precision.mode, used for messages without a schema. read_after:
    what had been committed before the catalogue was read. schemas: for events in Avro; None refuses them. altered: what
    may have been before an ALTER of the table: of such an event nothing but the key need be readable. ignore_new:
    columns that the catalogue does not have are left alone. placeholder: None where every value of every row travels.
    """

    def __init__(
        self,
        topic: str,
        table: Table,
        columns: Sequence[WireColumn],
        key: Sequence[str],
        placeholder: str | None = PLACEHOLDER,
        *,
        time_precision: TimePrecision = "microseconds",
        read_after: Snapshot | None = None,
        schemas: Schemas | None = None,
        altered: Snapshot | None = None,
        ignore_new: bool = False,
    ) -> None:
        self.topic = topic
        self.table = table.full_name
        self.columns = tuple(columns)
        self.key = tuple(key)
        wanted = [column.name for column in self.columns]
        self.names = (*wanted, *(c.name for c in table.columns if c.name not in wanted))
        _check_key(self.table, self.columns, self.key)
        self.placeholder = NoPlaceholder() if placeholder is None else Placeholder(placeholder)
        positions = [wanted.index(name) for name in self.key]
        given = (self.columns, self.names, positions, self.placeholder, table)
        self._careful = Careful(*given, Ages(read_after, altered), ignore_new=ignore_new)
        self._closed = not ignore_new
        self._avro = self._avro_decoder(schemas) if schemas else None
        self._refill = table.replica_identity == "f"
        plain = self._make(units_without_schema(self.columns, time_precision), b"")
        self._shapes = {b"": plain}
        self._turn(plain)

    def decode(self, value: bytes | None, offset: int, partition: int | None = None) -> Change:
        """The change that a message's value stands for. Raises RecordError; for Avro, TransientError and FatalError."""
        if value is None:
            return tombstone(offset)
        if value[:1] == AVRO:
            return self._binary(value, offset, partition)
        shape = self._shape
        try:
            if not shape.skip:
                return self._fast(value, offset)
            if value.startswith(shape.prefix) and value.endswith(b"}"):
                return self._fast(value[shape.skip : -1], offset)
        except (Unusual, Unfit, msgspec.DecodeError, UnicodeDecodeError):
            pass
        with Where(self.topic, partition, offset, self.table):
            return self._slow(value, offset)

    def rowless(self, shape: Shape, event: Any, body: bytes, offset: int) -> Change:
        """The change of a delete or a truncate, on the fast way."""
        source, op, key = event.source, event.op, cast("Key", ())
        if event.after is not None or op not in "dt" or source.ts_us is None:
            raise Unusual
        if op == "d":
            key = self._deleted(shape, body)
        if source.file is not None:
            xid, place = binlog_place(source.file, source.pos, source.row, source.gtid, source.connector)
            return Change(op, key, None, NONE_MISSING, xid, place, offset, source.ts_us)
        if source.sequence is None:
            raise Unusual
        before, own = lax_pair(source.sequence)
        position = (-1 if before is None else before, own)
        return Change(op, key, None, NONE_MISSING, source.txId, position, offset, source.ts_us)

    def unfilled(self, checks: Checks, row: Row) -> tuple[Row, frozenset[int]]:
        """The row without placeholders, and where they were, on the fast way."""
        if self._refill:
            raise Unusual
        text = self.placeholder.text
        missing = {i for i, value in enumerate(row) if value == text}
        missing.update(i for i, mark in checks.marks if row[i] == mark)
        return tuple(None if i in missing else value for i, value in enumerate(row)), frozenset(missing)

    def _deleted(self, shape: Shape, body: bytes) -> Key:
        if not self._careful.key_travels:
            raise Unusual
        row = [None] * len(self.columns)
        for place, value in zip(self._careful.key, astuple(shape.delete(body).before), strict=True):
            row[place] = value
        finished = shape.finish(tuple(row))
        key = tuple(finished[place] for place in self._careful.key)
        if None in key:
            raise Unusual
        return key

    def _avro_decoder(self, schemas: Schemas) -> AvroDecoder:
        from connectors.kafka.decode_avro import AvroDecoder

        return AvroDecoder(self._careful, self.placeholder, schemas, self)

    def _binary(self, value: bytes, offset: int, partition: int | None) -> Change:
        with Where(self.topic, partition, offset, self.table):
            if self._avro is None:
                raise unregistered()
            return self._avro.decode(value, offset)

    def _slow(self, value: bytes, offset: int) -> Change:
        document = parse(value)
        if isinstance(document, dict) and "payload" in document and "op" not in document:
            payload = document["payload"]
            try:
                shape = self._learn(value, document)
            except Unfit:
                if not self._careful.tells_older(payload):
                    raise
                return self._careful.unread(payload, self._shape.units, offset)
        else:
            shape, payload = self._shapes[b""], document
        if shape is not self._shape:
            self._turn(shape)
        return tombstone(offset) if payload is None else self._careful.change(payload, shape.units, offset)

    def _turn(self, shape: Shape) -> None:
        self._shape = shape
        self._fast = fast_way(shape, self._careful.key, self)

    def _make(self, units: Units, prefix: bytes) -> Shape:
        return Shape(self.columns, self.names, self.key, self.placeholder, units, prefix, closed=self._closed)

    def _learn(self, value: bytes, document: dict[str, Any]) -> Shape:
        """The shape for a message with a schema: a known one, or one made after the schema was checked."""
        if document["payload"] is None:
            return self._shape
        for prefix, shape in self._shapes.items():
            if prefix and value.startswith(prefix):
                return shape
        units = units_of_schema(document.get("schema"), self.columns, self._careful.known(document["payload"]))
        prefix = _prefix(value) or _NO_PREFIX
        shape = self._make(units, prefix)
        while len(self._shapes) >= _SHAPES_KEPT:
            del self._shapes[next(known for known in self._shapes if known)]
        self._shapes[prefix] = shape
        return shape


def decode_message(
    value: bytes | None, offset: int, topic: str = "", partition: int | None = None, avro: AvroReader | None = None
) -> Change:
    """The change of a message of `<prefix>.message`: op m, with the logical message. Raises RecordError."""
    return control(value, offset, Where(topic, partition, offset), "m", avro)


def decode_beat(
    value: bytes | None, offset: int, topic: str = "", partition: int | None = None, avro: AvroReader | None = None
) -> Change:
    """A change of our own table at the source: op m, with what was written. Raises RecordError."""
    return beat(value, offset, Where(topic, partition, offset), avro)


def decode_heartbeat(
    value: bytes | None, offset: int, topic: str = "", partition: int | None = None, avro: AvroReader | None = None
) -> Change:
    """A message of `__debezium-heartbeat.<prefix>`: op "", with the connector's time. Raises RecordError."""
    return control(value, offset, Where(topic, partition, offset), "", avro)


def _prefix(value: bytes) -> bytes:
    """What comes before the payload, where the message is written as JsonConverter writes it; else nothing."""
    try:
        envelope = msgspec.json.decode(value, type=_Envelope)
    except msgspec.DecodeError:
        return b""
    prefix = b'{"schema":' + bytes(envelope.schema) + b',"payload":'
    return prefix if value == prefix + bytes(envelope.payload) + b"}" else b""


def _check_key(table: str, columns: Sequence[WireColumn], key: Sequence[str]) -> None:
    kinds = {column.name: column.kind for column in columns}
    bad = [name for name in key if kinds.get(name, Wire.ARRAY) is Wire.ARRAY]
    if bad or not key:
        what = f"{table}: {', '.join(bad) or 'nothing'} cannot be the source key"
        raise ConfigError([Problem(("tables", table), what, "name columns that are mapped and are no arrays")])
