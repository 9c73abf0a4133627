"""Type names inside MariaDB's cast: its own few, and standard ones where a few of its own mean exactly that."""

from __future__ import annotations

from collections.abc import Sequence

from mappers.tokens import END, ExpressionError, Kind, Token

_SAME = {
    "char": "CHAR", "character": "CHAR", "varchar": "CHAR", "text": "CHAR", "binary": "BINARY", "signed": "SIGNED",
    "unsigned": "UNSIGNED", "integer": "SIGNED", "int": "SIGNED", "bigint": "SIGNED", "decimal": "DECIMAL",
    "numeric": "DECIMAL", "dec": "DECIMAL", "double": "DOUBLE", "real": "DOUBLE", "float": "FLOAT", "date": "DATE",
    "time": "TIME", "datetime": "DATETIME", "uuid": "UUID", "inet4": "INET4", "inet6": "INET6",
}  # fmt: skip
_INSTEAD = {
    "timestamp": "write datetime(6): without digits it drops fractions of seconds",
    "timestamptz": "write datetime(6): MariaDB's times have no zone",
    "boolean": "write the condition itself: x <> 0, x = 'true'",
    "bool": "write the condition itself: x <> 0, x = 'true'",
    "smallint": "write signed: the target's column refuses what is out of its range",
    "mediumint": "write signed: the target's column refuses what is out of its range",
    "tinyint": "write signed: the target's column refuses what is out of its range",
    "json": "JSON is text in MariaDB: write char",
    "jsonb": "JSON is text in MariaDB: write char",
    "bytea": "write binary",
    "blob": "write binary",
    "varbinary": "write binary; binary(n) fills up with zeros",
    "year": "write year(x)",
}
_SIZED = frozenset(("CHAR", "BINARY", "DECIMAL", "TIME", "DATETIME"))


def read_type(tokens: Sequence[Token], start: int) -> tuple[str, int]:
    """(SQL of the type that starts at `start`, how many tokens it takes). Raises ExpressionError."""
    name = _at(tokens, start)
    known = _SAME.get(name.text) if name.kind is Kind.WORD else None
    if known is None:
        known_names = "char, signed, unsigned, decimal(p, s), double, date, datetime(6), time(6), binary or uuid"
        hint = _INSTEAD.get(name.text, f"write {known_names}")
        raise ExpressionError(f"a cast to {name.text or 'nothing'} is not supported", hint)
    place = start + 1 + _second_word(name.text, _at(tokens, start + 1).text)
    numbers, place = _numbers(tokens, place)
    if numbers and known not in _SIZED:
        raise ExpressionError(f"{known} takes no number", f"write cast(x as {known.lower()})")
    if known == "DECIMAL" and not numbers:
        raise ExpressionError("decimal without digits rounds to whole numbers", "write decimal(p, s)")
    return (f"{known}({', '.join(numbers)})" if numbers else known), place - start


def _second_word(first: str, second: str) -> int:
    """How many more words the type's name has: signed integer, double precision, character varying."""
    pairs = {"signed": ("integer", "int"), "unsigned": ("integer", "int"), "double": ("precision",)}
    return int(second in pairs.get(first, ()) or (first == "character" and second == "varying"))


def _numbers(tokens: Sequence[Token], place: int) -> tuple[list[str], int]:
    numbers: list[str] = []
    if _at(tokens, place) != Token(Kind.MARK, "("):
        return numbers, place
    while True:
        number, after = _at(tokens, place + 1), _at(tokens, place + 2)
        if number.kind is not Kind.NUMBER or not number.text.isdigit() or after.text not in (",", ")"):
            raise ExpressionError("a type takes whole numbers only, as in decimal(10, 2)")
        numbers.append(number.text)
        place += 2
        if after.text == ")":
            return numbers, place + 1


def _at(tokens: Sequence[Token], place: int) -> Token:
    return tokens[place] if place < len(tokens) else END
