"""Values that are not to be shown: what a masked source column holds, and what the mapping makes of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mappers.errors import FatalError
from mappers.mapping import Entry

MASKED = "***"


class Mask:
    """Hides the values of columns. NULL stays visible.

    columns: names of source or target columns, of any table, as in --mask.
    """

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self.columns = frozenset(columns)

    def check(self, entries: Collection[Entry]) -> None:
        """Raise FatalError for a name that no mapped table has: a misspelt one would show what it should hide."""
        known = {c.name for e in entries for table in (e.source, e.target) for c in table.columns}
        for name in sorted(self.columns - known):
            raise FatalError(f"no mapped table has a column {name}", where="--mask", hint="correct the name")

    def source(self, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """A source row."""
        return {name: _hidden(value) if name in self.columns else value for name, value in values.items()}

    def target(self, entry: Entry, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """A target row: also what is computed from a masked source column is hidden."""
        hidden = self.columns | {c.name for c in entry.columns if not c.expression.inputs.isdisjoint(self.columns)}
        return {name: _hidden(value) if name in hidden else value for name, value in values.items()}

    def key(self, names: Iterable[str], values: Iterable[str]) -> list[str]:
        """A source key."""
        pairs = zip(names, values, strict=True)
        return [MASKED if name in self.columns else value for name, value in pairs]


def _hidden(value: str | None) -> str | None:
    return None if value is None else MASKED
