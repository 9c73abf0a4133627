"""What SQLite keeps of a value, by the type its column is declared with. Pure.

SQLite stores integers, reals, texts and blobs; a declared type is only an affinity, which changes some values on the
way in. What it would change is refused here. Made types are `INTEGER`, `REAL`, `TEXT` and `BLOB`, and two kinds of text
whose form is known: `DECIMAL(p,s)`, a plain decimal number, and `MOMENT`, which never reads as a number.
"""

from __future__ import annotations

import re
from enum import StrEnum

ANY = "ANY"
"""How a column that keeps every value as it is is spelled: one without a type, or ANY in a STRICT table."""
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


def affinity(declared: str) -> Affinity:
    """The affinity of a declared type, by SQLite's own rules, in their order."""
    name = bare(declared).upper()
    if name == ANY:
        return Affinity.NONE
    if "INT" in name:
        return Affinity.INTEGER
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if "BLOB" in name or not name:
        return Affinity.NONE
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return Affinity.REAL
    return Affinity.NUMERIC


def bare(declared: str) -> str:
    """The declared type without the collation that the catalogue writes after it."""
    return _COLLATE.sub("", declared)


def collation(declared: str) -> str:
    """The collation of a column by its type as the catalogue writes it; BINARY is not written."""
    found = _COLLATE.search(declared)
    return found[1].upper() if found else "BINARY"


def widens(made: str, wanted: str) -> bool:
    """Whether a column declared as `wanted` keeps every value of the made type as it is, to the last bit."""
    kind = affinity(wanted)
    if kind is Affinity.NONE:
        return made == "BLOB" if is_blob(wanted) else True
    if kind is Affinity.TEXT:
        return made in ("TEXT", "MOMENT") or made.startswith("DECIMAL")
    if kind is Affinity.NUMERIC:
        return made in ("INTEGER", "REAL", "MOMENT") or _short(made)
    return made == kind.value


def is_blob(declared: str) -> bool:
    """Whether a column that converts nothing is meant for bytes."""
    return "BLOB" in bare(declared).upper()


def _short(made: str) -> bool:
    """A decimal number that a binary one holds, and gives back digit for digit."""
    found = _DECIMAL.fullmatch(made)
    return found is not None and max(int(found[1]), int(found[2])) <= EXACT_DIGITS and int(found[2]) >= 0
