"""The text form and the order of PostgreSQL's keys (`connectors.keys`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.keys import KeyForm, Order, TextForm
from connectors.postgresql.dialect import POSTGRESQL
from connectors.wire import Wire, WireColumn
from mappers.mapping import Column, Table

EPOCH = datetime(1970, 1, 1)


def key_form(table: Table, key: Sequence[str], wires: Sequence[WireColumn]) -> KeyForm:
    """How keys of this table are written and ordered. Raises ValueError for a key type that has no exact text form."""
    kinds = {wire.name: wire for wire in wires}
    columns = [table.column(name) for name in key]
    texts = tuple(_text_form(column, kinds[column.name].kind) for column in columns)
    orders = [_order(column) for column in columns]
    proved = [order for order in orders if order is not None]
    known = len(proved) == len(orders)
    return KeyForm(
        columns=tuple(key),
        types=tuple(column.type for column in columns),
        text=texts,
        order=tuple(order for order, _ in proved) if known else None,
        bound=tuple(bound for _, bound in proved) if known else None,
        orders=tuple(map(POSTGRESQL.values.order, columns)),
    )


def _base(type_name: str) -> str:
    return type_name.split("(")[0].strip()


def _order(column: Column) -> tuple[Order, Callable[[str], Any]] | None:
    base = _base(column.type)
    if base in ("smallint", "integer", "bigint"):
        return (lambda value: value), int
    if base == "uuid":
        return (lambda value: value), str
    if base in ("text", "character varying") and column.collation_c:
        return (lambda value: str(value).encode()), str.encode
    return None


def _text_form(column: Column, kind: Wire) -> TextForm:
    base = _base(column.type)
    if kind is Wire.INT:
        return str
    if kind is Wire.BOOL:
        return lambda value: "true" if value else "false"
    if kind is Wire.BYTES:
        return lambda value: "\\x" + bytes(value).hex()  # type: ignore[call-overload]
    if kind is Wire.DATE:
        return lambda value: (EPOCH + timedelta(days=int(str(value)))).date().isoformat()
    if kind is Wire.TIMESTAMP:
        return lambda value: _fraction(EPOCH + timedelta(microseconds=int(str(value))))
    if base == "numeric":
        return _plain_decimal
    if column.type.startswith("timestamp") and column.type.endswith("with time zone"):
        return _instant
    if base == "character":
        return lambda value: str(value).rstrip(" ")
    if kind is Wire.TEXT and (base in TEXT_KEYS or column.labels):
        return str
    raise ValueError(column.type)


TEXT_KEYS = ("text", "character varying", "uuid", "inet", "cidr", "macaddr", "name")


def _fraction(moment: datetime) -> str:
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return text + (f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else "")


def _instant(value: object) -> str:
    return _fraction(datetime.fromisoformat(str(value)).astimezone(UTC)) + "+00"


def _plain_decimal(value: object) -> str:
    text = format(Decimal(str(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
