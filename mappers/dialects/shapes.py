"""What a syntax tree says of an expression's values without an engine: its branches, and integers that are bounded."""

from __future__ import annotations

from mappers.names import words
from mappers.tree import Node, kind_of, unwrapped

CONDITIONS = words(
    "EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is In Between Like Escape RegexpLike Glob Not And Or Xor"
)
"""Nodes that are 1, 0 or NULL."""
_FIRST = frozenset(("coalesce", "ifnull", "nvl"))


def branches(node: Node) -> list[Node]:
    """The expressions of which a CASE, an if() or a coalesce() is one (it may also be NULL); else the node itself."""
    node = unwrapped(node)
    if kind_of(node) == "Case":
        chosen = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
    elif kind_of(node) == "If":
        chosen = [node.args["true"], node.args.get("false")]
    elif kind_of(node) == "Anonymous" and node.name.lower() in _FIRST:
        chosen = list(node.expressions)
    elif kind_of(node) == "Anonymous" and node.name.lower() == "iif":
        chosen = list(node.expressions[1:])
    else:
        return [node]
    return [leaf for branch in chosen if branch is not None for leaf in branches(branch)]


def integers(node: Node) -> tuple[int, int] | None:
    """The least and the greatest value of a whole number or of a condition; None where it is neither."""
    node = unwrapped(node)
    if kind_of(node) in CONDITIONS or kind_of(node) == "Boolean":
        return 0, 1
    if kind_of(node) == "Neg":
        inner = integers(node.this)
        return (-inner[1], -inner[0]) if inner else None
    if kind_of(node) == "Literal" and not node.is_string and node.name.isdigit():
        return int(node.name), int(node.name)
    return None
