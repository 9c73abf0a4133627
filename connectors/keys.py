"""A source key's text form and order. Pure.

The text form is the source's own output, so that a key read from an event and the same key read from the database are
equal. The order is used to find a key's chunk; where it cannot be proved equal to the database's, the source is asked.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.change import Key
from connectors.chunks import Bound

TextForm = Callable[[object], str]
Order = Callable[[object], Any]
"""Values of one column are all of one kind, so that what this makes of them can be compared."""


@dataclass(frozen=True, slots=True)
class KeyForm:
    """How the keys of one table are written and ordered.

    order: wire value -> orderable, a function a column; None where only the database knows the order.
    bound: text -> orderable, the same order for a chunk's edges. orders: a column's order by name, the same for every
    engine that has it; "" where a locale decides it.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    text: tuple[TextForm, ...]
    order: tuple[Order, ...] | None
    bound: tuple[Callable[[str], Any], ...] | None
    orders: tuple[str, ...] = ()

    def texts(self, key: Key) -> tuple[str, ...]:
        """The key's values as the source would print them."""
        return tuple(form(value) for form, value in zip(self.text, key, strict=True))

    def name(self, key: Key) -> str:
        """The key as one text, for the control schema."""
        return name_of(self.texts(key))


def name_of(texts: Sequence[str | None]) -> str:
    """A key's text form as one JSON text: how key fences and messages name it."""
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))


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
