"""Whether a column can become another, and by which expression. It errs on the side of a person's decision.

A cast is offered only where no value can be lost or refused by it; everything else is words for the user to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.expressions import ExpressionError, column_expression, parse_expression
from mappers.mapping import Column, Table
from mappers.names import quote, readable
from mappers.propose.families import Family, Type, read_type
from mappers.types import widens


class Fit(Enum):
    """How a source column fits a target column."""

    EXACT = "exact"
    """The same type, or one that holds every value of it."""
    CAST = "cast"
    """A cast that loses nothing."""
    DECIDE = "decide"
    """Some expression, which a person must choose."""
    NEVER = "never"
    """Values of these types are not each other's."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """expression: over the source column, to be run or, with DECIDE, to be considered. why: what must be decided."""

    fit: Fit
    expression: str
    why: str = ""


_TEXTS = (Family.TEXT, Family.CHAR)
_TIMES = (Family.TIMESTAMP, Family.INSTANT, Family.DATE, Family.CLOCK)
_NUMBERS = (Family.INTEGER, Family.DECIMAL, Family.FLOAT)
_AS_TEXT = {Family.INTEGER: 20, Family.UUID: 36, Family.BOOLEAN: 5}
"""Family whose text says everything -> the longest such text."""


def convert(source: Column, target: Column) -> Conversion:
    """How the target column can be filled from the source column."""
    name = sql_name(source.name)
    if source.labels or target.labels:
        return _labelled(source, target, name)
    if widens(source.type, target.type):
        return Conversion(Fit.EXACT, name)
    one, other = read_type(source.type), read_type(target.type)
    if one.array or other.array:
        return _arrays(one, other, name, target)
    return _lossless(one, other, name, target) or _choice(one, other, name, target)


def _lossless(one: Type, other: Type, name: str, target: Column) -> Conversion | None:
    cast = Conversion(Fit.CAST, f"cast({name} as {target.type})")
    room = other.length if other.family is Family.TEXT else None
    if one.family in _AS_TEXT and other.family is Family.TEXT:
        return cast if room is None or room >= _AS_TEXT[one.family] else None
    if one.family is Family.CHAR and other.family in _TEXTS:
        return cast if other.length is None or other.length >= (one.length or 1) else None
    if one.family is Family.BOOLEAN and other.family in (Family.INTEGER, Family.DECIMAL) and other.whole > 0:
        number = f"cast({name} as integer)"
        return Conversion(Fit.CAST, number if other.name == "integer" else f"cast({number} as {target.type})")
    if one.family is Family.JSON and (other.name == "json" or (other.family is Family.TEXT and room is None)):
        return cast
    if {one.family, other.family} == {Family.TEXT, Family.CITEXT}:
        return cast if other.family is Family.CITEXT or room is None else None
    return None


def _choice(one: Type, other: Type, name: str, target: Column) -> Conversion:
    cast = f"cast({name} as {target.type})"
    pair = (one.family, other.family)
    if one.family in _TIMES and other.family in _TIMES and Family.CLOCK not in pair:
        return _times(one, other, name, target)
    if pair == (Family.JSON, Family.JSON):
        return Conversion(Fit.DECIDE, cast, "jsonb does not keep the order of keys, nor one that is there twice")
    if other.family is Family.BOOLEAN and one.family is Family.INTEGER:
        return Conversion(Fit.DECIDE, f"{name} <> 0", "is every number but 0 true?")
    if other.family is Family.BOOLEAN and one.family in _TEXTS:
        return Conversion(Fit.DECIDE, f"{name} = 'Y'", "which text is true?")
    if one.family in _NUMBERS and other.family in _NUMBERS:
        return Conversion(Fit.DECIDE, cast, f"{one.name} holds numbers that {target.type} does not")
    if one.family in (*_TEXTS, Family.CITEXT) and other.family in (*_TEXTS, Family.CITEXT):
        return Conversion(Fit.DECIDE, cast, "it cuts longer values: are there any?")
    if one.family in _TEXTS and other.family not in (Family.OTHER, Family.BYTES):
        return Conversion(Fit.DECIDE, cast, f"a text that is no {target.type} is refused")
    if other.family in _TEXTS and one.family is not Family.OTHER:
        return Conversion(Fit.DECIDE, cast, "is its text what is wanted, and does it fit?")
    if one.family is Family.INTEGER and other.family in _TIMES[:2]:
        return Conversion(Fit.DECIDE, f"to_timestamp({name})", "is it seconds since 1970?")
    if one.family is other.family is not Family.OTHER and one.family is not Family.UUID:
        return Conversion(Fit.DECIDE, cast, "the types differ")
    return Conversion(Fit.NEVER, cast, f"{target.type} is not made of a value of another kind")


