"""How sqlglot reads PostgreSQL's expressions, and which of its nodes are allowed."""

from __future__ import annotations

from typing import Any

from mappers.names import words
from mappers.tokens import ExpressionError
from mappers.tree import Node, Syntax

_CALLS = frozenset(("CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM"))


def _reader() -> Any:
    from sqlglot.dialects.postgres import Postgres

    readers = {k: v for k, v in Postgres.Parser.FUNCTION_PARSERS.items() if k in _CALLS}
    parser = type("Parser", (Postgres.Parser,), {"FUNCTIONS": {}, "FUNCTION_PARSERS": readers})
    return type("ChangeoverPostgres", (Postgres,), {"Parser": parser})


def _steady(node: Node) -> None:
    """'tomorrow 12:00'::timestamp is another moment every day."""
    moments = {"now", "today", "tomorrow", "yesterday"}
    if type(node).__name__ != "Cast" or type(node.this).__name__ != "Literal":
        return
    if moments & set(node.this.name.lower().split()):
        raise ExpressionError(f"{node.this.name!r} means the moment at which it is read", "use a constant")


SYNTAX = Syntax(
    reader=_reader,
    nodes=words(
        "Column Identifier Literal ByteString Boolean Null Paren Neg Not And Or Add Sub Mul Div Mod Pow DPipe "
        "BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift EQ NEQ GT GTE LT LTE NullSafeEQ "
        "NullSafeNEQ Is In Between Like ILike SimilarTo Escape RegexpLike RegexpILike Any All Array Bracket Slice Case "
        "If Cast DataType DataTypeParam Dot Interval Var AtTimeZone Collate Anonymous Extract Substring Trim "
        "StrPosition Overlay JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar JSONPath JSONPathRoot "
        "JSONPathKey JSONPathSubscript JSONBContainsTopKey JSONBContainsAnyTopKeys JSONBContainsAllTopKeys "
        "ArrayContainsAll ArrayContainedBy ArrayOverlaps JSONBDeleteAtPath"
    ),
    steady=_steady,
)
