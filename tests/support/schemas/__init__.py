"""Schemas as real projects have them, shortened, each in a notation of one line a table.

    table: column type, column type>table, ...

After a column's type: `#` of the primary key, `!` NOT NULL, `^` unique, `=` has a default, `>table` points there.
Types: i int, b bigint, s smallint, t text, v255 varchar(255), c2 char(2), ts, tz (with zone), d date, bool, n10.2
numeric(10,2), f double, json, uuid, bytes, inet; others as they stand. `a|b` is an enum.
"""

from __future__ import annotations

import re
from pathlib import Path

from mappers.mapping import Column, ForeignKey, Table, UniqueConstraint

_TYPES = {
    "i": "integer", "b": "bigint", "s": "smallint", "t": "text", "d": "date", "bool": "boolean",
    "ts": "timestamp without time zone", "tz": "timestamp with time zone", "f": "double precision", "r": "real",
    "json": "jsonb", "uuid": "uuid", "bytes": "bytea", "inet": "inet", "n": "numeric", "tm": "time without time zone",
}  # fmt: skip
_COLUMN = re.compile(
    r"(?P<name>[^\s<]+)(?:<(?P<from>\S+))? (?P<type>[\w.|\[\]-]+)(?P<marks>[#!^=]*)(?:>(?P<to>[\w.]+))?"
)


def read(text: str) -> list[Table]:
    """The tables of a text in that notation."""
    rows = _rows(text)
    keys = {name: _key(columns) for name, _, columns in rows}
    return [_table(name, columns, keys) for name, _, columns in rows]


def truth(text: str) -> tuple[dict[str, str], dict[tuple[str, str], str], frozenset[tuple[str, str]]]:
    """(target table -> source table, (target table, column) -> source column, columns that need a decision).

    `new<old: column<its_source type`; `?` before the source where a person must decide.
    """
    tables: dict[str, str] = {}
    columns: dict[tuple[str, str], str] = {}
    doubtful: set[tuple[str, str]] = set()
    for name, source, listed in _rows(text):
        full = ".".join(_place(name))
        if source:
            tables[full] = ".".join(_place(source))
        for match in _matches(listed):
            if match["from"]:
                columns[full, match["name"]] = match["from"].lstrip("?")
                doubtful |= {(full, match["name"])} if match["from"].startswith("?") else set()
    return tables, columns, frozenset(doubtful)


def _rows(text: str) -> list[tuple[str, str, str]]:
    """(table, its source or "", columns)."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            names, _, columns = line.partition(":")
            name, _, source = names.partition("<")
            found.append((name.strip(), source.strip(), columns))
    return found


def moves() -> list[str]:
    """The moves that were written by hand: two files each, .old and .new."""
    return sorted(path.stem for path in (Path(__file__).parent / "moves").glob("*.new"))


def move(name: str) -> tuple[str, str]:
    """(old, new) texts; the new one says what came from where."""
    folder = Path(__file__).parent / "moves"
    old = folder / f"{name}.old"
    return (old if old.exists() else folder.parent / f"{name}.txt").read_text(), (folder / f"{name}.new").read_text()


def load(name: str) -> list[Table]:
    """The tables of one of the files beside this."""
    return read((Path(__file__).parent / f"{name}.txt").read_text())


def names() -> list[str]:
    """The schemas that there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.txt"))


def _matches(columns: str) -> list[re.Match[str]]:
    found = []
    for part in columns.split(","):
        match = _COLUMN.fullmatch(part.strip())
        assert match, f"not a column: {part!r}"
        found.append(match)
    return found


def _key(columns: str) -> tuple[str, ...]:
    return tuple(match["name"] for match in _matches(columns) if "#" in match["marks"])


def _table(name: str, columns: str, keys: dict[str, tuple[str, ...]]) -> Table:
    schema, bare = name.split(".") if "." in name else ("public", name)
    matches = _matches(columns)
    references = tuple(
        ForeignKey((match["name"],), *_place(match["to"]), keys[match["to"]]) for match in matches if match["to"]
    )
    uniques = tuple(
        UniqueConstraint(f"{bare}_{match['name']}_key", (match["name"],)) for match in matches if "^" in match["marks"]
    )
    return Table(schema, bare, tuple(map(_column, matches)), keys[name], uniques, references=references)


def _place(name: str) -> tuple[str, str]:
    schema, _, bare = name.rpartition(".")
    return schema or "public", bare


def _column(match: re.Match[str]) -> Column:
    spelled, marks = match["type"], match["marks"]
    labels = tuple(spelled.split("|")) if "|" in spelled else ()
    kind = f"public.{match['name']}_enum" if labels else _spelled(spelled)
    return Column(match["name"], kind, not set("#!") & set(marks), "=" in marks, labels=labels)


def _spelled(short: str) -> str:
    if found := re.fullmatch(r"v(\d+)", short):
        return f"character varying({found[1]})"
    if found := re.fullmatch(r"c(\d+)", short):
        return f"character({found[1]})"
    if found := re.fullmatch(r"n(\d+)\.(\d+)", short):
        return f"numeric({found[1]},{found[2]})"
    if short.endswith("[]"):
        return f"{_spelled(short[:-2])}[]"
    return _TYPES.get(short, short)
