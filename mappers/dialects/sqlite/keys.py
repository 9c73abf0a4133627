"""Which of SQLite's expressions tell the values of their input apart, so that a target key can be made of them."""

from __future__ import annotations

from collections.abc import Mapping

from mappers.dialects.spelling import EXACT_AS_TEXT, INTEGERS, bare
from mappers.tree import Node, kind_of, unwrapped


def is_injective(node: Node, types: Mapping[str, str]) -> bool:
    """Whether the node plainly gives different results for different values of its one input."""
    node = unwrapped(node)
    if kind_of(node) == "Column":
        return node.name in types
    if kind_of(node) == "DPipe":
        sides = [side for side in (node.this, node.expression) if kind_of(unwrapped(side)) != "Literal"]
        return len(sides) == 1 and _textual(sides[0], types) and is_injective(sides[0], types)
    if kind_of(node) == "Anonymous" and node.name.lower() == "hex":
        return len(node.expressions) == 1 and is_injective(node.expressions[0], types)
    if kind_of(node) != "Cast" or not is_injective(node.this, types):
        return False
    if node.args["to"].is_type("text"):
        return _textual(node.this, types)
    inner = unwrapped(node.this)
    return (
        bool(node.args["to"].is_type("int"))
        and kind_of(inner) == "Column"
        and bare(types.get(inner.name, "")) in INTEGERS
    )


def _textual(node: Node, types: Mapping[str, str]) -> bool:
    """Whether the node's text tells its values apart; a float's, cut to some digits, does not."""
    node = unwrapped(node)
    return kind_of(node) != "Column" or bare(types.get(node.name, "")) in EXACT_AS_TEXT
