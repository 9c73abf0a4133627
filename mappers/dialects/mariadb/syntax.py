"""How sqlglot reads MariaDB's expressions, and which of its nodes are allowed."""

from __future__ import annotations

from typing import Any

from mappers.dialects.mariadb.words import UNITS
from mappers.names import words
from mappers.tree import Node, Syntax

_CALLS = frozenset(("CAST", "CHAR", "CONVERT", "EXTRACT", "POSITION", "SUBSTRING", "TRIM"))
_STATEMENTS = frozenset(("REPLACE", "INSERT", "TRUNCATE", "FORMAT", "LOCK", "SHOW", "KILL", "ANALYZE", "DESCRIBE"))


def _reader() -> Any:
    from sqlglot import TokenType
    from sqlglot.dialects.mysql import MySQL

    names = {name: kind for name, kind in MySQL.Tokenizer.KEYWORDS.items() if name not in _STATEMENTS}
    quotes = {"QUOTES": ["'"], "IDENTIFIERS": ['"'], "STRING_ESCAPES": ["'"]}
    types = {"INET4": TokenType.INET, "INET6": TokenType.INET, "SIGNED": TokenType.BIGINT}
    tokenizer = type("Tokenizer", (MySQL.Tokenizer,), {**quotes, "KEYWORDS": {**names, **types}})
    readers = {k: v for k, v in MySQL.Parser.FUNCTION_PARSERS.items() if k in _CALLS}
    parser = type("Parser", (MySQL.Parser,), {"FUNCTIONS": {}, "FUNCTION_PARSERS": readers})
    return type("ChangeoverMariaDB", (MySQL,), {"Tokenizer": tokenizer, "Parser": parser})


def _is_unit(column: Node) -> bool:
    """timestampdiff(SECOND, a, b): the unit is no column."""
    call = column.parent
    named = type(call).__name__ == "Anonymous" and call.name.lower() in ("timestampdiff", "timestampadd")
    return bool(named and call.expressions[0] is column and not column.table and column.name.lower() in UNITS)


SYNTAX = Syntax(
    reader=_reader,
    nodes=words(
        "Column Identifier Literal Boolean Null Paren Neg Not And Or Xor Add Sub Mul Div IntDiv Mod BitwiseAnd "
        "BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift EQ NEQ GT GTE LT LTE NullSafeEQ Is In "
        "Between Like Escape RegexpLike Case If Cast DataType DataTypeParam Interval Var Collate Anonymous Chr Extract "
        "Substring Trim StrPosition"
    ),
    is_word=_is_unit,
)
