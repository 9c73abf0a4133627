"""When two JSON texts mean the same. Pure."""

from __future__ import annotations

import json
from decimal import Decimal


def json_meaning(text: str) -> object:
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
