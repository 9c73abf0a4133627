"""PostgreSQL's words, and what is written there as nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from mappers.dialects.postgresql.functions import SYNTAX, UNSTEADY
from mappers.dialects.postgresql.typenames import read_type
from mappers.grammar import Words
from mappers.names import quote, words
from mappers.render import Renderer
from mappers.tokens import ExpressionError

_RESERVED = words(
    "select with union except intersect table where group having order limit offset fetch window into create grant do "
    "using on join lateral returning variadic default user session_user current_user current_role current_date "
    "current_time current_timestamp current_catalog current_schema localtime localtimestamp"
)
WORDS = Words(
    keywords=words(
        "and or not case when then else end in is null true false like ilike similar to between symmetric distinct "
        "from for array any all some collate as both leading trailing placing isnull notnull"
    ),
    reserved=_RESERVED,
    refused=_RESERVED | words("values over filter insert update delete drop alter row exists operator within"),
    syntax=SYNTAX,
    unsteady=UNSTEADY,
    typed_literals=words("date time timestamp timestamptz timetz interval jsonb uuid"),
    collations=("C", "POSIX", "ucs_basic"),
)


class PostgresRenderer(Renderer):
    """Unquoted names fold to lower case, quoted ones are exact."""

    __slots__ = ()
    words = WORDS

    def _phrase(self, word: str) -> bool:
        if word == "at" and [self._peek(1).text, self._peek(2).text] == ["time", "zone"]:
            self._take(3, "AT TIME ZONE")
            return True
        return super()._phrase(word)

    def _read_type(self) -> tuple[str, int]:
        return read_type(self.tokens, self.position)

    def _short_cast(self) -> None:
        self._take(1, "::")
        self._type()

    def _collation(self, name: str) -> str:
        return quote(name)

    def _unknown_column(self, name: str, names: Sequence[str], *, quoted: bool) -> ExpressionError:
        exact = [known for known in names if known.lower() == name.lower()]
        if exact and not quoted:
            hint = f"unquoted names are lower case: write {quote(exact[0])}"
            return ExpressionError(f"{self.source.full_name} has no column {name}", hint)
        return super()._unknown_column(name, names, quoted=quoted)
