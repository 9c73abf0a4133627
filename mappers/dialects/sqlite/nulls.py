"""When SQLite's functions are NULL. It knows few errors: dividing by zero is NULL, and so is a date that is none."""

from __future__ import annotations

from mappers.dialects.record import NullRules
from mappers.names import words
from mappers.tree import Node, kind_of, unwrapped

_TOTAL = words(
    "abs glob instr json json_valid length like lower ltrim max min octet_length replace round rtrim trim "
    "upper zeroblob"
)
"""NULL only where an argument is. substr is not here: of empty bytes it is."""


def _divides(node: Node) -> bool:
    """Unless by a number that is written there."""
    if kind_of(node) not in ("Div", "Mod"):
        return False
    divisor = unwrapped(node.expression)
    return kind_of(divisor) != "Literal" or divisor.is_string or float(divisor.name) == 0


NULLS = NullRules(
    never=words("Literal HexString Boolean Is NullSafeEQ NullSafeNEQ DataType Var Identifier"),
    always=words("Null JSONExtract JSONExtractScalar"),
    partial=_divides,
    never_calls=words("hex quote typeof char concat json_object json_array json_quote pi soundex"),
    first_only=words("printf format concat_ws"),
    first_present=words("coalesce ifnull"),
    chooses=words("iif"),
    makers=lambda name: name not in _TOTAL,
)
