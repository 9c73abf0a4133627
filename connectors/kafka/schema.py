"""Schemas that travel inside JSON messages, held against the source's catalogue; and the units of times. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from connectors.kafka.decode_values import Unfit, Unit, is_zoned
from connectors.wire import Form, Wire, WireColumn

TimePrecision = Literal["microseconds", "adaptive", "adaptive_time_microseconds"]
"""Debezium's time.precision.mode: what times are counted in when no schema travels to say it."""
Units = tuple[Unit | None, ...]
"""One for each wanted column; None where the column is no time."""

ZONED = "io.debezium.time.ZonedTimestamp"
_TEXTS = frozenset(f"io.debezium.data.{name}" for name in ("Json", "Xml", "Uuid", "Enum", "EnumSet", "Ltree")) | {
    None,
    ZONED,
}
_TIMES = {
    Wire.TIME: {
        ("int32", "io.debezium.time.Time"): Unit.MILLIS,
        ("int64", "io.debezium.time.MicroTime"): Unit.MICROS,
        ("int64", "io.debezium.time.NanoTime"): Unit.NANOS,
        ("int32", "org.apache.kafka.connect.data.Time"): Unit.MILLIS,
    },
    Wire.TIMESTAMP: {
        ("int64", "io.debezium.time.Timestamp"): Unit.MILLIS,
        ("int64", "io.debezium.time.MicroTimestamp"): Unit.MICROS,
        ("int64", "org.apache.kafka.connect.data.Timestamp"): Unit.MILLIS,
    },
}
"""NanoTimestamp is left out on purpose: it ends in the year 2262, and Debezium cuts later values off there."""
_TYPES: dict[Wire, frozenset[str]] = {
    Wire.INT: frozenset(("int8", "int16", "int32", "int64")),
    Wire.FLOAT: frozenset(("float", "double")),
    Wire.BOOL: frozenset(("boolean",)),
    Wire.TEXT: frozenset(("string",)),
    Wire.BYTES: frozenset(("bytes", "string")),
    Wire.DATE: frozenset(("int32",)),
    Wire.ARRAY: frozenset(("array",)),
}
_NAMES: dict[Wire, frozenset[str | None]] = {
    Wire.TEXT: _TEXTS,
    Wire.DATE: frozenset(("io.debezium.time.Date", "org.apache.kafka.connect.data.Date")),
}
_FORMS = {
    Form.WRAPPED: (("int64", None),),
    Form.BITS: (("bytes", "io.debezium.data.Bits"),),
    Form.YEAR: (("int32", "io.debezium.time.Year"),),
}
_UNNAMED: frozenset[str | None] = frozenset((None,))
_MEND_TIME = "set time.precision.mode=microseconds on the connector"
_RESTART = "restart changeover, so that it reads the source's catalogue again"


def precision(spelling: str) -> int:
    """The fractional digits of a time or timestamp type; 6 without a modifier."""
    found = re.search(r"\((\d)\)", spelling)
    return int(found[1]) if found else 6


def units_without_schema(columns: Sequence[WireColumn], mode: TimePrecision) -> Units:
    """What Debezium counts each column's times in under its time.precision.mode."""
    return tuple(_assumed(column, mode) for column in columns)


def _assumed(column: WireColumn, mode: TimePrecision) -> Unit | None:
    if column.kind not in _TIMES:
        return None
    fixed = mode == "microseconds" or (column.kind is Wire.TIME and mode == "adaptive_time_microseconds")
    return Unit.MICROS if fixed or precision(column.type) > 3 else Unit.MILLIS


def units_of_schema(schema: Any, columns: Sequence[WireColumn], known: Collection[str] | None) -> Units:
    """The unit of each wanted column, after the schema was found to agree with the catalogue. Raises Unfit.

    `known`: all columns of the table, wanted or not; None where there may be others.
    """
    fields = _row_fields(schema)
    check_names(fields, columns, known)
    return tuple(_agree(column, fields[column.name]) for column in columns)


def check_names(present: Collection[str], columns: Sequence[WireColumn], known: Collection[str] | None) -> None:
    """Raises Unfit where a column is new or a wanted one is not there."""
    for name in present:
        if known is not None and name not in known:
            raise Unfit(
                f"column {name} is new: the catalogue that was read does not have it", f"map it, then {_RESTART}"
            )
    for column in columns:
        if column.name not in present:
            raise Unfit(
                f"column {column.name} is mapped but not in the event: dropped, renamed or excluded",
                "check column.exclude.list, the publication and field.name.adjustment.mode, "
                f"or take the column out of the mapping and {_RESTART}",
            )


def _row_fields(schema: Any) -> dict[Any, dict[Any, Any]]:
    for part in schema["fields"] if _is_struct(schema) else ():
        if isinstance(part, dict) and part.get("field") == "after" and _is_struct(part):
            fields = {field.get("field"): field for field in part["fields"] if isinstance(field, dict)}
            if all(isinstance(name, str) for name in fields):
                return fields
    raise Unfit(
        "the message's schema describes no row", "use Debezium's envelope as it is, without ExtractNewRecordState"
    )


def _is_struct(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "struct" and isinstance(schema.get("fields"), list)


def _agree(column: WireColumn, field: Mapping[str, Any]) -> Unit | None:
    kind, type_, name = column.kind, field.get("type"), field.get("name")
    if column.form in _FORMS:
        if (type_, name) not in _FORMS[column.form]:
            raise _disagreement(column, type_, name)
        return None
    if kind in _TIMES:
        return _unit(column, type_, name)
    fits = type_ in _TYPES[kind] and name in _NAMES.get(kind, _UNNAMED)
    if fits and kind is Wire.TEXT:
        fits = (name == ZONED) is is_zoned(column)
    if fits and kind is Wire.ARRAY and column.element is not None:
        items = field.get("items")
        fits = isinstance(items, dict) and items.get("type") in _TYPES[column.element]
    if not fits:
        raise _disagreement(column, type_, name)
    return None


def _unit(column: WireColumn, type_: Any, name: Any) -> Unit:
    unit = _TIMES[column.kind].get((type_, name))
    if unit is None:
        raise _disagreement(column, type_, name)
    if unit is Unit.MILLIS and precision(column.type) > 3:
        raise Unfit(f"column {column.name} is {column.type}, but travels in milliseconds only", _MEND_TIME)
    return unit


def _disagreement(column: WireColumn, type_: Any, name: Any) -> Unfit:
    travels = f"{type_} ({name})" if name else str(type_)
    what = f"schema and catalogue disagree: column {column.name} is {column.type}, but travels as {travels}"
    if column.type.startswith("numeric"):
        return Unfit(what, "set decimal.handling.mode=string on the connector")
    if column.kind in (*_TIMES, Wire.DATE):
        return Unfit(what, f"{_MEND_TIME}, or {_RESTART}")
    return Unfit(what, f"if the column's type was changed, {_RESTART}")
