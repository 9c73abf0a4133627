"""A user's expression becomes SQL that is safe to run: tokens, recognised one by one, written anew, read back, checked.

Two gates, each enough by itself: `render.py` lets only known words through and writes the SQL from what it recognised;
`tree.py` reads that SQL with sqlglot and lets only known syntax through. Both find the columns read, and must agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mappers.dialects import DIALECTS, POSTGRESQL, Dialect
from mappers.grammar import Catalog
from mappers.mapping import Expression, Table
from mappers.names import readable
from mappers.tokens import ExpressionError
from mappers.tree import LONGEST, Node, check, parse

__all__ = [
    "ExpressionError",
    "column_expression",
    "is_injective",
    "parse_expression",
    "plain_column",
    "shown",
    "tree_of",
]

_STAGED = re.compile(r'\bs\."((?:[^"]|"")+)"')


def parse_expression(text: str, source: Table, functions: Catalog, dialect: Dialect = POSTGRESQL) -> Expression:
    """The checked expression of `text` over the source's columns. Raises ExpressionError with what to write instead.

    functions: which of them may be called, by `dialect.catalog`.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters", "compute it in the source")
    renderer = dialect.renderer(dialect.tokenize(text), source, functions)
    sql = renderer.run()
    inputs = check(sql, dialect.syntax)
    if inputs != renderer.inputs:
        raise ExpressionError("the expression is ambiguous", "write brackets around its parts")
    return Expression(sql, inputs, dialect.engine)


def tree_of(expression: Expression) -> Node:
    """The syntax tree of a checked expression, to look at."""
    return parse(expression.sql, DIALECTS[expression.engine].syntax)


def column_expression(name: str, dialect: Dialect = POSTGRESQL) -> Expression:
    """The expression that is just the source column `name`."""
    quoted = name.replace('"', '""')
    return Expression(f's."{quoted}"', frozenset((name,)), dialect.engine)


def shown(expression: Expression) -> str:
    """The expression as a person would write it, for hints: bare column names."""
    return _STAGED.sub(lambda match: readable(match[1].replace('""', '"')), expression.sql)


def plain_column(expression: Expression) -> str | None:
    """The source column that the expression is, verbatim; None where it computes anything."""
    node = tree_of(expression)
    while type(node).__name__ == "Paren":
        node = node.this
    return node.name if type(node).__name__ == "Column" else None


def is_injective(expression: Expression, types: Mapping[str, str]) -> bool:
    """Whether different values of its one input column, of those types, plainly give different results.

    A column, its widening to a larger integer, its text, or a constant joined to that text.
    """
    return DIALECTS[expression.engine].injective(tree_of(expression), types)
