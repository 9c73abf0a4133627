"""Type names inside a cast: read from tokens, refused where they reach into the system catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from mappers.names import quote, words
from mappers.tokens import END, ExpressionError, Kind, Token

_TWO_WORDS = frozenset((("double", "precision"), ("character", "varying"), ("bit", "varying")))
_ZONED = frozenset(("time", "timestamp"))
_PSEUDO = words(
    "record void trigger internal cstring unknown any anyelement anyarray anynonarray anyenum anyrange event_trigger "
    "language_handler fdw_handler serial bigserial smallserial setof table oid xid xid8 cid tid aclitem"
)
_PUBLIC_PG = frozenset(("pg_lsn",))


def read_type(tokens: Sequence[Token], start: int) -> tuple[str, int]:
    """(SQL of the type that starts at `start`, how many tokens it takes). Raises ExpressionError."""
    sql, place = _base(tokens, start)
    modifier, place = _modifier(tokens, place)
    sql += modifier
    words = [token.text for token in tokens[place : place + 3]]
    if sql.partition("(")[0] in _ZONED and words in (["with", "time", "zone"], ["without", "time", "zone"]):
        sql += " " + " ".join(words)
        place += 3
    while _mark(tokens, place) == "[" and _mark(tokens, place + 1) == "]":
        sql += "[]"
        place += 2
    return sql, place - start


def _at(tokens: Sequence[Token], place: int) -> Token:
    return tokens[place] if place < len(tokens) else END


def _mark(tokens: Sequence[Token], place: int) -> str:
    token = _at(tokens, place)
    return token.text if token.kind is Kind.MARK else ""


def _base(tokens: Sequence[Token], start: int) -> tuple[str, int]:
    first, second = _at(tokens, start), _at(tokens, start + 1)
    if first.kind is Kind.WORD and second.kind is Kind.WORD and (first.text, second.text) in _TWO_WORDS:
        return f"{first.text} {second.text}", start + 2
    name = _name(first)
    if second != Token(Kind.MARK, "."):
        return name, start + 1
    last = _at(tokens, start + 2)
    _name(last)
    return f"{quote(first.text)}.{quote(last.text)}", start + 3


def _name(token: Token) -> str:
    """A type's name as SQL: unquoted words stay so, because integer and "integer" are different names."""
    if token.kind not in (Kind.WORD, Kind.QUOTED):
        raise ExpressionError("a cast needs the name of a type", "write cast(x as text) or x::text")
    bare = token.text.lstrip("_")
    system = token.text.startswith("pg_") and token.text not in _PUBLIC_PG
    if bare.startswith("reg") or bare in _PSEUDO or system:
        raise ExpressionError(
            f"a cast to {token.text} is not allowed", "it reads the system catalogue or is no type of a value"
        )
    return quote(token.text) if token.kind is Kind.QUOTED else token.text


def _modifier(tokens: Sequence[Token], place: int) -> tuple[str, int]:
    """`(10, 2)` after a type's name; nothing but whole numbers may stand there."""
    if _mark(tokens, place) != "(":
        return "", place
    numbers: list[str] = []
    while True:
        number = _at(tokens, place + 1)
        if number.kind is not Kind.NUMBER or not number.text.isdigit():
            raise ExpressionError("a type takes whole numbers only, as in numeric(10, 2)")
        numbers.append(number.text)
        place += 2
        if _mark(tokens, place) == ")":
            return f"({', '.join(numbers)})", place + 1
        if _mark(tokens, place) != ",":
            raise ExpressionError("a type takes whole numbers only, as in numeric(10, 2)")
