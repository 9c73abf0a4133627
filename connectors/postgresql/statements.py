"""SQL kept as files: whole statements, each under a `-- name: xyz` line, to be read and run as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def load(file: str, package: str = "connectors.postgresql") -> dict[str, str]:
    """The named statements of a .sql file of a package. Raises ValueError where a name is there twice."""
    return parse((files(package) / file).read_text(encoding="utf-8"), where=file)


def parse(text: str, *, where: str = "") -> dict[str, str]:
    """The named statements in a text. What comes before the first name is a comment of the file."""
    parts = _NAME.split(text)[1:]
    names, bodies = parts[0::2], parts[1::2]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{where}: named twice: {', '.join(twice)}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}


def fetch(conn: psycopg.Connection[Any], statement: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    """The rows of a statement, each by column name. The driver's errors pass through."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()
