"""When PostgreSQL's functions are NULL. Not foreseen: parts of infinite dates, bounds of ranges."""

from __future__ import annotations

from mappers.dialects.record import NullRules
from mappers.names import words
from mappers.tree import Node

_MAKERS = words(
    "nullif regexp_match regexp_substr array_length array_upper array_lower array_ndims array_dims array_position "
    "array_positions jsonb_extract_path jsonb_extract_path_text json_extract_path json_extract_path_text "
    "jsonb_path_query_first jsonb_path_exists jsonb_path_match jsonb_path_query_array jsonb_set_lax lower_inf "
    "jsonb_object json_object scale min_scale"
)
"""May be NULL although no argument is (an empty array has no length, a path may lead nowhere)."""


def _searches(node: Node) -> bool:
    """substring(x from 2) counts; substring(x from 'pattern') searches, and may find nothing."""
    if type(node).__name__ != "Substring" or node.args.get("length") is not None:
        return False
    start = node.args.get("start")
    counts = ("Literal", "Neg", "Add", "Sub", "StrPosition")
    return start is None or type(start).__name__ not in counts or bool(start.is_string)


NULLS = NullRules(
    never=words(
        "Literal ByteString Boolean Interval Array Is NullSafeEQ NullSafeNEQ DataType DataTypeParam Var Identifier"
    ),
    always=words("Null JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar Bracket Slice"),
    partial=_searches,
    never_calls=words(
        "concat num_nulls num_nonnulls jsonb_build_object jsonb_build_array json_build_object json_build_array"
    ),
    first_only=frozenset(("concat_ws", "format")),
    first_present=frozenset(("coalesce", "greatest", "least")),
    chooses=frozenset(),
    makers=_MAKERS.__contains__,
)
