"""MariaDB's and MySQL's types by how their values are compared, written and hashed. Pure.

Types are spelled as the catalogue has them: decimal(10,2) unsigned, varchar(20) character set latin1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

_SPELLING = re.compile(r"\s*(?P<name>[a-z0-9]+)(?: precision)?\s*(?:\((?P<inside>.*)\))?(?P<rest>[^)]*)", re.DOTALL)
_LABEL = re.compile(r"'((?:[^']|'')*)'")


class Family(Enum):
    """What a type's values are."""

    INTEGER = auto()
    """Also bit and year: as numbers they are exact."""
    DECIMAL = auto()
    FLOAT = auto()
    DOUBLE = auto()
    DATE = auto()
    TIME = auto()
    MOMENT = auto()
    """datetime and timestamp; sessions are in UTC."""
    PADDED = auto()
    """char, which has no spaces at its end."""
    TEXT = auto()
    LONG_TEXT = auto()
    """Texts that may be large."""
    LABEL = auto()
    """enum and set."""
    BYTES = auto()
    PADDED_BYTES = auto()
    """binary, filled up with zeros."""
    UUID = auto()
    ADDRESS = auto()
    """inet4 and inet6."""
    SHAPE = auto()


_FAMILIES = {
    **dict.fromkeys(
        ("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "bit", "year", "boolean", "bool"),
        Family.INTEGER,
    ),
    **dict.fromkeys(("decimal", "numeric", "dec", "fixed"), Family.DECIMAL),
    "float": Family.FLOAT,
    **dict.fromkeys(("double", "real"), Family.DOUBLE),
    "date": Family.DATE,
    "time": Family.TIME,
    **dict.fromkeys(("datetime", "timestamp"), Family.MOMENT),
    "char": Family.PADDED,
    **dict.fromkeys(("varchar", "tinytext"), Family.TEXT),
    **dict.fromkeys(("text", "mediumtext", "longtext", "json"), Family.LONG_TEXT),
    **dict.fromkeys(("enum", "set"), Family.LABEL),
    **dict.fromkeys(("varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Family.BYTES),
    "binary": Family.PADDED_BYTES,
    "uuid": Family.UUID,
    **dict.fromkeys(("inet4", "inet6"), Family.ADDRESS),
}
TEXTUAL = frozenset((Family.PADDED, Family.TEXT, Family.LONG_TEXT, Family.LABEL))


@dataclass(frozen=True, slots=True)
class Type:
    """A type's parts. numbers: what stands in its brackets, but for labels."""

    name: str
    family: Family
    numbers: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    unsigned: bool = False

    @property
    def digits(self) -> str:
        """(10,2) of a decimal, as a cast wants it."""
        return f"({','.join(map(str, self.numbers))})" if self.numbers else "(10,0)"

    @property
    def fraction(self) -> int:
        """Digits of a second."""
        return self.numbers[0] if self.numbers else 0


@lru_cache(4096)
def read(spelling: str) -> Type:
    """The parts of a type; what is not known is taken for a shape, which nothing but itself can fill."""
    match = _SPELLING.fullmatch(spelling)
    name = match["name"] if match else spelling
    inside = (match["inside"] or "") if match else ""
    family = _FAMILIES.get(name, Family.SHAPE)
    labels = tuple(label.replace("''", "'") for label in _LABEL.findall(inside)) if family is Family.LABEL else ()
    numbers = tuple(int(n) for n in inside.split(",") if n.strip().isdigit()) if not labels else ()
    rest = match["rest"] if match else ""
    return Type(name, family, numbers, labels, "unsigned" in rest or "zerofill" in rest)
