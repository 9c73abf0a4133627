"""How sqlglot reads SQLite's expressions, and which of its nodes are allowed."""

from __future__ import annotations

from typing import Any

from mappers.names import words
from mappers.tokens import ExpressionError
from mappers.tree import Node, Syntax, kind_of

_LOWER = words(
    "Add Sub Mul Div Mod BitwiseAnd BitwiseOr BitwiseLeftShift BitwiseRightShift JSONExtract JSONExtractScalar"
)
"""SQLite binds || before all arithmetic, and takes -> and || from left to right; sqlglot does not."""


def _reader() -> Any:
    from sqlglot.dialects.sqlite import SQLite

    names = {name: kind for name, kind in SQLite.Tokenizer.KEYWORDS.items() if name not in ("REPLACE", "FORMAT")}
    tokenizer = type("Tokenizer", (SQLite.Tokenizer,), {"IDENTIFIERS": ['"'], "KEYWORDS": names})
    readers = {"CAST": SQLite.Parser.FUNCTION_PARSERS["CAST"]}
    parser = type("Parser", (SQLite.Parser,), {"FUNCTIONS": {}, "FUNCTION_PARSERS": readers})
    return type("ChangeoverSQLite", (SQLite,), {"Tokenizer": tokenizer, "Parser": parser})


def _steady(node: Node) -> None:
    """Both readers must see the same tree, because the storage class of the result is read from it."""
    if kind_of(node) == "DPipe" and {kind_of(node.this), kind_of(node.expression)} & _LOWER:
        raise ExpressionError(
            "|| beside another operator is ambiguous", "write brackets around the parts that it joins"
        )


SYNTAX = Syntax(
    reader=_reader,
    nodes=words(
        "Column Identifier Literal HexString Boolean Null Paren Neg Not And Or Add Sub Mul Div Mod DPipe BitwiseAnd "
        "BitwiseOr BitwiseNot BitwiseLeftShift BitwiseRightShift EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is In "
        "Between Like Glob Escape Case If Cast DataType Var Collate Anonymous JSONExtract JSONExtractScalar JSONPath "
        "JSONPathRoot JSONPathKey JSONPathSubscript"
    ),
    steady=_steady,
)
