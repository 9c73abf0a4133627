"""Which MariaDB types hold every value of another. Types are spelled as COLUMN_TYPE has them: int(11), varchar(20).

Text is utf8mb4 unless ` character set x` follows the type. Widths of integers mean nothing. A text column that MariaDB
checks to be JSON may be spelled json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPELLING = re.compile(
    r"(?P<name>[a-z0-9]+(?: precision)?)\s*(?:\((?P<inside>.*)\))?"
    r"(?P<rest>(?:\s+(?:unsigned|zerofill|signed|(?:character set|charset|collate)\s+\w+))*)"
)
_CHARSET = re.compile(r"(?:character set|charset)\s+(?P<name>\w+)")
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_ALIASES = {
    "integer": "int", "boolean": "tinyint", "bool": "tinyint", "numeric": "decimal", "dec": "decimal",
    "double precision": "double", "real": "double", "character": "char",
}  # fmt: skip
BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
BYTES = {"tiny": 255, "": 65_535, "medium": 16_777_215, "long": 4_294_967_295}
TEXTS = {f"{size}text": room for size, room in BYTES.items()}
BLOBS = {f"{size}blob": room for size, room in BYTES.items()}
_WIDTHS = {"utf8mb4": 4, "utf8mb3": 3, "utf8": 3, "latin1": 1, "ascii": 1}
"""Bytes that a character may take."""
_SHAPES = ("point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection")


@dataclass(frozen=True, slots=True)
class Type:
    """A type's name without aliases, and what follows it."""

    name: str
    numbers: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    unsigned: bool = False
    charset: str = "utf8mb4"


def read(spelling: str) -> Type | None:
    """The parts of a type's spelling; None for one that is not known."""
    match = _SPELLING.fullmatch(spelling.strip())
    if match is None:
        return None
    name, inside, rest = match["name"], match["inside"] or "", match["rest"].split()
    name = _ALIASES.get(name, name)
    labels: tuple[str, ...] = ()
    if name in ("enum", "set"):
        labels = tuple(label.replace("''", "'") for label in _LABEL.findall(inside))
        inside = ""
    if inside and not re.fullmatch(r"\d+(,\s*\d+)?", inside):
        return None
    numbers = tuple(int(number) for number in inside.split(",")) if inside else ()
    if name in ("datetime", "timestamp", "time"):
        numbers = numbers or (0,)
    charset = _CHARSET.search(match["rest"])
    return Type(
        name, numbers, labels, "unsigned" in rest or "zerofill" in rest, charset["name"] if charset else "utf8mb4"
    )


def widens(from_type: str, to_type: str) -> bool:
    """Whether every value of `from_type` can be assigned to `to_type` and stays the same value."""
    if from_type == to_type or from_type == "binary(0)":  # the type of NULL
        return True
    source, target = read(from_type), read(to_type)
    return source is not None and target is not None and _fits(source, target)


def _fits(source: Type, target: Type) -> bool:
    if bounds := integer_bounds(source):
        return holds_integers(target, *bounds)
    if source.name == target.name == "decimal":
        return _decimal_fits(source, target)
    if source.name in ("float", "double"):
        same = source.numbers == target.numbers or not target.numbers
        return same and target.name in (source.name, "double") and (source.unsigned or not target.unsigned)
    if source.name in ("enum", "set"):
        return target.name == source.name and _labels_fit(source, target)
    if characters(source) is not None:
        return _text_fits(source, target)
    if source.name in ("binary", "varbinary", *BLOBS):
        return _bytes_fit(source, target)
    if source.name in ("date", "time", "datetime", "timestamp"):
        return _clock_fits(source, target)
    return source.name == target.name or (source.name in _SHAPES and target.name == "geometry")


def integer_bounds(made: Type) -> tuple[int, int] | None:
    """The least and the greatest value of an integer or bit type; None for others."""
    if made.name == "bit":
        return 0, 2 ** (made.numbers or (1,))[0] - 1
    if made.name not in BITS:
        return None
    bits = BITS[made.name]
    return (0, 2**bits - 1) if made.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def holds_integers(target: Type, least: int, greatest: int) -> bool:
    """Whether a column holds all integers between the two."""
    if bounds := integer_bounds(target):
        return bounds[0] <= least and greatest <= bounds[1]
    if target.numbers and target.name in ("float", "double"):
        return False
    if target.unsigned and least < 0:
        return False
    most = max(-least, greatest)
    if target.name == "decimal":
        digits, scale = (*target.numbers, 0)[:2] if target.numbers else (10, 0)
        return bool(most < 10 ** (digits - scale))
    return bool(most <= {"double": 2**53, "float": 2**24}.get(target.name, -1))


def _decimal_fits(source: Type, target: Type) -> bool:
    """Enough digits before the point and after it."""
    (digits, scale), (room, places) = ((*(t.numbers or (10,)), 0)[:2] for t in (source, target))
    signs = source.unsigned or not target.unsigned
    return signs and scale <= places and digits - scale <= room - places


def _labels_fit(source: Type, target: Type) -> bool:
    """An enum's value is its label; a set's value lists its labels in the order of the column."""
    if source.name == "enum":
        return set(source.labels) <= set(target.labels)
    left = iter(target.labels)
    return all(label in left for label in source.labels)


def characters(made: Type) -> int | None:
    """How many characters a text type has room for, at least; None for other types."""
    if made.name in ("char", "varchar"):
        return (made.numbers or (1,))[0]
    if made.name == "json":
        return TEXTS["longtext"]
    return TEXTS.get(made.name)


def _text_fits(source: Type, target: Type) -> bool:
    """A column counts its length in characters or in bytes; CHAR drops spaces at the end, where only CHAR has none."""
    if target.name == "json":
        return True
    if characters(target) is None or not _characters_fit(source, target):
        return False
    if target.name in ("char", "varchar"):
        counted = source.name == "char" or (source.name == "varchar" and target.name == "varchar")
        return counted and (source.numbers or (1,)) <= (target.numbers or (1,))
    if source.name in ("char", "varchar"):
        return (source.numbers or (1,))[0] * _WIDTHS.get(target.charset, 4) <= TEXTS[target.name]
    grows = 1 if source.charset == target.charset else 4
    return TEXTS[target.name] == TEXTS["longtext"] or TEXTS.get(source.name, 2**40) * grows <= TEXTS[target.name]


def _characters_fit(source: Type, target: Type) -> bool:
    unicode = ("utf8mb3", "utf8", "utf8mb4")
    wider = source.charset in unicode[:2] and target.charset in unicode
    return source.charset in (target.charset, "ascii") or target.charset == "utf8mb4" or wider


def _bytes_fit(source: Type, target: Type) -> bool:
    """BINARY fills up with zeros, so only its own length fits."""
    if target.name == "binary":
        return (source.name, source.numbers) == (target.name, target.numbers)
    if target.name != "varbinary" and target.name not in BLOBS:
        return False
    length = BLOBS[source.name] if source.name in BLOBS else (source.numbers or (1,))[0]
    return length <= (target.numbers[0] if target.name == "varbinary" else BLOBS[target.name])


def _clock_fits(source: Type, target: Type) -> bool:
    """A timestamp is a datetime within the years 1970 to 2106, in UTC as sessions are; not the other way round."""
    wider = {"date": ("datetime",), "timestamp": ("datetime",)}.get(source.name, ())
    return target.name in (source.name, *wider) and source.numbers <= target.numbers
