"""Finding the rows at fault among many: halves of halves, until each of them stands alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mappers.errors import ConflictError, RecordError

Item = TypeVar("Item")


def isolate(
    items: Sequence[Item], attempt: Callable[[Sequence[Item]], None], refuse: Callable[[Item, RecordError], None]
) -> None:
    """Have every item attempted, in order, and each that fails by itself refused.

    attempt: all or nothing; raises RecordError. refuse: may raise to end it all. For one item at fault among n it takes
    about 2 log2(n) attempts. A ConflictError is not the item's own fault, and goes through.
    """
    if not items:
        return
    try:
        attempt(items)
    except ConflictError:
        raise
    except RecordError as error:
        if len(items) == 1:
            refuse(items[0], error)
            return
        middle = len(items) // 2
        isolate(items[:middle], attempt, refuse)
        isolate(items[middle:], attempt, refuse)
