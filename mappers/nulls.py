"""Whether an expression can be NULL: asked of NOT NULL columns and of keys, before a single row is written.

It errs on the side of "possibly": a column that PostgreSQL would never make NULL may need a `coalesce`, but the other
way round the pipeline would stop at a row. Two rare things are not foreseen: parts of infinite dates, bounds of ranges.
"""

from __future__ import annotations

from collections.abc import Iterable

from mappers.mapping import Expression
from mappers.names import words
from mappers.tree import Node, parse

_NEVER = words(
    "Literal ByteString Boolean Interval Array Is NullSafeEQ NullSafeNEQ DataType DataTypeParam Var Identifier"
)
_ALWAYS = words("Null JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar Bracket Slice")
_NEVER_CALLS = words(
    "concat num_nulls num_nonnulls jsonb_build_object jsonb_build_array json_build_object json_build_array"
)
_FIRST_ONLY = frozenset(("concat_ws", "format"))
"""NULL only where their first argument is."""
_FIRST_PRESENT = frozenset(("coalesce", "greatest", "least"))
"""NULL only where all arguments are."""
_MAKERS = words(
    "nullif regexp_match regexp_substr array_length array_upper array_lower array_ndims array_dims array_position "
    "array_positions jsonb_extract_path jsonb_extract_path_text json_extract_path json_extract_path_text "
    "jsonb_path_query_first jsonb_path_exists jsonb_path_match jsonb_path_query_array jsonb_set_lax lower_inf "
    "jsonb_object json_object scale min_scale"
)
"""May be NULL although no argument is (an empty array has no length, a path may lead nowhere)."""
_COMPARISONS = words(
    "EQ NEQ GT GTE LT LTE Like ILike SimilarTo RegexpLike RegexpILike Between In ArrayContainsAll ArrayContainedBy "
    "ArrayOverlaps JSONBContainsTopKey"
)


def possibly_null(expression: Expression, nullable: Iterable[str], proven: Iterable[str] = ()) -> bool:
    """Whether the expression may be NULL, given the nullable source columns and those that `where` proves present."""
    return _null(parse(expression.sql), frozenset(nullable) - frozenset(proven))


def proven_present(where: Expression | None) -> frozenset[str]:
    """The columns that are not NULL in any row that passes the filter."""
    return _when_true(parse(where.sql)) if where else frozenset()


def _kind(node: Node) -> str:
    return type(node).__name__


def _null(node: Node, nullable: frozenset[str]) -> bool:
    kind = _kind(node)
    if kind == "Column":
        return node.name in nullable
    if kind in _NEVER:
        return False
    if kind in _ALWAYS:
        return True
    if kind == "Anonymous":
        return _call(node.name.lower(), node.expressions, nullable)
    if kind == "Case":
        return _case(node, nullable)
    if kind == "Substring" and not _counts(node):
        return True
    if kind in ("Any", "All"):
        return _elements(node.this, nullable)
    return any(_null(child, nullable) for child in node.iter_expressions())


def _call(name: str, arguments: list[Node], nullable: frozenset[str]) -> bool:
    if name in ("all", "any", "some"):
        return _elements(arguments[0], nullable) if arguments else True
    nulls = [_null(argument, nullable) for argument in arguments]
    if name in _NEVER_CALLS:
        return False
    if name in _FIRST_ONLY:
        return not nulls or nulls[0]
    if name in _FIRST_PRESENT:
        return all(nulls)
    return name in _MAKERS or any(nulls)


def _counts(substring: Node) -> bool:
    """substring(x from 2) counts; substring(x from 'pattern') searches, and may find nothing."""
    start = substring.args.get("start")
    return substring.args.get("length") is not None or (
        start is not None and _kind(start) in ("Literal", "Neg", "Add", "Sub", "StrPosition") and not start.is_string
    )


def _elements(node: Node, nullable: frozenset[str]) -> bool:
    """x = ANY(array) is NULL where an element is; only a written-out array shows its elements."""
    while _kind(node) in ("Paren", "Cast"):
        node = node.this
    return _kind(node) != "Array" or any(_null(element, nullable) for element in node.expressions)


def _case(case: Node, nullable: frozenset[str]) -> bool:
    """A branch is judged with what its condition proves, and with what the conditions before it, not true, prove."""
    left = nullable
    operand = case.args.get("this")
    for branch in case.args["ifs"]:
        here = left if operand is not None else left - _when_true(branch.this)
        if _null(branch.args["true"], here):
            return True
        if operand is None:
            left -= _when_not_true(branch.this)
    default = case.args.get("default")
    return default is None or _null(default, left)


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
        return frozenset() if _is_null(condition) else _operand(condition.this)
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
