"""How values get from the source's columns into the target's, as far as proposals must know it: dialect, and forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mappers.dialects import POSTGRESQL, Dialect
from mappers.mapping import Column


@dataclass(frozen=True, slots=True)
class Ways:
    """dialect: the target's. carried: source table -> column -> the type that the target gives the column as it is.

    Columns that are not in `carried` have their own type there. foreign: the engines differ, so that two columns of
    one type are not spelled alike.
    """

    dialect: Dialect = POSTGRESQL
    carried: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    foreign: bool = False

    def type_of(self, table: str, column: Column) -> str:
        """The type that the target gives this column of a source table (its full name)."""
        return self.carried.get(table, {}).get(column.name, column.type)


SAME_ENGINE = Ways()
"""PostgreSQL on either side."""
