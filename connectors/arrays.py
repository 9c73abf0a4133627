"""PostgreSQL's text of an array, read. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_BOUNDS = re.compile(r"(?:\[[-+]?\d+:[-+]?\d+\])+=")
_TOKEN = re.compile(r'([{},])|"((?:[^"\\]|\\.)*)"|([^{},"\s][^{},"]*)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def elements(text: str, convert: Callable[[str], Any]) -> list[Any]:
    """The array's elements, nested as it has dimensions; None for NULL. Lower bounds are left out, as Debezium does.

    Raises ValueError for what is no array.
    """
    bounds = _BOUNDS.match(text)
    place = bounds.end() if bounds else 0
    open_lists: list[list[Any]] = [[]]
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise ValueError(text[place])
        place = token.end()
        mark, quoted, plain = token.groups()
        if mark == "{":
            open_lists.append([])
        elif mark == "}" and len(open_lists) > 1:
            made = open_lists.pop()
            open_lists[-1].append(made)
        elif mark is None and len(open_lists) > 1:
            open_lists[-1].append(_value(quoted, plain, convert))
        elif mark != ",":
            raise ValueError("no array")
    if len(open_lists) != 1 or len(open_lists[0]) != 1 or not isinstance(open_lists[0][0], list):
        raise ValueError("no array")
    found: list[Any] = open_lists[0][0]
    return found


def _value(quoted: str | None, plain: str | None, convert: Callable[[str], Any]) -> Any:
    if quoted is not None:
        return convert(_ESCAPE.sub(r"\1", quoted))
    return None if plain == "NULL" else convert(plain or "")
