"""Which expressions tell the values of their input apart, so that a target key can be made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mappers.names import fold, words
from mappers.tree import Node

_OF_MARIADB = words("varchar char tinytext mediumtext longtext")
"""Texts of a MariaDB source; PostgreSQL's own char, which is padded, is called character."""
_WHOLE = re.compile(r"numeric\(\d+,0\)")
"""Whole numbers: what bigint cannot hold of them is refused, and never another's value."""
_WIDE_INTEGERS = frozenset(("bigint", "int8"))
_TEXTS = frozenset(("text", "varchar", "character varying"))
_INTEGERS = frozenset(("smallint", "integer", "bigint", "tinyint", "mediumint", "int"))
_EXACT_AS_TEXT = _INTEGERS | {"text", "uuid", "character varying", "boolean", "date"} | _OF_MARIADB


def _is(node: Node, *names: str) -> bool:
    return type(node).__name__ in names


def is_injective(node: Node, types: Mapping[str, str]) -> bool:
    """Whether the node plainly gives different results for different values of its one input."""
    if _is(node, "Column"):
        return node.name in types
    if _is(node, "Paren"):
        return is_injective(node.this, types)
    if _is(node, "DPipe"):
        left, right = node.this, node.expression
        if _constant(left):
            return _textual(right, types) and is_injective(right, types)
        return _constant(right) and _textual(left, types) and is_injective(left, types)
    return _is(node, "Cast") and _keeps(node, types) and is_injective(node.this, types)


def _constant(node: Node) -> bool:
    return _is(node, "Literal", "ByteString") or (_is(node, "Paren", "Cast") and _constant(node.this))


def _textual(node: Node, types: Mapping[str, str]) -> bool:
    """Whether `||` turns the node into text that tells its values apart (an array or jsonb would be joined instead)."""
    if _is(node, "Column"):
        return _base(types.get(node.name, "")) in _EXACT_AS_TEXT
    return _is(node, "Cast", "DPipe") or (_is(node, "Paren") and _textual(node.this, types))


def _keeps(cast: Node, types: Mapping[str, str]) -> bool:
    target = fold(cast.args["to"].sql(dialect="postgres"))
    inner = cast.this
    while _is(inner, "Paren"):
        inner = inner.this
    of = _base(types.get(inner.name, "")) if _is(inner, "Column") else "text"
    if target in _TEXTS:
        return of in _EXACT_AS_TEXT or of.startswith(("numeric", "decimal", "timestamp", "datetime"))
    if target in _WIDE_INTEGERS:
        return of in _INTEGERS or (_is(inner, "Column") and _WHOLE.fullmatch(types.get(inner.name, "")) is not None)
    return target == of


def _base(type_name: str) -> str:
    return type_name.partition("(")[0].removesuffix(" zerofill").removesuffix(" unsigned").strip()
