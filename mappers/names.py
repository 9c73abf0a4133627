"""Identifiers: PostgreSQL's folding and quoting rules, schema-qualified names, and the closest name for a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from mappers.mapping import Table

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s".]+))\s*')


def words(text: str) -> frozenset[str]:
    """The words of a list that is written as one string."""
    return frozenset(text.split())


def fold(word: str) -> str:
    """An unquoted identifier as PostgreSQL stores it: ASCII letters become lower case, nothing else changes."""
    return "".join(c.lower() if c.isascii() else c for c in word)


def quote(identifier: str) -> str:
    """The identifier in double quotes, so that no name can be read as anything else."""
    return '"' + identifier.replace('"', '""') + '"'


def qualified(table: Table) -> str:
    """The table as SQL names it: "schema"."name"."""
    return f"{quote(table.schema)}.{quote(table.name)}"


def readable(*parts: str) -> str:
    """A dotted name as a person would write it: quoted only where it must be."""
    return ".".join(part if re.fullmatch(r"[a-z_][a-z0-9_]*", part) else quote(part) for part in parts)


def split_name(text: str, schema: str = "public") -> tuple[str, str]:
    """(schema, name) of a table as the configuration writes it; a bare name is in the engine's default schema.

    Unquoted parts fold to lower case as they do in SQL; "Double Quoted" ones are taken as they are. Raises ValueError.
    """
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            break
        quoted, plain = match.groups()
        parts.append(fold(plain) if quoted is None else quoted.replace('""', '"'))
        position = match.end()
        if position == len(text) and len(parts) <= 2:
            return (parts[0], parts[1]) if len(parts) == 2 else (schema, parts[0])
        if text[position : position + 1] != ".":
            break
        position += 1
    raise ValueError(f'{text!r} is not a table name: write schema.table, with "double quotes" around unusual names')


def closest(name: str, known: Iterable[str]) -> str:
    """The known name most like a mistyped one; empty where none is like it."""
    folded = {fold(n): n for n in sorted(set(known))}
    close = difflib.get_close_matches(fold(name), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that offers the closest known name; where none is close, what is known."""
    names = sorted(set(known))
    if close := closest(name, names):
        return f"did you mean {close}?"
    if not names:
        return "there is none"
    return f"there are: {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")
