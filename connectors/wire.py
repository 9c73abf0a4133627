"""What a source column's value is while it travels between a source and a target: in no engine's types. Pure.

A decoder makes values of these kinds, a target's staging accepts them. A type that has no exact wire kind is refused
before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Wire(StrEnum):
    """The kind of a value in a `Row`; every kind can be None as well."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    TEXT = "text"
    """str. Also every type whose exact text form the target parses: numeric, uuid, json, timestamptz, inet, enums."""
    BYTES = "bytes"
    DATE = "date"
    """int: days since 1970-01-01."""
    TIME = "time"
    """int: microseconds since midnight."""
    TIMESTAMP = "timestamp"
    """int: microseconds since 1970-01-01 00:00, no zone."""
    ARRAY = "array"
    """list of `element` values, one dimension, None for a null element."""


class Form(StrEnum):
    """How a value is written in events where that is not as its kind says."""

    PLAIN = ""
    WRAPPED = "wrapped"
    """An unsigned number of 64 bits as a signed one; its text is wanted."""
    BITS = "bits"
    """A number as bytes, the least one first."""
    YEAR = "year"
    """A number in which 1900 stands for 0."""
    SINGLE = "single"
    """A 32-bit float, perhaps widened to 64 bits."""
    SPAN = "span"
    """A time below 00:00 or beyond 24:00."""


class Doubt(StrEnum):
    """Values that may stand for another one in the source: the row must be read again to know."""

    NONE = ""
    NULL = "null"
    """NULL, and the first moment of 1970."""
    EPOCH = "epoch"
    """The first moment of 1970."""
    REPLACED = "replaced"
    """Text with U+FFFD in it."""
    SHIFTED = "shifted"
    """Text that begins with 00."""


INFINITY_US = (1 << 63) - 1
"""TIMESTAMP 'infinity'; its negative stands for '-infinity'. The same for DATE in days."""


@dataclass(frozen=True, slots=True)
class WireColumn:
    """A source column as it travels: its name, its type (`Column.type`), and its wire kind."""

    name: str
    type: str
    kind: Wire
    element: Wire | None = None
    nullable: bool = True
    optional: bool = False
    """Whether the column may be absent from an event (it is generated: the log does not carry it)."""
    form: Form = Form.PLAIN
    doubt: Doubt = Doubt.NONE
