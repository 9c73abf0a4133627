"""Debezium events of one table decoded by msgspec straight into structs made for it, for the usual values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from connectors.change import Row, Sequence2
from connectors.kafka.decode_values import Placeholder, Unit, fast_type, is_numeric, is_numeric_array, is_zoned
from connectors.kafka.schema import Units
from connectors.wire import Wire, WireColumn

_lax_pair = msgspec.json.Decoder(tuple[int | None, int], strict=False).decode


class Unusual(Exception):
    """The fast way does not know this; the careful one will."""


class Source(msgspec.Struct, gc=False):
    """What is read of an event's source."""

    ts_ms: int
    txId: int | None = None
    sequence: str | None = None
    ts_us: int | None = None


class Shape:
    """How the messages of one schema are decoded: msgspec's decoders, and what is looked at after them."""

    def __init__(
        self,
        columns: Sequence[WireColumn],
        names: Sequence[str],
        key: Sequence[str],
        placeholder: Placeholder,
        units: Units,
        prefix: bytes = b"",
    ) -> None:
        """names: all columns of the table, the wanted ones first. prefix: what precedes the payload in a message."""
        self.prefix = prefix
        self.skip = len(prefix)
        self.units = units
        self.event, self.delete = _decoders(columns, names, key, units)
        self.width = None if len(columns) == len(names) else len(columns)
        marks = ((i, placeholder.mark(column)) for i, column in enumerate(columns))
        self.marks = tuple((i, mark) for i, mark in marks if mark is not None)
        self.numerics = _indices(columns, is_numeric)
        self.zoned = _indices(columns, is_zoned)
        self.nested = _indices(columns, lambda c: c.kind is Wire.ARRAY and c.element is Wire.TEXT)
        self.numeric_arrays = _indices(columns, is_numeric_array)
        self.scaled = tuple((i, unit) for i, unit in enumerate(units) if unit not in (None, Unit.MICROS))

    def finish(self, row: Row) -> Row:
        """The row with times in microseconds. Raises Unusual for values that are not what they look like."""
        for index in self.numerics:
            value: Any = row[index]
            if value is not None and value > ":":
                raise Unusual
        for index in self.zoned:
            value = row[index]
            if value is not None and value < "0001":
                raise Unusual
        for index in self.nested:
            for item in row[index] or ():  # type: ignore[attr-defined]
                if item is not None and item.startswith("[Ljava."):
                    raise Unusual
        for index in self.numeric_arrays:
            for item in row[index] or ():  # type: ignore[attr-defined]
                if item is not None and item > ":":
                    raise Unusual
        return self._scale(row) if self.scaled else row

    def _scale(self, row: Row) -> Row:
        values: list[Any] = list(row)
        for index, unit in self.scaled:
            if values[index] is not None and unit is not None:
                values[index] = values[index] * 1_000 // unit
        return tuple(values)

    def marked(self, row: Row) -> bool:
        """Whether a value is the placeholder in a form other than its text."""
        return any(row[index] == mark for index, mark in self.marks)


def sequence_of(text: str | None) -> Sequence2 | None:
    """source.sequence as a pair. Raises msgspec.DecodeError."""
    if text is None:
        return None
    before, own = _lax_pair(text)
    return (-1 if before is None else before, own)


def _indices(columns: Sequence[WireColumn], holds: Callable[[WireColumn], bool]) -> tuple[int, ...]:
    return tuple(i for i, column in enumerate(columns) if holds(column))


def _decoders(
    columns: Sequence[WireColumn], names: Sequence[str], key: Sequence[str], units: Units
) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Decoders of an event and of a delete's key; ones that give up where msgspec cannot have a column's name."""
    if any(c in '"\\' or c < " " for name in names for c in name):
        return _give_up, _give_up
    types = {column.name: fast_type(column, unit) for column, unit in zip(columns, units, strict=True)}
    fields: list[Any] = [
        (f"c{i}", types[name]) if name in types else (f"c{i}", msgspec.Raw, msgspec.Raw())
        for i, name in enumerate(names)
    ]
    after = _struct("After", fields, names, True)
    before = _struct("Before", [(f"c{i}", types[name]) for i, name in enumerate(key)], key, False)
    op = Literal["c", "u", "r", "d", "t"]
    event = msgspec.defstruct("Event", [("op", op), ("source", Source), ("after", after | None, None)], gc=False)
    delete = msgspec.defstruct("Delete", [("before", before)], gc=False)
    return msgspec.json.Decoder(event).decode, msgspec.json.Decoder(delete).decode


def _struct(name: str, fields: Any, names: Sequence[str], closed: bool) -> Any:
    rename = {f"c{i}": column for i, column in enumerate(names)}
    return msgspec.defstruct(name, fields, rename=rename, gc=False, forbid_unknown_fields=closed)


def _give_up(_: bytes) -> Any:
    raise Unusual
