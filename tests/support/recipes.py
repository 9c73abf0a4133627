"""Reads the mapping cookbook of the docs: the fenced blocks of each recipe are what a test runs.

sql source; sql target [ENGINE]; yaml [ENGINE]; python FILE; sql changes; text TABLE (what stands there at the end).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_RECIPE = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """One recipe. modules: file name -> a Python module. shown: table -> its rows, the names of the columns first."""

    name: str
    engine: str
    source: str
    target: str
    entries: Sequence[Mapping[str, Any]]
    changes: str
    modules: Mapping[str, str]
    shown: Mapping[str, Sequence[Sequence[str]]]


def recipes(path: Path) -> list[Recipe]:
    """All of them, in their order. Raises KeyError for a recipe that lacks a part."""
    parts = _RECIPE.split(path.read_text())
    return [_recipe(name, text) for name, text in zip(parts[1::2], parts[2::2], strict=True)]


def _recipe(name: str, text: str) -> Recipe:
    fences = [(language, about.strip(), body) for language, about, body in _FENCE.findall(text)]
    (mapping,) = [(about, body) for language, about, body in fences if language == "yaml"]
    sql = {about.split()[0]: body for language, about, body in fences if language == "sql"}
    return Recipe(
        name,
        mapping[0] or "postgresql",
        sql["source"],
        sql["target"],
        yaml.safe_load(mapping[1]),
        sql["changes"],
        {about: body for language, about, body in fences if language == "python"},
        {about: _table(body) for language, about, body in fences if language == "text"},
    )


def _table(body: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in body.splitlines()]
