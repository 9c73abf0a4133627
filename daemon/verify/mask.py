"""Which values a verification may show: of a column that is masked, neither a value nor its part of a key. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from connectors.seams import TextRow
from mappers.mapping import Entry

MASKED = "***"
VALUE_MAX = 200


class Mask:
    """columns: names of target columns, bare or as schema.table.column; or all of them."""

    def __init__(self, columns: Collection[str] | Literal["all"]) -> None:
        self._columns = columns

    def hides(self, entry: Entry, column: str) -> bool:
        """Whether the target column's values are not to be shown."""
        if self._columns == "all":
            return True
        return column in self._columns or f"{entry.target.full_name}.{column}" in self._columns

    def value(self, entry: Entry, column: str, value: str | None) -> str | None:
        """The value as it may be shown: whole, cut, masked, or None for NULL."""
        if value is not None and self.hides(entry, column):
            return MASKED
        return value if value is None or len(value) <= VALUE_MAX else f"{value[:VALUE_MAX]}…({len(value)} characters)"

    def target_key(self, entry: Entry, key: TextRow) -> list[str | None]:
        """A target key as it may be shown."""
        return self._key(entry, entry.key, key)

    def source_key(self, entry: Entry, key: TextRow | None) -> list[str | None] | None:
        """A source key as it may be shown: masked where a target column that is made of it is."""
        if key is None:
            return None
        made = [
            [c.name for c in entry.columns if name in c.expression.inputs and self.hides(entry, c.name)]
            for name in entry.source_key
        ]
        return [MASKED if hidden else value for hidden, value in zip(made, key, strict=True)]

    def _key(self, entry: Entry, columns: Sequence[str], key: TextRow) -> list[str | None]:
        return [self.value(entry, column, value) for column, value in zip(columns, key, strict=True)]
