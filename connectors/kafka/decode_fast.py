"""Debezium events of one table decoded by msgspec straight into structs made for it, for the usual values only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal, Protocol

import msgspec

from connectors.change import Change, Key, Row
from connectors.kafka.decode_place import binlog_place
from connectors.kafka.decode_values import (
    BOUNDS,
    Reader,
    Unit,
    fast_type,
    is_numeric,
    is_numeric_array,
    is_zoned,
    reader,
)
from connectors.kafka.doubts import doubt
from connectors.kafka.placeholder import Placeholder
from connectors.kafka.schema import Units
from connectors.wire import Wire, WireColumn

lax_pair = msgspec.json.Decoder(tuple[int | None, int], strict=False).decode


astuple = msgspec.structs.astuple
NONE_MISSING: frozenset[int] = frozenset()


class Unusual(Exception):
    """The fast way does not know this; the careful one will."""


class Source(msgspec.Struct, gc=False):
    """What is read of an event's source."""

    ts_ms: int
    txId: int | None = None
    sequence: str | None = None
    ts_us: int | None = None
    file: str | None = None
    pos: int | None = None
    row: int | None = None
    gtid: str | None = None
    connector: str | None = None


class Rare(Protocol):
    """What the fast way hands on, because it is seldom."""

    def rowless(self, shape: Shape, event: Any, body: bytes, offset: int) -> Change:
        """The change of a delete or a truncate."""
        ...

    def unfilled(self, checks: Checks, row: Row) -> tuple[Row, frozenset[int]]:
        """The row without placeholders, and where they were."""
        ...


class Checks:
    """What is looked at in a row of usual values after it was decoded."""

    def __init__(self, columns: Sequence[WireColumn], placeholder: Placeholder, units: Units) -> None:
        self.units = units
        self.placeholder = placeholder
        marks = ((i, placeholder.mark(column)) for i, column in enumerate(columns))
        self.marks = tuple((i, mark) for i, mark in marks if mark is not None)
        self.numerics = _indices(columns, is_numeric)
        self.zoned = _indices(columns, is_zoned)
        self.nested = _indices(columns, lambda c: c.kind is Wire.ARRAY and c.element is Wire.TEXT)
        self.numeric_arrays = _indices(columns, is_numeric_array)
        self.times = tuple(_times(columns, units))
        self.forms = tuple((i, reader(c, None)) for i, c in enumerate(columns) if c.form)
        self.doubts = tuple((i, stands_for) for i, c in enumerate(columns) if (stands_for := doubt(c)))
        self.checked = bool(
            self.numerics or self.zoned or self.nested or self.numeric_arrays or self.times or self.forms or self.doubts
        )

    def finish(self, row: Row) -> Row:
        """The row with times in microseconds. Raises Unusual for values that are not what they look like."""
        if self.forms:
            row = self._formed(row)
        for index, stands_for in self.doubts:
            if stands_for(row[index]):
                raise Unusual
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
        return self._timed(row) if self.times else row

    def _formed(self, row: Row) -> Row:
        """The row with values that travel in a form of their own. Raises Unfit."""
        values = list(row)
        for index, read in self.forms:
            if values[index] is not None:
                values[index] = read(values[index])
        return tuple(values)

    def _timed(self, row: Row) -> Row:
        """The row with times in microseconds and with their infinities. Raises Unfit."""
        changed: dict[int, object] = {}
        for index, low, high, read in self.times:
            value: Any = row[index]
            if value is not None and not low < value < high:
                changed[index] = read(value)
        return tuple(changed.get(i, value) for i, value in enumerate(row)) if changed else row

    def marked(self, row: Row) -> bool:
        """Whether a value is the placeholder in a form other than its text."""
        return any(row[index] == mark for index, mark in self.marks)


class Shape(Checks):
    """How the JSON messages of one schema are decoded: msgspec's decoders, and what is looked at after them."""

    def __init__(
        self,
        columns: Sequence[WireColumn],
        names: Sequence[str],
        key: Sequence[str],
        placeholder: Placeholder,
        units: Units,
        prefix: bytes = b"",
        *,
        closed: bool = True,
    ) -> None:
        """names: all columns of the table, the wanted ones first. prefix: what precedes the payload in a message.

        closed: a row with another column is not usual.
        """
        super().__init__(columns, placeholder, units)
        self.prefix = prefix
        self.skip = len(prefix)
        self.event, self.delete = _decoders(columns, names, key, closed)
        self.width = None if len(columns) == len(names) else len(columns)


def fast_way(shape: Shape, key: Sequence[int], rare: Rare) -> Callable[[bytes, int], Change]:
    """Makes the function that decodes a payload: one closure, because each look-up of an attribute shows here."""
    decode, finish, marked, marks, width = shape.event, shape.finish, shape.marked, shape.marks, shape.width
    checked, text = shape.checked, shape.placeholder.text
    (single,) = key if len(key) == 1 else (None,)
    key_of: Callable[[Row], Key] = itemgetter(*key)

    def fast(body: bytes, offset: int) -> Change:
        event = decode(body)
        after, op, source = event.after, event.op, event.source
        if after is None or op in "dt":
            return rare.rowless(shape, event, body, offset)
        row: Row = astuple(after)
        missing = NONE_MISSING
        if width:
            row = row[:width]
        if text in row or (marks and marked(row)):
            row, missing = rare.unfilled(shape, row)
        if checked:
            row = finish(row)
        values = key_of(row) if single is None else (row[single],)
        if None in values:
            raise Unusual
        sequence = source.sequence
        if sequence is not None:
            sequence = lax_pair(sequence)
            if sequence[0] is None:
                sequence = (-1, sequence[1])
        micros, xid = source.ts_us, source.txId
        if micros is None:
            micros = source.ts_ms * 1_000
        if source.file is not None:
            xid, sequence = binlog_place(source.file, source.pos, source.row, source.gtid, source.connector)
        return Change(op, values, row, missing, xid, sequence, offset, micros)

    return fast


def _times(columns: Sequence[WireColumn], units: Units) -> Iterator[tuple[int, int, int, Reader]]:
    """(place, bounds within which a value is as it must be, what makes it so elsewhere)."""
    for place, (column, unit) in enumerate(zip(columns, units, strict=True)):
        if unit not in (None, Unit.MICROS) and not column.form:
            yield place, 0, 0, reader(column, unit)
        elif column.kind in BOUNDS and not column.form:
            yield place, *BOUNDS[column.kind], reader(column, unit)


def _indices(columns: Sequence[WireColumn], holds: Callable[[WireColumn], bool]) -> tuple[int, ...]:
    return tuple(i for i, column in enumerate(columns) if holds(column))


def _decoders(
    columns: Sequence[WireColumn], names: Sequence[str], key: Sequence[str], closed: bool
) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Decoders of an event and of a delete's key; ones that give up where msgspec cannot have a column's name."""
    if any(c in '"\\' or c < " " for name in names for c in name):
        return _give_up, _give_up
    types = {column.name: fast_type(column) for column in columns}
    fields: list[Any] = [
        (f"c{i}", types[name]) if name in types else (f"c{i}", msgspec.Raw, msgspec.Raw())
        for i, name in enumerate(names)
    ]
    after = _struct("After", fields, names, closed)
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
