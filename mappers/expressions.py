"""A user's expression becomes SQL that is safe to run: tokens, recognised one by one, written anew, read back, checked.

Two gates, each enough by itself: `render.py` lets only known words through and writes the SQL from what it recognised;
`tree.py` reads that SQL with sqlglot and lets only known syntax through. Both find the columns read, and must agree.
"""

from __future__ import annotations

import re

from mappers.functions import FunctionCatalog
from mappers.mapping import Expression, Table
from mappers.names import fold, readable
from mappers.render import Renderer
from mappers.tokens import ExpressionError, tokenize
from mappers.tree import LONGEST, Node, check, parse

__all__ = [
    "ExpressionError",
    "FunctionCatalog",
    "column_expression",
    "is_injective",
    "parse_expression",
    "plain_column",
    "shown",
]

_STAGED = re.compile(r'\bs\."((?:[^"]|"")+)"')
_WIDE_INTEGERS = frozenset(("bigint", "int8"))
_TEXTS = frozenset(("text", "varchar", "character varying"))
_INTEGERS = frozenset(("smallint", "integer", "bigint"))
_EXACT_AS_TEXT = _INTEGERS | {"text", "uuid", "character varying", "boolean", "date"}


def parse_expression(text: str, source: Table, functions: FunctionCatalog, dialect: str = "postgres") -> Expression:
    """The checked expression of `text` over the source's columns. Raises ExpressionError with what to write instead.

    Column names follow PostgreSQL: unquoted ones fold to lower case, quoted ones are exact. Only "postgres" as yet.
    """
    if dialect != "postgres":
        raise ExpressionError(f"dialect {dialect} is not supported", "use postgres")
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters", "compute it in the source")
    renderer = Renderer(tokenize(text), source, functions)
    sql = renderer.run()
    inputs = check(sql)
    if inputs != renderer.inputs:
        raise ExpressionError("the expression is ambiguous", "write brackets around its parts")
    return Expression(sql, inputs)


def column_expression(name: str) -> Expression:
    """The expression that is just the source column `name`."""
    quoted = name.replace('"', '""')
    return Expression(f's."{quoted}"', frozenset((name,)))


def shown(expression: Expression) -> str:
    """The expression as a person would write it, for hints: bare column names."""
    return _STAGED.sub(lambda match: readable(match[1].replace('""', '"')), expression.sql)


def plain_column(expression: Expression) -> str | None:
    """The source column that the expression is, verbatim; None where it computes anything."""
    node = parse(expression.sql)
    while _is(node, "Paren"):
        node = node.this
    return node.name if _is(node, "Column") else None


def is_injective(expression: Expression, types: dict[str, str]) -> bool:
    """Whether different values of its one input column, of those types, plainly give different results.

    A column, its widening to bigint, its text, or a constant joined to that text.
    """
    return _injective(parse(expression.sql), types)


def _is(node: Node, *names: str) -> bool:
    return type(node).__name__ in names


def _injective(node: Node, types: dict[str, str]) -> bool:
    if _is(node, "Column"):
        return node.name in types
    if _is(node, "Paren"):
        return _injective(node.this, types)
    if _is(node, "DPipe"):
        left, right = node.this, node.expression
        if _constant(left):
            return _textual(right, types) and _injective(right, types)
        return _constant(right) and _textual(left, types) and _injective(left, types)
    return _is(node, "Cast") and _keeps(node, types) and _injective(node.this, types)


def _constant(node: Node) -> bool:
    return _is(node, "Literal", "ByteString") or (_is(node, "Paren", "Cast") and _constant(node.this))


def _textual(node: Node, types: dict[str, str]) -> bool:
    """Whether `||` turns the node into text that tells its values apart (an array or jsonb would be joined instead)."""
    if _is(node, "Column"):
        return _base(types.get(node.name, "")) in _EXACT_AS_TEXT
    return _is(node, "Cast", "DPipe") or (_is(node, "Paren") and _textual(node.this, types))


def _keeps(cast: Node, types: dict[str, str]) -> bool:
    target = fold(cast.args["to"].sql(dialect="postgres"))
    inner = cast.this
    while _is(inner, "Paren"):
        inner = inner.this
    of = _base(types.get(inner.name, "")) if _is(inner, "Column") else "text"
    if target in _TEXTS:
        return of in _EXACT_AS_TEXT or of.startswith(("numeric", "timestamp"))
    return (target in _WIDE_INTEGERS and of in _INTEGERS) or target == of


def _base(type_name: str) -> str:
    return type_name.partition("(")[0].strip()
