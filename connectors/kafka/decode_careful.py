"""One Debezium event at a time, with every check and a plain word for whatever is wrong with it.

No error text holds a value of a row.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from connectors.change import Change, Key, Row, Sequence2
from connectors.kafka.ages import Ages
from connectors.kafka.decode_place import place_of
from connectors.kafka.decode_values import Unfit, reader
from connectors.kafka.doubts import doubt
from connectors.kafka.placeholder import Placeholder
from connectors.kafka.schema import Units, check_names
from connectors.wire import Wire, WireColumn
from mappers.errors import RecordError
from mappers.mapping import Table

_NONE: frozenset[int] = frozenset()
_IDENTITY = "ALTER TABLE .. REPLICA IDENTITY FULL at the source, or take the replica identity's columns as the key"
_ANEW = "start over with `run --anew`"
_ENVELOPE = "let the connector write Debezium's own envelope as JSON or Avro, without transforms that unwrap it"
AVRO = b"\0"
"""What a value of a schema registry begins with. No JSON does."""


class Where:
    """Turns Unfit into a RecordError that says where."""

    def __init__(self, topic: str, partition: int | None, offset: int, table: str = "") -> None:
        place = topic if partition is None else f"{topic}[{partition}]"
        self._place = f"{place} offset {offset}".strip()
        self._table = f"{table}: " if table else ""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Unfit):
            raise RecordError(self._table + error.what, where=self._place, hint=error.hint) from None


class Careful:
    """Reads events of one table. key: the source key's places in a row."""

    def __init__(
        self,
        columns: Sequence[WireColumn],
        names: Sequence[str],
        key: Sequence[int],
        placeholder: Placeholder,
        table: Table,
        ages: Ages,
        *,
        ignore_new: bool,
    ) -> None:
        self._ages = ages
        self._ignore_new = ignore_new
        self.columns = columns
        self.names = frozenset(names)
        self.key = tuple(key)
        self._placeholder = placeholder
        self._carried = _carried(table)
        self._doubts = tuple((i, stands_for) for i, c in enumerate(columns) if (stands_for := doubt(c)))
        self.key_travels = all(columns[place].name in self._carried for place in key)

    def change(self, event: Any, units: Units, offset: int) -> Change:
        """The change that an event's payload stands for. Raises Unfit."""
        op, source = envelope(event)
        if op == "m":
            return logical_message(event, source, offset)
        xid, sequence, commit = position_of(source)
        row: Row | None = None
        doubtful = False
        missing, key = _NONE, cast("Key", ())
        if op == "d":
            key = self._deleted(event.get("before"), units)
        elif op != "t":
            try:
                row, missing = self._row(event, units)
            except Unfit:
                if not self._ages.before_alter(event):
                    raise
                return self.unread(event, units, offset)
            key = self._key([row[place] for place in self.key])
            doubtful = any(stands_for(row[place]) for place, stands_for in self._doubts)
        return Change(op, key, row, missing, xid, sequence, offset, commit, doubtful=doubtful)

    def unread(self, event: Any, units: Units, offset: int) -> Change:
        """The change that an event of an older shape stands for, of whose row only the key is used. Raises Unfit."""
        op, source = envelope(event)
        xid, sequence, commit = position_of(source)
        after = event.get("after")
        if not isinstance(after, dict) or any(self.columns[place].name not in after for place in self.key):
            raise Unfit("the event is older than the table's key, so that its row cannot be told", _ANEW)
        try:
            key = self._key([self._value(place, after[self.columns[place].name], units[place]) for place in self.key])
        except Unfit as unfit:
            raise Unfit(f"the event is older than the table's key: {unfit.what}", _ANEW) from None
        return Change(op, key, None, _NONE, xid, sequence, offset, commit, unread=True)

    def known(self, event: Any) -> frozenset[str] | None:
        """The columns that an event may have besides the wanted ones; None where it may have any.

        What an event from before the catalogue was read has, and the catalogue has not, was dropped or renamed since.
        """
        return None if self._ignore_new or self._ages.before_catalogue(event) else self.names

    def tells_older(self, event: Any) -> bool:
        """Whether of an event, whose schema is another, the key can still be told: times need the schema's word."""
        timed = any(self.columns[place].kind in (Wire.TIME, Wire.TIMESTAMP) for place in self.key)
        return self._ages.before_alter(event) and isinstance(event.get("after"), dict) and not timed

    def _row(self, event: Any, units: Units) -> tuple[Row, frozenset[int]]:
        after, before = event.get("after"), event.get("before")
        if not isinstance(after, dict):
            raise Unfit("the event has no row after the change", _ENVELOPE)
        check_names(after, self.columns, self.known(event))
        values: list[object] = []
        missing: set[int] = set()
        for place, (column, unit) in enumerate(zip(self.columns, units, strict=True)):
            value = after[column.name]
            if self._placeholder.stands(column, value):
                value = self._earlier(column, before)
                if value is None:
                    missing.add(place)
            values.append(self._value(place, value, unit))
        return tuple(values), frozenset(missing)

    def _earlier(self, column: WireColumn, before: Any) -> object:
        """The value before the event, where the replica identity makes it travel: it is unchanged."""
        if not isinstance(before, dict) or column.name not in self._carried:
            return None
        value = before.get(column.name)
        return None if self._placeholder.stands(column, value) else value

    def _value(self, place: int, value: Any, unit: Any) -> object:
        column = self.columns[place]
        if value is None:
            return None
        try:
            return reader(column, unit)(value)
        except Unfit as unfit:
            raise Unfit(f"column {column.name} ({column.type}): {unfit.what}", unfit.hint or _DRIFT) from None

    def _deleted(self, before: Any, units: Units) -> Key:
        if not isinstance(before, dict):
            raise Unfit("the delete says no row: its table has no replica identity", _IDENTITY)
        if not self.key_travels:
            raise Unfit("the delete does not carry the key: the replica identity lacks some of its columns", _IDENTITY)
        absent = [self.columns[place].name for place in self.key if self.columns[place].name not in before]
        if absent:
            raise Unfit(f"the delete lacks the key column {absent[0]}", _IDENTITY)
        return self._key([self._value(p, before[self.columns[p].name], units[p]) for p in self.key])

    def _key(self, values: Sequence[object]) -> Key:
        doubts = dict(self._doubts)
        for place, value in zip(self.key, values, strict=True):
            name = self.columns[place].name
            if value is not None and place in doubts and doubts[place](value):
                raise Unfit(f"the key column {name} may have another value than arrived", _OTHER_KEY)
            if value is None:
                raise Unfit(f"the key column {name} is null or did not travel", f"{_IDENTITY}, or key by other columns")
        return tuple(values)


