"""What the lexers of MariaDB and SQLite share: whatever is not plainly a token of the dialect is refused, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mappers.names import fold
from mappers.tokens import ExpressionError, Kind, Token

Reader = Callable[[str], list[Token]]

SPACE = r"(?P<space>[ \t\r\n\f]+)"
COMMENT = r"(?P<comment>--|/\*)"
NAME = r'(?P<quoted>"(?:[^"]|"")+")|(?P<ticked>`(?:[^`]|``)+`)'
NUMBER = r"(?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_$.\x80-\U0010ffff]))"
WORD = r"(?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)"
MARK = r"(?P<mark>::|[()\[\],.])"


def lexer(pattern: re.Pattern[str], readers: Mapping[str, Reader]) -> Callable[[str], list[Token]]:
    """A tokenizer. readers: by the pattern's group, what a dialect reads in a way of its own."""
    own: dict[str, Reader] = {**_READERS, **readers}

    def tokenize(text: str) -> list[Token]:
        if "\0" in text:
            raise ExpressionError("a NUL character is not allowed", "leave it out")
        tokens: list[Token] = []
        position = 0
        while position < len(text):
            match = pattern.match(text, position)
            if match is None or match.lastgroup is None:
                raise _unknown(text[position:])
            position = match.end()
            made = own[match.lastgroup](match.group())
            if made and tokens and tokens[-1].kind is made[0].kind is Kind.STRING:
                raise ExpressionError("two strings follow each other", "join them")
            tokens += made
        if not tokens:
            raise ExpressionError("the expression is empty", "write NULL for no value")
        return tokens

    return tokenize


def operators(known: frozenset[str], instead: Mapping[str, str]) -> Reader:
    """Reads operators. instead: what to write for those that mean something else on other engines."""

    def read(text: str) -> list[Token]:
        if "--" in text or "/*" in text:
            raise COMMENT_REFUSED
        if text in instead:
            raise ExpressionError(f"operator {text} is not supported", instead[text])
        if text not in known:
            signs = f"put a space inside {text}" if text[-1] in "+-~" and len(text) > 1 else "use a function instead"
            raise ExpressionError(f"operator {text} is not supported", signs)
        return [Token(Kind.OPERATOR, text)]

    return read


COMMENT_REFUSED = ExpressionError(
    "a comment is not allowed inside an expression", "write it as a YAML comment (#); for a - -1 put a space between"
)


def _comment(text: str) -> list[Token]:
    raise COMMENT_REFUSED


def _plain(kind: Kind) -> Reader:
    return lambda text: [Token(kind, text)]


_READERS: Mapping[str, Reader] = {
    "space": lambda text: [],
    "comment": _comment,
    "quoted": lambda text: [Token(Kind.QUOTED, text[1:-1].replace('""', '"'))],
    "ticked": lambda text: [Token(Kind.QUOTED, text[1:-1].replace("``", "`"))],
    "string": _plain(Kind.STRING),
    "number": _plain(Kind.NUMBER),
    "word": lambda text: [Token(Kind.WORD, fold(text), text)],
    "mark": _plain(Kind.MARK),
}


def _unknown(rest: str) -> ExpressionError:
    if rest[0] == ";":
        return ExpressionError("a semicolon is not allowed", "write one expression")
    if rest[0] in "'\"`":
        return ExpressionError(f"a quote is not closed: {rest[:20]}")
    if rest[0] in "@:$?":
        return ExpressionError("variables and parameters are not allowed", "write the value itself")
    return ExpressionError(f"{rest[:20]!r} is not understood")
