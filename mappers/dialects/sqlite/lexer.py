"""SQLite's lexical rules, the strict half. Text is in single quotes, without escapes; names are in double ones."""

from __future__ import annotations

import re

from mappers.dialects.lexing import COMMENT, MARK, NAME, NUMBER, SPACE, WORD, lexer, operators
from mappers.names import words
from mappers.tokens import ExpressionError, Kind, Token

_PIECES = re.compile(
    "|".join(
        (
            SPACE,
            COMMENT,
            r"(?P<blob>[xX]'(?:[0-9A-Fa-f]{2})*')",
            r"(?P<bracketed>\[[^\]]*\])",
            r"(?P<string>'(?:[^']|'')*')",
            NAME,
            NUMBER,
            WORD,
            MARK,
            r"(?P<operator>[-+*/<>=~!%&|]+)",
        )
    ),
    re.DOTALL,
)


def _bracketed(text: str) -> list[Token]:
    raise ExpressionError(f"names in brackets are not supported: {text[:20]}", 'write "name"')


tokenize = lexer(
    _PIECES,
    {
        "blob": lambda text: [Token(Kind.STRING, text)],
        "bracketed": _bracketed,
        "operator": operators(words("+ - * / % || & | ~ << >> = == <> != < <= > >= -> ->>"), {}),
    },
)
"""The tokens of an expression. Raises ExpressionError at the first thing that is not one."""
