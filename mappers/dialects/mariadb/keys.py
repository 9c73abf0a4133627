"""Which of MariaDB's expressions tell the values of their input apart, so that a target key can be made of them."""

from __future__ import annotations

from collections.abc import Mapping

from mappers.dialects.spelling import EXACT_AS_TEXT, INTEGERS, bare
from mappers.tree import Node, kind_of, unwrapped


def is_injective(node: Node, types: Mapping[str, str]) -> bool:
    """Whether the node plainly gives different results for different values of its one input."""
    node = unwrapped(node)
    if kind_of(node) == "Column":
        return node.name in types
    if kind_of(node) == "Anonymous":
        return _call(node.name.lower(), node.expressions, types)
    if kind_of(node) != "Cast" or not is_injective(node.this, types):
        return False
    to = node.args["to"]
    if to.is_type("char"):  # with a length too: a key that it would cut is refused when the row is written
        return _textual(node.this, types)
    return (
        bool(to.is_type("bigint")) and kind_of(unwrapped(node.this)) == "Column" and _of(node.this, types) in INTEGERS
    )


def _call(name: str, arguments: list[Node], types: Mapping[str, str]) -> bool:
    """Constants around one text that tells its values apart; or that text in hexadecimal digits."""
    varying = [argument for argument in arguments if not _constant(argument)]
    if len(varying) != 1 or not is_injective(varying[0], types):
        return False
    return name == "hex" or (name == "concat" and _textual(varying[0], types))


def _constant(node: Node) -> bool:
    node = unwrapped(node)
    joined = kind_of(node) == "Anonymous" and node.name.lower() == "concat"
    parts = node.expressions if joined or kind_of(node) == "Chr" else ()
    return kind_of(node) == "Literal" or (bool(parts) and all(_constant(part) for part in parts))


def _textual(node: Node, types: Mapping[str, str]) -> bool:
    """Whether the node's text tells its values apart; a float's, cut to some digits, does not."""
    node = unwrapped(node)
    return kind_of(node) != "Column" or _of(node, types) in EXACT_AS_TEXT


def _of(node: Node, types: Mapping[str, str]) -> str:
    return bare(types.get(unwrapped(node).name, ""))
