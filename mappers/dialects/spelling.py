"""Type names of source columns, whichever source engine spells them, as far as keys need to know them."""

from __future__ import annotations

from mappers.names import words

INTEGERS = words("smallint integer bigint tinyint mediumint int")
TEXTS = words("text varchar char tinytext mediumtext longtext") | {"character varying", "character"}
CLOCKS = words("timestamp datetime") | {"timestamp without time zone", "timestamp with time zone"}
EXACT_AS_TEXT = INTEGERS | TEXTS | CLOCKS | words("uuid boolean date numeric decimal enum")
"""Of these different values have different texts. A float has many digits, a time with a zone many spellings."""


def bare(type_name: str) -> str:
    """A type's name without what follows it in brackets, and without `unsigned`: bigint(20) unsigned is bigint."""
    name, bracket, rest = type_name.partition("(")
    zone = rest.partition(")")[2] if bracket else ""
    plain = f"{name.strip()} {zone.strip()}".replace(" unsigned", "").replace(" zerofill", "")
    return plain.strip().lower()
