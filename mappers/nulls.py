"""Whether an expression can be NULL: asked of NOT NULL columns and of keys, before a single row is written.

It errs on the side of "possibly": a column that the engine would never make NULL may need a `coalesce`, but the other
way round the pipeline would stop at a row. What is NULL when, the dialect says.
"""

from __future__ import annotations

from collections.abc import Iterable

from mappers.dialects import DIALECTS
from mappers.dialects.record import NullRules
from mappers.expressions import tree_of
from mappers.mapping import Expression
from mappers.names import words
from mappers.tree import Node

_COMPARISONS = words(
    "EQ NEQ GT GTE LT LTE Like ILike SimilarTo RegexpLike RegexpILike Between In ArrayContainsAll ArrayContainedBy "
    "ArrayOverlaps JSONBContainsTopKey"
)


def possibly_null(expression: Expression, nullable: Iterable[str], proven: Iterable[str] = ()) -> bool:
    """Whether the expression may be NULL, given the nullable source columns and those that `where` proves present."""
    rules = DIALECTS[expression.engine].nulls
    return _null(tree_of(expression), frozenset(nullable) - frozenset(proven), rules)


def proven_present(where: Expression | None) -> frozenset[str]:
    """The columns that are not NULL in any row that passes the filter."""
    return _when_true(tree_of(where)) if where else frozenset()


def _kind(node: Node) -> str:
    return type(node).__name__


def _null(node: Node, nullable: frozenset[str], rules: NullRules) -> bool:
    kind = _kind(node)
    if kind == "Column":
        return node.name in nullable
    if kind in rules.never:
        return False
    if kind in rules.always or rules.partial(node):
        return True
    if kind == "Anonymous":
        return _call(node.name.lower(), node.expressions, nullable, rules)
    if kind == "Case":
        return _case(node, nullable, rules)
    if kind == "If":
        return _choice([node.this, node.args["true"], node.args.get("false")], nullable, rules)
    if kind in ("Any", "All"):
        return _elements(node.this, nullable, rules)
    return any(_null(child, nullable, rules) for child in node.iter_expressions())


def _call(name: str, arguments: list[Node], nullable: frozenset[str], rules: NullRules) -> bool:
    if name in ("all", "any", "some"):
        return _elements(arguments[0], nullable, rules) if arguments else True
    if name in rules.chooses and len(arguments) == 3:
        return _choice(arguments, nullable, rules)
    nulls = [_null(argument, nullable, rules) for argument in arguments]
    if name in rules.never_calls:
        return False
    if name in rules.first_only:
        return not nulls or nulls[0]
    if name in rules.first_present:
        return all(nulls)
    return rules.makers(name) or any(nulls)


def _choice(arguments: list[Node], nullable: frozenset[str], rules: NullRules) -> bool:
    """if(condition, one, other); without the other it is NULL."""
    condition, one, other = arguments
    if other is None or _null(one, nullable - _when_true(condition), rules):
        return True
    return _null(other, nullable - _when_not_true(condition), rules)


def _elements(node: Node, nullable: frozenset[str], rules: NullRules) -> bool:
    """x = ANY(array) is NULL where an element is; only a written-out array shows its elements."""
    while _kind(node) in ("Paren", "Cast"):
        node = node.this
    return _kind(node) != "Array" or any(_null(element, nullable, rules) for element in node.expressions)


def _case(case: Node, nullable: frozenset[str], rules: NullRules) -> bool:
    """A branch is judged with what its condition proves, and with what the conditions before it, not true, prove."""
    left = nullable
    operand = case.args.get("this")
    for branch in case.args["ifs"]:
        here = left if operand is not None else left - _when_true(branch.this)
        if _null(branch.args["true"], here, rules):
            return True
        if operand is None:
            left -= _when_not_true(branch.this)
    default = case.args.get("default")
    return default is None or _null(default, left, rules)


def _when_true(condition: Node) -> frozenset[str]:
    """Columns that cannot be NULL where the condition is true."""
    kind = _kind(condition)
    if kind == "Paren":
        return _when_true(condition.this)
    if kind == "And":
        return _when_true(condition.this) | _when_true(condition.expression)
    if kind == "Or":
        return _when_true(condition.this) & _when_true(condition.expression)
    if kind == "Is":
        proves = "Null" if condition.args.get("negate") else "Boolean"
        return _operand(condition.this) if _kind(condition.expression) == proves else frozenset()
    if kind == "Not":
        inner = condition.this
        while _kind(inner) == "Paren":
            inner = inner.this
        if _kind(inner) == "Is":
            return _operand(inner.this) if _is_null(inner) else frozenset()
        return _compared(inner) if _kind(inner) != "Between" else _operand(inner.this)
    return _operand(condition) if kind == "Column" else _compared(condition)


def _when_not_true(condition: Node) -> frozenset[str]:
    """Columns that cannot be NULL where the condition is false or NULL: `x is null` was asked, and it was not."""
    kind = _kind(condition)
    if kind == "Paren":
        return _when_not_true(condition.this)
    if kind == "Or":
        return _when_not_true(condition.this) | _when_not_true(condition.expression)
    return _operand(condition.this) if kind == "Is" and _is_null(condition) else frozenset()


def _is_null(node: Node) -> bool:
    return _kind(node.expression) == "Null" and not node.args.get("negate")


def _compared(node: Node) -> frozenset[str]:
    if _kind(node) not in _COMPARISONS:
        return frozenset()
    other = node.args.get("expression")
    return _operand(node.this) | (_operand(other) if other is not None else frozenset())


def _operand(node: Node) -> frozenset[str]:
    while _kind(node) in ("Paren", "Cast", "Collate"):
        node = node.this
    return frozenset((node.name,)) if _kind(node) == "Column" else frozenset()
