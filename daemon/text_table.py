"""Columns of text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

VALUE_MAX = 60


def shown(value: object) -> str:
    """A value in a cell: NULL apart from the text, line breaks escaped, long ones cut."""
    if value is None:
        return "NULL"
    text = str(value).replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return text if len(text) <= VALUE_MAX else f"{text[: VALUE_MAX - 3]}..."


def text_table(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        (" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
