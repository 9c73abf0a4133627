"""When two values of one column are equal: a form of each type that is hashed, and one that people read.

Both forms are taken of values of the *target's* type, on both sides. The hashed form is as fine as equality or finer:
where it differs and the values are equal all the same (`equal`), reading the rows settles it. PostgreSQL's own hash
functions are coarser for some types (they leave out the sign of a numeric, fold a bigint and a timestamp into 32 bits,
take 0 for -0), so that those are hashed by their binary output. Pure: text in, text out.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal

_MODIFIER = re.compile(r"\s*\([^)]*\)")
_AS_IT_IS = frozenset(("boolean", "smallint", "integer", "date", "uuid", "bytea"))
TEXTS = frozenset(("text", "character varying"))
_SENT = {
    "bigint": "int8send",
    "real": "float4send",
    "double precision": "float8send",
    "time without time zone": "time_send",
    "timestamp without time zone": "timestamp_send",
    "timestamp with time zone": "timestamptz_send",
}


def hashed(value: str, type_name: str) -> str:
    """SQL over the SQL `value` of that type: what goes into the row that is hashed."""
    kind = bare(type_name)
    if kind in _AS_IT_IS:
        return value
    if kind in _SENT:
        return f"{_SENT[kind]}({value})"
    if kind == "numeric":  # with a modifier, every value has the same scale
        return f"numeric_send({value if '(' in type_name else f'trim_scale({value})'})"
    if kind not in TEXTS:
        value = _json_text(value) if kind == "json" else f"CAST({value} AS text)"
    return f'({value}) COLLATE "C"'


def readable(value: str, type_name: str) -> str:
    """SQL over the SQL `value` of that type: its text, which differs where the value differs."""
    if bare(type_name) == "numeric":
        value = f"trim_scale({value})"
    return f"CAST({value} AS text)"


def equal(type_name: str, one: str | None, other: str | None) -> bool:
    """Whether two values of a column, as `readable` gives them, are equal: what differs in spelling only is."""
    if one == other or one is None or other is None:
        return one == other
    return bare(type_name) in ("json", "jsonb") and _json(one) == _json(other)


def bare(type_name: str) -> str:
    """The type without its modifier; arrays and the user's own types keep their names."""
    return _MODIFIER.sub("", type_name)


def _json_text(value: str) -> str:
    """Without regard to the order of keys; as it is spelled where an escape may name a character that jsonb refuses."""
    text = f"CAST({value} AS text)"
    return f"CASE WHEN strpos({text}, '\\u') > 0 THEN {text} ELSE CAST(CAST({value} AS jsonb) AS text) END"


def _json(text: str) -> object:
    """A JSON text's meaning: without the order of keys, of a key given twice the last, numbers by value."""
    try:
        return _plain(json.loads(text, parse_float=Decimal, parse_int=Decimal))
    except (ValueError, RecursionError):
        return text


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return "{", tuple(sorted((key, _plain(item)) for key, item in value.items()))
    if isinstance(value, list):
        return "[", tuple(_plain(item) for item in value)
    return type(value).__name__, value
