"""Column names as Debezium writes them into Avro schemas with field.name.adjustment.mode=avro_unicode. Pure.

Its escapes have three or four digits, so that they cannot be read back alone ("\u1000" and "\u0100" before a "0" look
the same): the catalogue's names are escaped instead, and looked up among those of the schema.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_ESCAPE = re.compile("_u([0-9a-f]{4}|[0-9a-f]{3})")


def escaped(name: str) -> str:
    """The name as a field: everything but ASCII letters, and digits after the first place, is _u and its number."""
    return "".join(
        char if _plain(char) or (at and char in "0123456789") else _escape(char) for at, char in enumerate(name)
    )


def column_names(fields: Sequence[str], columns: Collection[str]) -> dict[str, str]:
    """Field -> column name, in the catalogue's spelling where it has the column.

    Whether names were escaped shows in the fields: then no underscore stands for itself in any of them.
    """
    if any("_" in _ESCAPE.sub("", name) for name in fields):
        return {name: name for name in fields}
    known = {escaped(column): column for column in columns}
    found = {name: known.get(name) or _unescaped(name) for name in fields}
    return found if len(set(found.values())) == len(found) else {name: name for name in fields}


def _plain(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _escape(char: str) -> str:
    data = char.encode("utf-16-be", "surrogatepass")
    units = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    return "".join("_u" + (f"00{unit:x}" if unit < 0x100 else f"{unit:x}") for unit in units)


def _unescaped(name: str) -> str:
    """A best guess, for a column that the catalogue does not have: it is only shown."""
    units = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
