"""When MariaDB's functions are NULL: many are on an argument that they make nothing of.

In the strict modes that sessions pin, a division by zero or a cast that fails is an error, and no row has its NULL.
"""

from __future__ import annotations

from mappers.dialects.record import NullRules
from mappers.names import words
from mappers.tree import Node

_TOTAL = words(
    "abs ascii bin bit_count bit_length ceil ceiling char_length character_length concat crc32 date day dayofmonth "
    "degrees floor format greatest hex hour insert instr lcase least left length lengthb locate lower ltrim md5 "
    "microsecond mid minute mod month octet_length ord pi pow power quarter radians regexp_instr regexp_replace "
    "regexp_substr replace reverse right round rtrim second sha sha1 sign soundex space strcmp substr substring_index "
    "to_base64 truncate ucase upper year"
)
"""NULL only where an argument is. dayname, last_day, datediff and their like are not here: of a zero date they are."""


def _moves(node: Node) -> bool:
    """A date plus an interval may be none that there is."""
    sides = (node.args.get("this"), node.args.get("expression"))
    return type(node).__name__ in ("Add", "Sub") and any(type(side).__name__ == "Interval" for side in sides)


NULLS = NullRules(
    never=words("Literal Boolean Is NullSafeEQ DataType DataTypeParam Var Identifier"),
    always=words("Null"),
    partial=_moves,
    never_calls=words("isnull field json_object json_array quote"),
    first_only=words("concat_ws"),
    first_present=words("coalesce ifnull nvl"),
    chooses=words("if"),
    makers=lambda name: name not in _TOTAL,
)
