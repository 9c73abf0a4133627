"""Types by what kind of value they hold, for all engines: what decides whether two columns can be the same thing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from mappers.names import words


class Family(Enum):
    """A kind of value."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    CHAR = "char"
    """Text padded to its length."""
    CITEXT = "citext"
    BYTES = "bytes"
    DATE = "date"
    CLOCK = "clock"
    TIMESTAMP = "timestamp"
    """Date and time without a zone."""
    INSTANT = "instant"
    INTERVAL = "interval"
    UUID = "uuid"
    JSON = "json"
    NETWORK = "network"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Type:
    """A type as proposals see it. length: most characters of a text; None for any. whole: digits before the point."""

    name: str
    family: Family
    array: bool = False
    length: int | None = None
    whole: int = 0


_FAMILIES = {
    name: family
    for family, names in (
        (Family.INTEGER, "smallint|integer|bigint|int|int2|int4|int8|tinyint|mediumint|year"),
        (Family.DECIMAL, "numeric|decimal|money"),
        (Family.FLOAT, "real|double precision|double|float|float4|float8"),
        (Family.BOOLEAN, "boolean|bool"),
        (Family.TEXT, "text|character varying|varchar|tinytext|mediumtext|longtext|clob|name|nvarchar"),
        (Family.CHAR, "character|char|bpchar|nchar"),
        (Family.CITEXT, "citext"),
        (Family.BYTES, "bytea|blob|tinyblob|mediumblob|longblob|binary|varbinary"),
        (Family.DATE, "date"),
        (Family.CLOCK, "time|time without time zone|time with time zone"),
        (Family.TIMESTAMP, "timestamp without time zone|datetime"),
        (Family.INSTANT, "timestamp with time zone|timestamptz|timestamp"),
        (Family.INTERVAL, "interval"),
        (Family.UUID, "uuid"),
        (Family.JSON, "json|jsonb"),
        (Family.NETWORK, "inet|cidr|macaddr|macaddr8|inet4|inet6"),
    )
    for name in names.split("|")
}
_MODIFIER = re.compile(r"\s*\(([^)]*)\)")
_DROPPED = re.compile(r"\s+(?:unsigned|zerofill|(?:character set|COLLATE)\s+\w+)\b")
_EXTENSIONS = words("citext")


@lru_cache(maxsize=5_000)
def read_type(spelling: str) -> Type:
    """The type of an engine's spelling; of family OTHER where it is none of the usual ones."""
    array = spelling.endswith("[]")
    modifier = _MODIFIER.search(spelling)
    name = _DROPPED.sub("", _MODIFIER.sub("", spelling.replace("[]", ""))).strip()
    last = name.rpartition(".")[2]
    name = last if last in _EXTENSIONS else name
    family = Family.BOOLEAN if spelling.lower().startswith("tinyint(1)") else _FAMILIES.get(name.lower(), Family.OTHER)
    numbers = [int(n) for n in modifier[1].split(",") if n.strip().lstrip("-").isdigit()] if modifier else []
    length = numbers[0] if numbers and family in (Family.TEXT, Family.CHAR) else None
    if family is Family.CHAR and length is None:
        length = 1
    return Type(name, family, array, length, _whole(family, numbers))


def _whole(family: Family, numbers: list[int]) -> int:
    if family is Family.INTEGER:
        return 4
    if family is Family.DECIMAL:
        return numbers[0] - (numbers[1] if len(numbers) > 1 else 0) if numbers else 1000
    return 0
