"""Which storage classes a SQLite column holds as they are, by the affinity of its declared type."""

from __future__ import annotations

from mappers.dialects.sqlite.storage import NULL, NUMERIC, UNKNOWN, WORDS
from mappers.mapping import Expression

_KEPT = {
    "INTEGER": {"INTEGER"},
    "REAL": {"REAL"},
    "TEXT": {"TEXT", WORDS},
    "NUMERIC": {"INTEGER", NUMERIC, WORDS},
}
"""In a NUMERIC column a float without fraction becomes an integer, and text that looks like a number that number."""


def affinity(declared: str) -> str:
    """INTEGER, TEXT, REAL, NUMERIC, or BLOB, which keeps everything, of a column's declared type."""
    upper = declared.upper()
    for made, parts in _PARTS:
        if any(part in upper for part in parts):
            return made
    return "NUMERIC" if upper.strip() else "BLOB"


_PARTS = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)


class SqliteTyping:
    """Types described for expressions are what `storage.storage_class` says, or `UNKNOWN`."""

    def widens(self, from_type: str, to_type: str) -> bool:
        """Whether a column declared `to_type` keeps values of the class `from_type` as they are."""
        wanted = affinity(to_type)
        return wanted == "BLOB" or from_type == NULL or from_type in _KEPT[wanted]

    def fits(self, expression: Expression, made: str, wanted: str) -> bool:
        """Whether every value of the expression, of class `made`, stays the same in a `wanted`."""
        return self.widens(made, wanted)

    def hint(self, text: str, made: str, wanted: str) -> str:
        """The cast to write, or the declaration that keeps the value."""
        kept = affinity(wanted)
        if kept != "NUMERIC":
            loses = ", which reads other text as 0" if made != "INTEGER" and kept in ("INTEGER", "REAL") else ""
            return f"write cast({text} as {kept.lower()}){loses}"
        if made == "REAL":
            return "declare the column REAL: this one makes an integer of 1.0"
        if made in ("BLOB", UNKNOWN):
            return f"declare the column BLOB, or write cast({text} as integer)"
        return (
            f"declare the column TEXT: this one makes 1.1 of '1.10'; or write cast({text} as numeric), if that is meant"
        )
