"""Which values a SQLite column holds as they are, by the affinity of its declared type.

SQLite stores integers, reals, texts and blobs; a declared type is only an affinity, which changes some values on the
way in. What is made is a storage class (`storage`), or `DECIMAL(p,s)`: the text of a decimal number of so many digits.
"""

from __future__ import annotations

import re
from enum import StrEnum

from mappers.dialects.sqlite.storage import NULL, NUMERIC, UNKNOWN, WORDS
from mappers.mapping import Expression

ANY = "ANY"
"""How the catalogue spells a column that keeps every value: one without a type, or ANY in a STRICT table."""
EXACT_DIGITS = 15
"""A decimal number of so many digits is the same again after it was a binary one."""

_COLLATE = re.compile(r"\s+COLLATE\s+(\S+)$")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(-?\d+)\)")


class Affinity(StrEnum):
    """SQLite's affinities. NONE is what it calls BLOB: values stay as they are."""

    INTEGER = "INTEGER"
    REAL = "REAL"
    TEXT = "TEXT"
    NUMERIC = "NUMERIC"
    NONE = "NONE"


_PARTS = (
    (Affinity.INTEGER, ("INT",)),
    (Affinity.TEXT, ("CHAR", "CLOB", "TEXT")),
    (Affinity.NONE, ("BLOB",)),
    (Affinity.REAL, ("REAL", "FLOA", "DOUB")),
)
_KEPT = {
    Affinity.INTEGER: {"INTEGER"},
    Affinity.REAL: {"REAL"},
    Affinity.TEXT: {"TEXT", WORDS},
    Affinity.NUMERIC: {"INTEGER", NUMERIC, WORDS},
}
"""In a NUMERIC column a float without fraction becomes an integer, and text that looks like a number that number."""


def affinity(declared: str) -> Affinity:
    """The affinity of a declared type, by SQLite's own rules, in their order."""
    name = bare(declared).upper()
    if name == ANY:
        return Affinity.NONE
    found = (made for made, parts in _PARTS if any(part in name for part in parts))
    return next(found, Affinity.NUMERIC if name.strip() else Affinity.NONE)


def bare(declared: str) -> str:
    """The declared type without the collation that the catalogue writes after it."""
    return _COLLATE.sub("", declared)


def collation(declared: str) -> str:
    """The collation of a column by its type as the catalogue writes it; BINARY is not written."""
    found = _COLLATE.search(declared)
    return found[1].upper() if found else "BINARY"


def is_blob(declared: str) -> bool:
    """Whether a column that converts nothing is meant for bytes."""
    return "BLOB" in bare(declared).upper()


class SqliteTyping:
    """Types described for expressions are what `storage.storage_class` says, `UNKNOWN`, or `DECIMAL(p,s)`."""

    def widens(self, from_type: str, to_type: str) -> bool:
        """Whether a column declared `to_type` keeps values of the class `from_type` as they are."""
        wanted = affinity(to_type)
        if from_type == NULL:
            return True
        if wanted is Affinity.NONE:
            return from_type == "BLOB" or not is_blob(to_type)
        if found := _DECIMAL.fullmatch(from_type):
            return wanted is Affinity.TEXT or (wanted is Affinity.NUMERIC and _short(int(found[1]), int(found[2])))
        return from_type in _KEPT[wanted]

    def fits(self, expression: Expression, made: str, wanted: str) -> bool:
        """Whether every value of the expression, of class `made`, stays the same in a `wanted`."""
        return self.widens(made, wanted)

    def hint(self, text: str, made: str, wanted: str) -> str:
        """The cast to write, or the declaration that keeps the value."""
        kept = affinity(wanted)
        if kept is Affinity.NONE:
            return f"declare the column {made.partition(' ')[0].partition('(')[0]}, or write cast({text} as blob)"
        if kept is not Affinity.NUMERIC:
            loses = ", which reads other text as 0" if made != "INTEGER" and kept != Affinity.TEXT else ""
            return f"write cast({text} as {kept.value.lower()}){loses}"
        if made == "REAL":
            return "declare the column REAL: this one makes an integer of 1.0"
        if made in ("BLOB", UNKNOWN):
            return f"declare the column without a type, or write cast({text} as integer)"
        return (
            f"declare the column TEXT: this one makes 1.1 of '1.10'; or write cast({text} as numeric), if that is meant"
        )

    def cast(self, text: str, wanted: str) -> str:
        """The expression `text` in the column's own class; bytes for a BLOB."""
        kept = affinity(wanted)
        if kept is not Affinity.NONE:
            return f"cast({text} as {kept.value.lower()})"
        return f"cast({text} as blob)" if is_blob(wanted) else text


def _short(digits: int, scale: int) -> bool:
    """A decimal number that a binary one holds, and gives back digit for digit."""
    return max(digits, scale) <= EXACT_DIGITS and scale >= 0
