"""MariaDB's lexical rules, the strict half. Names are in double quotes or backticks, text in single quotes.

A backslash in a string is an escape by default, and in some modes it is not. Here it always is one, and what runs has
no backslash: a string that holds one is put together with char(92).
"""

from __future__ import annotations

import re

from mappers.dialects.lexing import COMMENT, MARK, NAME, NUMBER, SPACE, WORD, lexer, operators
from mappers.names import words
from mappers.tokens import ExpressionError, Kind, Token

_PIECES = re.compile(
    "|".join(
        (
            SPACE,
            rf"{COMMENT[:-1]}|\#)",
            r"(?P<prefixed>[bBxXnN]'|_[A-Za-z0-9_]+\s*'|0[xXbB][0-9A-Fa-f]+)",
            r"(?P<string>'(?:[^'\\]|''|\\.)*')",
            NAME,
            NUMBER,
            WORD,
            MARK,
            r"(?P<operator>:=|[-+*/<>=~!%^&|]+)",
        )
    ),
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)|''", re.DOTALL)
_MEANINGS = {"b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": r"\%", "_": r"\_"}
_BACKSLASH = [
    Token(Kind.WORD, "char", "char"),
    Token(Kind.MARK, "("),
    Token(Kind.NUMBER, "92"),
    Token(Kind.WORD, "using", "using"),
    Token(Kind.WORD, "utf8mb4", "utf8mb4"),
    Token(Kind.MARK, ")"),
]
_COMMA = Token(Kind.MARK, ",")
ESCAPED = "\\"
"""What the token says was written with which a string with a backslash begins."""


def _string(text: str) -> list[Token]:
    value = _ESCAPED.sub(_meant, text[1:-1])
    pieces = ["'" + piece.replace("'", "''") + "'" for piece in value.split("\\")]
    if len(pieces) == 1:
        return [Token(Kind.STRING, pieces[0])]
    joined = [Token(Kind.WORD, "concat", ESCAPED), Token(Kind.MARK, "("), Token(Kind.STRING, pieces[0])]
    for piece in pieces[1:]:
        joined += [_COMMA, *_BACKSLASH, _COMMA, Token(Kind.STRING, piece)]
    return [*joined, Token(Kind.MARK, ")")]


def _meant(match: re.Match[str]) -> str:
    escaped = match[1]
    if escaped is None:
        return "'"
    if escaped == "0":
        raise ExpressionError("a NUL character is not allowed", "leave it out")
    return _MEANINGS.get(escaped, escaped)


def _prefixed(text: str) -> list[Token]:
    raise ExpressionError(f"literals written {text.rstrip()[:12]}… are not supported", "write '…', or unhex('…')")


tokenize = lexer(
    _PIECES,
    {
        "string": _string,
        "prefixed": _prefixed,
        "operator": operators(
            words("+ - * / % = <=> <> != < > <= >= & | ^ ~ << >>"),
            {
                "||": "it means OR, or joins text, by the session's mode: write concat(a, b), or OR",
                "&&": "write AND",
                "!": "write NOT",
                "->": "write json_extract(x, '$.field')",
                "->>": "write json_value(x, '$.field')",
                ":=": "write the value itself: variables are not allowed",
            },
        ),
    },
)
"""The tokens of an expression. Raises ExpressionError at the first thing that is not one."""
