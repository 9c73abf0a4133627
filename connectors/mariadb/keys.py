"""The text form and the order of MariaDB's keys (`connectors.keys`), and keys as people write them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.keys import KeyForm, Order, TextForm
from connectors.mariadb.general_types import BYTES, native_of
from connectors.wire import Form, Wire, WireColumn
from mappers.mapping import Column, Table

EPOCH = datetime(1970, 1, 1)
_SECOND_US = 1_000_000


def key_form(table: Table, key: Sequence[str], wires: Sequence[WireColumn]) -> KeyForm:
    """How keys of this table are written and ordered. Raises ValueError for a key type that has no exact text form."""
    kinds = {wire.name: wire for wire in wires}
    columns = [table.column(name) for name in key]
    texts = tuple(_text_form(column, kinds[column.name]) for column in columns)
    orders = [_order(column) for column in columns]
    proved = [order for order in orders if order is not None]
    known = len(proved) == len(orders)
    return KeyForm(
        columns=tuple(key),
        types=tuple(column.type for column in columns),
        text=texts,
        order=tuple(order for order, _ in proved) if known else None,
        bound=tuple(bound for _, bound in proved) if known else None,
        orders=tuple(map(order_name, columns)),
    )


def order_name(column: Column) -> str:
    """A name for the column's order where no collation decides it: the same for every engine that has it; else ""."""
    name = native_of(column.native)[0]
    if column.type in ("smallint", "integer", "bigint") and name != "bit":
        return "integer"
    if column.collation_c and name in ("char", "varchar"):
        return "text"
    return _ORDERS.get(name, "")


_ORDERS = {
    "decimal": "numeric",
    "bigint": "numeric",
    "varbinary": "bytea",
    "date": "date",
    "datetime": "timestamp without time zone",
    "timestamp": "timestamp with time zone",
}
"""Native type -> PostgreSQL's name for the same order."""


def _order(column: Column) -> tuple[Order, Callable[[str], Any]] | None:
    name, _, _ = native_of(column.native)
    if name == "bigint" or order_name(column) == "integer":
        return int, int  # type: ignore[return-value]  # an unsigned bigint travels as text
    if order_name(column) == "text":
        return (lambda value: str(value).encode()), str.encode
    return None


def _text_form(column: Column, wire: WireColumn) -> TextForm:
    kind, name = wire.kind, native_of(column.native)[0]
    if kind is Wire.INT or wire.form is Form.WRAPPED or wire.form is Form.BITS:
        return str
    if kind is Wire.BOOL:
        return lambda value: "true" if value else "false"
    if kind is Wire.BYTES:
        return lambda value: "\\x" + bytes(value).hex()  # type: ignore[call-overload]
    if kind is Wire.DATE:
        return lambda value: (EPOCH + timedelta(days=int(str(value)))).date().isoformat()
    if kind is Wire.TIMESTAMP:
        return lambda value: moment(EPOCH + timedelta(microseconds=int(str(value))))
    if kind is Wire.TIME:
        return lambda value: span(int(str(value)))
    if name == "timestamp":
        return lambda value: moment(datetime.fromisoformat(str(value)).astimezone(UTC)) + "+00"
    if name in ("decimal", "char", "varchar", "enum", "set"):
        return str
    raise ValueError(column.native)


def moment(value: datetime) -> str:
    """A date and a time without trailing zeros in the fraction."""
    text = value.strftime("%m-%d %H:%M:%S")  # strftime does not fill up years on every platform
    return f"{value.year:04d}-{text}" + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "")


def span(micros: int) -> str:
    """A time of MariaDB's, which goes from -838:59:59 to 838:59:59."""
    seconds, fraction = divmod(abs(micros), _SECOND_US)
    minutes, hours = seconds // 60 % 60, seconds // 3600
    text = f"{'-' if micros < 0 else ''}{hours:02d}:{minutes:02d}:{seconds % 60:02d}"
    return text + (f".{fraction:06d}".rstrip("0") if fraction else "")


def canonical(column: Column, text: str) -> str:
    """A key's value as the source itself would print it: 042 is 42. Raises ValueError for one that cannot be."""
    name, numbers, unsigned = native_of(column.native)
    if name == "bit":
        if (numbers or (1,))[0] == 1:
            return {"true": "true", "false": "false", "1": "true", "0": "false"}.get(text.lower(), "") or _bad()
        return str(_whole(text, 0, (1 << numbers[0]) - 1))
    if name in _BITS:
        bits = _BITS[name]
        low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        return str(_whole(text, low, high))
    if name == "year":
        return str(_whole(text, 0, 2155))
    if name == "decimal":
        return _decimal(text, *(numbers or (10, 0)))
    if name in BYTES:
        return "\\x" + bytes.fromhex(text.removeprefix("\\x")).hex()
    if name == "date":
        return date.fromisoformat(text).isoformat()
    if name in ("datetime", "timestamp"):
        return _clock(name, text)
    if name in ("enum", "set"):
        return text if name == "set" or text in column.labels else _bad()
    return _limited(name, numbers, text)


_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}


def _bad() -> str:
    raise ValueError


def _whole(text: str, low: int, high: int) -> int:
    value = int(text)
    if not low <= value <= high:
        raise ValueError
    return value


def _decimal(text: str, precision: int, scale: int = 0) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError from None
    made = value.quantize(Decimal(1).scaleb(-scale)) if value.is_finite() else value
    if made != value or len(made.as_tuple().digits) > precision:
        raise ValueError
    return format(made, "f")


def _clock(name: str, text: str) -> str:
    value = datetime.fromisoformat(text)
    if name == "datetime":
        return moment(value) if value.tzinfo is None else _bad()
    return moment((value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)) + "+00"


def _limited(name: str, numbers: tuple[int, ...], text: str) -> str:
    """A char keeps no trailing blanks; a text that is too long is no key."""
    text = text.rstrip(" ") if name == "char" else text
    return text if not numbers or len(text) <= numbers[0] else _bad()
