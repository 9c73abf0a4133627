"""PostgreSQL's lexical rules, the strict half: whatever is not plainly one of these tokens is refused.

What the user wrote never runs. It is cut into tokens here, each token is recognised by `render.py`, and what runs is
written anew from them.
"""

from __future__ import annotations

import re

from mappers.names import fold, words
from mappers.tokens import ExpressionError, Kind, Token

OPERATORS = words(
    "+ - * / % ^ = <> != < > <= >= || | & # ~ << >> ~* !~ !~* ~~ ~~* !~~ !~~* -> ->> #> #>> #- @> <@ ? ?| ?& &&"
)
_PIECES = re.compile(
    r"""
    (?P<space>[ \t\r\n\f]+)
  | (?P<comment>--|/\*)
  | (?P<prefixed>[uU]&['"]|[bBxXnN]')
  | (?P<escaped>[eE]'(?:[^'\\]|''|\\[bfnrt\\'])*')
  | (?P<unescaped>[eE]')
  | (?P<string>'(?:[^']|'')*')
  | (?P<dollar>\$(?P<tag>[A-Za-z_]*)\$(?P<body>.*?)\$(?P=tag)\$)
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_$.\x80-\U0010ffff]))
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<mark>::|(?<!:):(?![:=])|[()\[\],.])
  | (?P<operator>[-+*/<>=~!@\#%^&|`?]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_MOMENT = re.compile(r"\s*(now|today|tomorrow|yesterday)\s*", re.IGNORECASE)


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression. Raises ExpressionError at the first thing that is not one."""
    if "\0" in text:
        raise ExpressionError("a NUL character is not allowed", "PostgreSQL stores none: leave it out")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _PIECES.match(text, position)
        if match is None:
            raise _unknown(text[position:])
        position = match.end()
        token = _token(match)
        if token is None:
            continue
        if tokens and tokens[-1].kind is token.kind is Kind.STRING:
            raise ExpressionError("two strings follow each other", "join them with ||")
        tokens.append(token)
    if not tokens:
        raise ExpressionError("the expression is empty", "write NULL for no value")
    return tokens


def _token(match: re.Match[str]) -> Token | None:
    text = match.group()
    kind = match.lastgroup
    if kind == "space":
        return None
    if kind == "word":
        return Token(Kind.WORD, fold(text), text)
    if kind == "quoted":
        return Token(Kind.QUOTED, text[1:-1].replace('""', '"'))
    if kind == "string":
        return Token(Kind.STRING, _steady(text))
    if kind == "escaped":
        return Token(Kind.STRING, "E" + _steady(text[1:]))
    if match["dollar"] is not None:
        return Token(Kind.STRING, _steady("'" + match["body"].replace("'", "''") + "'"))
    if kind == "operator":
        return _operator(text)
    if kind == "comment":
        raise _COMMENT
    if kind == "unescaped":
        raise ExpressionError("an escape in the string is not supported, or it is not closed", r"use \n, \t, \\ or \'")
    if kind == "prefixed":
        raise ExpressionError(f"strings written {text[:-1]}… are not supported", "write '…' or E'…'")
    return Token(Kind.NUMBER if kind == "number" else Kind.MARK, text)


_COMMENT = ExpressionError("a comment is not allowed inside an expression", "write it as a YAML comment (#)")


def _steady(literal: str) -> str:
    """The literal itself, unless it is one that PostgreSQL's date input reads as the present moment."""
    if _MOMENT.fullmatch(literal[1:-1]):
        raise ExpressionError(
            f"{literal} means the moment at which it is read", "use a constant; for the word itself write 'no' || 'w'"
        )
    return literal


def _operator(text: str) -> Token:
    if "--" in text or "/*" in text:
        raise _COMMENT
    if text not in OPERATORS:
        signs = f"put a space inside {text}" if text[-1] in "+-" else "use a function instead"
        raise ExpressionError(f"operator {text} is not supported", signs)
    return Token(Kind.OPERATOR, text)


def _unknown(rest: str) -> ExpressionError:
    if rest[0] == ";":
        return ExpressionError("a semicolon is not allowed", "write one expression")
    if rest[0] in "'\"":
        return ExpressionError(f"a quote is not closed: {rest[:20]}")
    if rest[0] == "$":
        return ExpressionError("parameters are not allowed", "write the value itself")
    return ExpressionError(f"{rest[:20]!r} is not understood")
