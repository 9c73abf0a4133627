"""Debezium's events of one table in Avro, through a schema registry, as changes.

A schema is held against the catalogue once, an event of usual values is then taken as it is. Everything else goes
through the same careful reading as JSON does (`decode_careful`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

import msgspec

from connectors.change import Change, Key, Row
from connectors.kafka.avro import AvroSchema, Schemas, avro_schema, read, schema_id, shortest
from connectors.kafka.decode_careful import Careful
from connectors.kafka.decode_fast import NONE_MISSING, Checks, Unusual, lax_pair
from connectors.kafka.decode_place import place_of
from connectors.kafka.decode_values import Unfit
from connectors.kafka.placeholder import Placeholder
from connectors.kafka.schema import units_of_schema

_ROWS = frozenset("cur")


class Rare(Protocol):
    """What is handed on, because it is seldom."""

    def unfilled(self, checks: Checks, row: Row) -> tuple[Row, frozenset[int]]:
        """The row without placeholders, and where they were."""
        ...


class AvroShape(Checks):
    """How the values of one schema are decoded."""

    def __init__(self, schema: AvroSchema, careful: Careful, placeholder: Placeholder, event: Any) -> None:
        """event: the first one of this schema. Raises Unfit where the schema and the catalogue disagree."""
        columns = careful.columns
        super().__init__(columns, placeholder, units_of_schema(schema.connect, columns, careful.known(event)))
        names = [column.name for column in columns]
        self.schema = schema
        self.exact = schema.columns <= careful.names
        """Whether it has no column that the catalogue does not have: else each event's age decides."""
        self.narrow = tuple(name for name in schema.narrow if name in names)
        self.row = _getter(names)
        self.key = _getter(careful.key)


class AvroDecoder:
    """Decodes the values of one table's topic. Not for use by several threads at once."""

    def __init__(self, careful: Careful, placeholder: Placeholder, schemas: Schemas, rare: Rare) -> None:
        self._careful = careful
        self._placeholder = placeholder
        self._schemas = schemas
        self._rare = rare
        self._shapes: dict[int, tuple[AvroShape, Mapping[str, object]]] = {}

    def decode(self, value: bytes, offset: int) -> Change:
        """The change that a value stands for. Raises Unfit, and what `Schemas.text` raises."""
        number = schema_id(value)
        known = self._shapes.get(number)
        if known is None:
            try:
                known = self._shapes[number] = self._learn(number, value)
            except Unfit as unfit:
                return self._older(number, value, offset, unfit)
        shape, defaults = known
        event = read(shape.schema, value)
        if shape.narrow:
            _widen(shape.narrow, event)
        try:
            change = self._usual(shape, event, offset)
        except (Unusual, Unfit, KeyError, TypeError, msgspec.DecodeError):
            change = self._careful.change(event, shape.units, offset)
        if defaults and change.row is not None and _doubtful(defaults, event["after"]):
            return msgspec.structs.replace(change, doubtful=True)
        return change

    def _older(self, number: int, value: bytes, offset: int, unfit: Unfit) -> Change:
        """An event whose schema does not agree with the catalogue: its key, where it is from before an ALTER."""
        event = read(avro_schema(self._schemas.text(number), self._careful.names), value)
        if not self._careful.tells_older(event):
            raise unfit
        return self._careful.unread(event, (None,) * len(self._careful.columns), offset)

    def _learn(self, number: int, value: bytes) -> tuple[AvroShape, Mapping[str, object]]:
        """How events of a schema are read, and the values in doubt: columns that say their default for NULL too."""
        schema = avro_schema(self._schemas.text(number), self._careful.names)
        shape = AvroShape(schema, self._careful, self._placeholder, read(schema, value))
        wanted = {column.name for column in self._careful.columns}
        defaults = {name: default for name, default in schema.defaults.items() if name in wanted}
        if not defaults or self._schemas.nulls_travel():
            return shape, {}
        for place in self._careful.key:
            if (name := self._careful.columns[place].name) in defaults:
                what = f"the key column {name} may be NULL and has a default, and the converter writes both alike"
                raise Unfit(what, f"ALTER COLUMN {name} SET NOT NULL at the source, or see docs/operations.md on Avro")
        return shape, defaults

    def _usual(self, shape: AvroShape, event: Any, offset: int) -> Change:
        after, op, source = event["after"], event["op"], event["source"]
        if after is None or op not in _ROWS or not shape.exact:
            raise Unusual
        row: Row = shape.row(after)
        missing = NONE_MISSING
        if self._placeholder.text in row or (shape.marks and shape.marked(row)):
            row, missing = self._rare.unfilled(shape, row)
        if shape.checked:
            row = shape.finish(row)
        key: Key = shape.key(row)
        if None in key:
            raise Unusual
        sequence = source["sequence"]
        if sequence is not None:
            sequence = lax_pair(sequence)
            if sequence[0] is None:
                sequence = (-1, sequence[1])
        micros = source.get("ts_us")
        if micros is None:
            micros = source["ts_ms"] * 1_000
        if place := place_of(source):
            return Change(op, key, row, missing, *place, offset, micros)
        return Change(op, key, row, missing, source["txId"], sequence, offset, micros)


def _getter(places: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What takes these out of a row or a record, as a tuple also where it is one."""
    if len(places) == 1:
        (place,) = places
        return lambda holder: (holder[place],)
    return itemgetter(*places)


def _widen(names: Sequence[str], event: Any) -> None:
    """The 32-bit floats of an event's rows as JSON would have them."""
    for part in ("before", "after"):
        row = event.get(part)
        for name in names if row is not None else ():
            row[name] = shortest(row[name])


def _doubtful(defaults: Mapping[str, object], after: Mapping[str, object]) -> bool:
    return any(after[name] == default for name, default in defaults.items())
