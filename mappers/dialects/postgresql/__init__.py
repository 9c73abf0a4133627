"""PostgreSQL's expressions: the widest dialect, and the one that the others are measured by."""

from __future__ import annotations

from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.dialects.postgresql.keys import is_injective
from mappers.dialects.postgresql.lexer import tokenize
from mappers.dialects.postgresql.nulls import NULLS
from mappers.dialects.postgresql.renderer import PostgresRenderer
from mappers.dialects.postgresql.syntax import SYNTAX
from mappers.dialects.postgresql.types import PostgresTyping
from mappers.dialects.record import Dialect

__all__ = ["POSTGRESQL"]

POSTGRESQL = Dialect(
    engine="postgresql",
    title="PostgreSQL",
    tokenize=tokenize,
    renderer=PostgresRenderer,
    catalog=FunctionCatalog,
    syntax=SYNTAX,
    nulls=NULLS,
    typing=PostgresTyping(),
    injective=is_injective,
)