def _times(one: Type, other: Type, name: str, target: Column) -> Conversion:
    if {one.family, other.family} == {Family.TIMESTAMP, Family.INSTANT}:
        return Conversion(Fit.DECIDE, f"{name} at time zone 'UTC'", "which time zone are its values of?")
    if one.family is Family.DATE and other.family is Family.INSTANT:
        zoned = f"cast({name} as timestamp without time zone) at time zone 'UTC'"
        return Conversion(Fit.DECIDE, zoned, "which time zone are its days of?")
    if one.family is Family.INSTANT and other.family is Family.DATE:
        return Conversion(Fit.DECIDE, f"cast({name} at time zone 'UTC' as date)", "it drops the time of the day")
    why = "it drops the time of the day" if other.family is Family.DATE else "it rounds the seconds"
    return Conversion(Fit.DECIDE, f"cast({name} as {target.type})", why)


def _arrays(one: Type, other: Type, name: str, target: Column) -> Conversion:
    if one.array and other.array and one.family is other.family is not Family.OTHER:
        return Conversion(Fit.DECIDE, f"cast({name} as {target.type})", "the elements' types differ")
    if one.array != other.array:
        return Conversion(Fit.NEVER, name, "an array is not a single value")
    return Conversion(Fit.NEVER, name, "the elements are of another kind")


def _labelled(source: Column, target: Column, name: str) -> Conversion:
    """Enums: by their labels, whatever the types are called."""
    other = read_type(target.type)
    text = f"cast({name} as text)"
    if source.labels and target.labels:
        missing = [label for label in source.labels if label not in target.labels]
        if not missing:
            same = source.type == target.type and source.labels == target.labels
            return Conversion(Fit.EXACT, name) if same else Conversion(Fit.CAST, f"cast({text} as {target.type})")
        shared = len(source.labels) - len(missing)
        why = f"the target has no label {', '.join(missing[:5])}"
        return Conversion(Fit.DECIDE if shared else Fit.NEVER, f"cast({text} as {target.type})", why)
    if source.labels:
        longest = max(map(len, source.labels))
        if other.family is Family.TEXT and not other.array and (other.length is None or other.length >= longest):
            return Conversion(Fit.CAST, f"cast({name} as {target.type})")
        return Conversion(Fit.NEVER if other.family is not Family.TEXT else Fit.DECIDE, text, "its labels do not fit")
    if read_type(source.type).family in _TEXTS:
        why = f"a text that is none of {', '.join(target.labels[:6])} is refused"
        return Conversion(Fit.DECIDE, f"cast({name} as {target.type})", why)
    if read_type(source.type).family is Family.INTEGER:
        return Conversion(
            Fit.DECIDE, f"case {name} when 1 then '{target.labels[0]}' end", "which number is which label?"
        )
    return Conversion(Fit.NEVER, name, "an enum is not made of this type")


@lru_cache(maxsize=50_000)
def sql_name(name: str) -> str:
    """The column as an expression names it: in quotes only where it must be."""
    plain = readable(name)
    if plain.startswith('"'):
        return plain
    probe = Table("public", "t", (Column(name, "text"),), ())
    try:
        same = parse_expression(plain, probe, FunctionCatalog(frozenset())) == column_expression(name)
    except ExpressionError:
        same = False
    return plain if same else quote(name)
