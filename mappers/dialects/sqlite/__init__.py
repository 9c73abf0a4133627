"""SQLite's expressions. It has no types of columns to speak of, only storage classes of values: see `storage`."""

from __future__ import annotations

from mappers.dialects.record import Dialect
from mappers.dialects.sqlite.affinity import SqliteTyping
from mappers.dialects.sqlite.functions import SqliteFunctions
from mappers.dialects.sqlite.keys import is_injective
from mappers.dialects.sqlite.lexer import tokenize
from mappers.dialects.sqlite.nulls import NULLS
from mappers.dialects.sqlite.renderer import SqliteRenderer
from mappers.dialects.sqlite.syntax import SYNTAX

__all__ = ["SQLITE"]

SQLITE = Dialect(
    engine="sqlite",
    title="SQLite",
    tokenize=tokenize,
    renderer=SqliteRenderer,
    catalog=SqliteFunctions,
    syntax=SYNTAX,
    nulls=NULLS,
    typing=SqliteTyping(),
    injective=is_injective,
)