_OTHER_KEY = "Debezium writes several values of this column alike: mend the row at the source, or key by other columns"
_DRIFT = "if the column's type was changed, restart changeover; else check the connector's converters"


def _carried(table: Table) -> frozenset[str]:
    """The columns whose values before an update or delete travel, as the replica identity says."""
    names = {"d": table.key, "i": table.replica_index, "f": tuple(column.name for column in table.columns)}
    return frozenset(names.get(table.replica_identity, ()))


def tombstone(offset: int, commit_us: int = 0) -> Change:
    """A change that stands for nothing but its offset."""
    return Change("", (), None, _NONE, None, None, offset, commit_us)


def parse(value: bytes) -> Any:
    """The JSON document. Raises Unfit."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        hint = "set value.converter=org.apache.kafka.connect.json.JsonConverter"
        raise Unfit("the value is not valid JSON", hint) from None


def unregistered() -> Unfit:
    """What is wrong with a value in Avro where no registry is configured."""
    what = "the value is a schema registry's binary form, and no registry is configured"
    return Unfit(what, "set kafka.schema_registry, or connect.format: json and run `connector apply`")


def envelope(event: Any) -> tuple[str, dict[str, Any]]:
    """(op, source) of an event."""
    if not isinstance(event, dict) or "op" not in event:
        raise Unfit("the event has no op", _ENVELOPE)
    op, source = event["op"], event.get("source")
    if not isinstance(op, str) or op not in ("c", "u", "d", "r", "t", "m"):
        raise Unfit("the event's op is none that is known: c, u, d, r, t, m", _ENVELOPE)
    if not isinstance(source, dict):
        raise Unfit("the event has no source", _ENVELOPE)
    return op, source


def logical_message(event: dict[str, Any], source: dict[str, Any], offset: int) -> Change:
    """The change of a logical message. Raises Unfit."""
    message = event.get("message")
    prefix = message.get("prefix") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(prefix, str) or not (content is None or isinstance(content, str | bytes)):
        raise Unfit("the logical message has no prefix or no content", _ENVELOPE)
    try:
        decoded = content if isinstance(content, bytes) else base64.b64decode(content or "", validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("the logical message is not base64", "set binary.handling.mode=bytes on the connector") from None
    xid, sequence, commit = position_of(source)
    return Change("m", (), None, _NONE, xid, sequence, offset, commit, (prefix, decoded))


def position_of(source: dict[str, Any]) -> tuple[int | None, Sequence2 | None, int]:
    """(transaction id, sequence, commit time in microseconds)."""
    micros = source.get("ts_us")
    commit = whole(source, "ts_ms", "source") * 1_000 if micros is None else whole(source, "ts_us", "source")
    if place := place_of(source):
        return (*place, commit)
    xid = None if source.get("txId") is None else whole(source, "txId", "source")
    return xid, _sequence(source.get("sequence")), commit


def _sequence(text: Any) -> Sequence2 | None:
    if text is None:
        return None
    try:
        before, own = msgspec.json.decode(text, type=tuple[int | None, int], strict=False)
    except (msgspec.DecodeError, TypeError):
        raise Unfit("source.sequence is not a pair of log positions", _ENVELOPE) from None
    return (-1 if before is None else before, own)


def whole(holder: Any, name: str, what: str) -> int:
    """A whole number of what a message holds. Raises Unfit."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if type(value) is not int:
        raise Unfit(f"{what} has no whole number {name}", _ENVELOPE)
    return value
