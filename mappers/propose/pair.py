"""A source column and a target column: what proposals ask of the two, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from mappers.dialects import DIALECTS, Dialect
from mappers.expressions import ExpressionError, column_expression, parse_expression
from mappers.mapping import Column, Table
from mappers.names import quote, readable
from mappers.propose.families import Type, read_type


class Fit(Enum):
    """How a source column fits a target column."""

    EXACT = "exact"
    """The same type, or one that holds every value of it."""
    CAST = "cast"
    """A cast that loses nothing."""
    DECIDE = "decide"
    """Some expression, which a person must choose."""
    NEVER = "never"
    """Values of these types are not each other's."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """expression: over the source column, to be run or, with DECIDE, to be considered. why: what must be decided."""

    fit: Fit
    expression: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source column and a target column. made: the type that the target gives the source column as it is."""

    source: Column
    target: Column
    made: str
    dialect: Dialect

    @property
    def name(self) -> str:
        """The source column in an expression."""
        return sql_name(self.source.name, self.dialect.engine)

    @property
    def one(self) -> Type:
        """The source's type."""
        return read_type(self.source.type)

    @property
    def other(self) -> Type:
        """The target's type."""
        return read_type(self.target.type)

    @property
    def cast(self) -> str:
        """The source column cast to the target's type."""
        return self.dialect.typing.cast(self.name, self.target.type)

    @property
    def in_postgresql(self) -> bool:
        """The expression is PostgreSQL's."""
        return self.dialect.engine == "postgresql"


@lru_cache(maxsize=50_000)
def sql_name(name: str, engine: str = "postgresql") -> str:
    """The column as an expression of that dialect names it: in quotes only where it must be."""
    plain = readable(name)
    if plain.startswith('"'):
        return plain
    dialect = DIALECTS[engine]
    probe = Table("public", "t", (Column(name, "text"),), ())
    try:
        same = parse_expression(plain, probe, dialect.catalog(frozenset()), dialect) == column_expression(name, dialect)
    except ExpressionError:
        same = False
    return plain if same else quote(name)
