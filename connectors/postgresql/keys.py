"""A source key's text form and order. Pure.

The text form is PostgreSQL's own output, so that a key read from an event and the same key read from the database are
equal. The order is used to find a key's chunk; where it cannot be proved equal to the database's, the source is asked.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.change import Key
from connectors.chunks import Bound
from connectors.wire import Wire, WireColumn
from mappers.mapping import Column, Table

EPOCH = datetime(1970, 1, 1)

TextForm = Callable[[object], str]
Order = Callable[[object], Any]
"""Values of one column are all of one kind, so that what this makes of them can be compared."""


@dataclass(frozen=True, slots=True)
class KeyForm:
    """How the keys of one table are written and ordered.

    order: wire value -> orderable, a function a column; None where only the database knows the order.
    bound: text -> orderable, the same order for a chunk's edges.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    text: tuple[TextForm, ...]
    order: tuple[Order, ...] | None
    bound: tuple[Callable[[str], Any], ...] | None

    def texts(self, key: Key) -> tuple[str, ...]:
        """The key's values as PostgreSQL would print them."""
        return tuple(form(value) for form, value in zip(self.text, key, strict=True))

    def name(self, key: Key) -> str:
        """The key as one text, for the control schema."""
        return name_of(self.texts(key))


def name_of(texts: Sequence[str | None]) -> str:
    """A key's text form as one JSON text: how key fences and messages name it."""
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))


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
    )


def finder(form: KeyForm, bounds: Sequence[Bound]) -> Callable[[Key], int] | None:
    """A function from a key to the number of its chunk; None where the source must be asked.

    bounds: the lower edges of chunks 1.., ascending in the database's order.
    """
    if not bounds:
        return lambda key: 0
    if form.order is None or form.bound is None:
        return None
    if len(form.order) == 1:
        order, edges = form.order[0], [form.bound[0](bound[0]) for bound in bounds]
        return lambda key: bisect_right(edges, order(key[0]))
    orders = form.order
    tuples = [tuple(f(text) for f, text in zip(form.bound, bound, strict=True)) for bound in bounds]
    return lambda key: bisect_right(tuples, tuple(f(v) for f, v in zip(orders, key, strict=True)))


def within(form: KeyForm, lower: Bound | None, upper: Bound | None, keys: Sequence[Bound]) -> list[Bound]:
    """Those of the keys that may be in a chunk of these edges; all, where only the database knows the order."""
    if form.bound is None:
        return list(keys)
    orders = form.bound

    def placed(texts: Bound) -> tuple[Any, ...]:
        return tuple(order(text) for order, text in zip(orders, texts, strict=True))

    low, high = (None if edge is None else placed(edge) for edge in (lower, upper))
    return [key for key in keys if (low is None or placed(key) >= low) and (high is None or placed(key) < high)]


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
