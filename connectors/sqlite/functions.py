"""The functions that a target's session has besides SQLite's own: hashes of rows, texts of values, exact conversions.

They are registered on each connection, and give the same for the same values everywhere.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import struct
from collections.abc import Callable, Iterable
from typing import Any

HASH, CONTENT, TOTAL = "changeover_hash", "changeover_content", "changeover_total"
TEXT, LITERAL, NUMERIC, UNFIT = "changeover_text", "changeover_literal", "changeover_numeric", "changeover_unfit"
HALF = 1 << 32
_PLAIN = re.compile(r"-?\d+(\.\d+)?")
_MOST, _LEAST = (1 << 63) - 1, -(1 << 63)


class Faults:
    """Why a function failed: SQLite passes on that it did, and no more. Of one connection."""

    def __init__(self) -> None:
        self.said = ""

    def unfit(self, column: str, value: object) -> object:
        """A staged value that the column's type has no form for stands in the place of one."""
        self.said = f"column {column}: {_shown(value)} cannot be stored as SQLite stores its type"
        raise ValueError(self.said)

    def take(self) -> str:
        """What was said since the last call."""
        said, self.said = self.said, ""
        return said


def add_functions(raw: sqlite3.Connection) -> Faults:
    """Register them; returns where their failures are told."""
    faults = Faults()
    functions: list[tuple[str, int, Callable[..., Any]]] = [
        (HASH, -1, _hash),
        (CONTENT, -1, _content),
        (TOTAL, 2, _total),
        (TEXT, 1, text_of),
        (LITERAL, 1, literal_of),
        (NUMERIC, 1, numeric_of),
        (UNFIT, 2, faults.unfit),
    ]
    for name, count, function in functions:
        raw.create_function(name, count, function, deterministic=True)
    return faults


def text_of(value: Any) -> str | None:
    """A value's text: numbers with every digit, a whole number without a fraction, bytes as hex."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return repr(_whole(value))


def literal_of(value: Any) -> str | None:
    """The same for a column of any type: a text is quoted, so that 1 and '1' differ."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return text_of(value)


def numeric_of(value: Any) -> Any:
    """What a column of numeric affinity makes of a value: a plain decimal becomes a number, other text stays."""
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        return value
    number = _whole(float(value)) if "." in value else int(value)
    return number if isinstance(number, float) or _LEAST <= number <= _MOST else float(value)


def _whole(value: int | float) -> int | float:
    """A real that is whole, and small enough, as the integer that SQLite may have stored in its place."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST:
        return int(value)
    return value


def _hash(seed: int, *values: Any) -> int:
    """64 bits over the seed and these values; the order matters, and NULL is a value of its own."""
    digest = hashlib.blake2b(_encoded(values), digest_size=8, key=b"%d" % seed)
    return int.from_bytes(digest.digest(), "big", signed=True)


def _content(*values: Any) -> str:
    """The same in 128 bits, as text: what stands for a row's version."""
    return hashlib.blake2b(_encoded(values), digest_size=16).hexdigest()


def _encoded(values: Iterable[Any]) -> bytes:
    """Every value with its kind and its length."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(b"n")
            continue
        if isinstance(value, str):
            kind, data = b"t", value.encode("utf-8", "surrogatepass")
        elif isinstance(value, bytes):
            kind, data = b"b", value
        else:
            number = _whole(value)
            kind, data = (b"i", b"%d" % number) if isinstance(number, int) else (b"r", struct.pack(">d", number))
        parts += (kind, b"%d:" % len(data), data)
    return b"".join(parts)


def _total(upper: int | None, lower: int | None) -> str:
    """The exact sum of the hashes whose upper halves and lower halves have these sums."""
    return str((upper or 0) * HALF + (lower or 0))


def _shown(value: object) -> str:
    """Not the value: only what kind of text it is, for those that have names."""
    return value if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity") else "a value"
