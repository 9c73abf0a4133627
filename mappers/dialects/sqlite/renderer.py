"""SQLite's words, and its casts: five, which are the storage classes; of any other name it would make a number."""

from __future__ import annotations

from mappers.dialects.sqlite.functions import SYNTAX, UNSTEADY
from mappers.grammar import Words
from mappers.names import words
from mappers.render import FreeCase
from mappers.tokens import ExpressionError, Kind, Token

_RESERVED = words(
    "select with union except intersect table where group having order limit into create on join returning default "
    "distinct from current_date current_time current_timestamp"
)
WORDS = Words(
    keywords=words(
        "and or not case when then else end in is null true false like glob between isnull notnull collate as"
    ),
    reserved=_RESERVED,
    refused=_RESERVED
    | words(
        "values over filter offset insert update delete drop alter row exists match regexp any all some array raise"
    ),
    syntax=SYNTAX,
    unsteady=UNSTEADY,
    typed_literals=words("date time timestamp datetime interval"),
    collations=("binary", "nocase", "rtrim"),
)
_CLASSES = {
    "integer": "INTEGER", "int": "INTEGER", "bigint": "INTEGER", "smallint": "INTEGER", "real": "REAL",
    "double": "REAL", "float": "REAL", "text": "TEXT", "blob": "BLOB", "numeric": "NUMERIC",
}  # fmt: skip
_INSTEAD = {
    **dict.fromkeys(
        ("varchar", "char", "character"), "SQLite cuts nothing: write substr(x, 1, 20), or cast(x as text)"
    ),
    **dict.fromkeys(("boolean", "bool"), "write the condition itself (x <> 0), or cast(x as integer)"),
    "decimal": "SQLite has no decimals: keep the text, or write cast(round(x * 100) as integer)",
    "date": "SQLite makes a number of it: write date(x)",
    "time": "SQLite makes a number of it: write time(x)",
    "datetime": "SQLite makes a number of it: write datetime(x)",
    "timestamp": "SQLite makes a number of it: write datetime(x)",
}


class SqliteRenderer(FreeCase):
    """Case does not tell the names of columns apart."""

    __slots__ = ()
    words = WORDS

    def _phrase(self, word: str) -> bool:
        if word == "distinct" and self._peek(1).text == "from" and self.parts and self.parts[-1] in ("IS", "NOT"):
            self._take(2, "DISTINCT FROM")
            return True
        return word != "unknown" and super()._phrase(word)

    def _read_type(self) -> tuple[str, int]:
        name = self._peek()
        known = _CLASSES.get(name.text) if name.kind is Kind.WORD else None
        if known is None:
            hint = _INSTEAD.get(name.text, "write integer, real, text, blob or numeric")
            raise ExpressionError(f"a cast to {name.text or 'nothing'} is not supported", hint)
        if self._peek(1) == Token(Kind.MARK, "("):
            hint = "write round(x, 2), or substr(x, 1, 20)"
            raise ExpressionError(f"SQLite does not heed the numbers of {name.text}(…)", hint)
        return known, 2 if self._peek(1).text == "precision" else 1

    def _typed_literal(self, word: str) -> None:
        raise ExpressionError(f"SQLite has no {word} literals", "write the text alone")
