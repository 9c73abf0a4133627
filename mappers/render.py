"""From tokens to the SQL that runs: every word is recognised as keyword, column, function or type, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mappers.functions import SYNTAX, UNSTEADY, FunctionCatalog
from mappers.mapping import Table
from mappers.names import did_you_mean, quote, words
from mappers.tokens import END, ExpressionError, Kind, Token
from mappers.typenames import read_type

KEYWORDS = words(
    "and or not case when then else end in is null true false like ilike similar to between symmetric distinct from "
    "for array any all some collate as both leading trailing placing isnull notnull"
)
"""Reserved in PostgreSQL, so that none of them can be an unquoted column; and allowed in a scalar expression."""
_RESERVED = words(
    "select with union except intersect table where group having order limit offset fetch window into create grant do "
    "using on join lateral returning variadic default user session_user current_user current_role current_date "
    "current_time current_timestamp current_catalog current_schema localtime localtimestamp"
)
"""Reserved in PostgreSQL, and no part of a scalar expression: as a column it must be quoted."""
REFUSED = _RESERVED | words("values over filter insert update delete drop alter row exists operator within")
_TYPED_LITERALS = words("date time timestamp timestamptz timetz interval jsonb uuid")
_COLLATIONS = frozenset(("C", "POSIX", "ucs_basic"))
_NO_SPACE_BEFORE = frozenset((")", "]", ",", ".", "::"))
_NO_SPACE_AFTER = frozenset(("(", "[", ".", "::", ""))


@dataclass(slots=True)
class Renderer:
    """Writes one expression over the relation `s`; `inputs` are the columns it has seen so far."""

    tokens: Sequence[Token]
    source: Table
    functions: FunctionCatalog
    inputs: set[str] = field(default_factory=set)
    position: int = 0
    parts: list[str] = field(default_factory=list)
    casts: list[int] = field(default_factory=list)
    """Depth of each open bracket that belongs to CAST: the only place where AS may stand."""
    depth: int = 0

    def run(self) -> str:
        """The SQL. Raises ExpressionError."""
        while self.position < len(self.tokens):
            self._next()
        return tidy(self.parts)

    def _peek(self, ahead: int = 0) -> Token:
        place = self.position + ahead
        return self.tokens[place] if 0 <= place < len(self.tokens) else END

    def _take(self, count: int, *parts: str) -> None:
        self.position += count
        self.parts.extend(parts)

    def _next(self) -> None:
        token = self._peek()
        if token.kind is Kind.WORD:
            self._word(token.text)
        elif token.kind is Kind.QUOTED:
            self._identifier(token.text, quoted=True)
        elif token.text == "::":
            self._take(1, "::")
            self._type()
        elif token.text == ".":
            raise ExpressionError("a dot is only allowed as table.column", "for a field of JSON write ->> 'field'")
        else:
            self._bracket(token.text if token.kind is Kind.MARK else "")
            self._take(1, token.text)

    def _bracket(self, text: str) -> None:
        if text in ("(", "["):
            self.depth += 1
        elif text in (")", "]"):
            if self.casts and self.casts[-1] == self.depth:
                self.casts.pop()
            self.depth -= 1

    def _word(self, word: str) -> None:
        following = self._peek(1)
        if word == "as":
            self._as()
        elif word == "collate":
            self._collate()
        elif word in KEYWORDS:
            self._take(1, word.upper())
        elif self._phrase(word):
            return
        elif following == Token(Kind.MARK, "(") and word not in REFUSED:
            self._call(word)
        elif following.kind is Kind.STRING and word in _TYPED_LITERALS:
            self._typed_literal(word)
        else:
            self._identifier(word, quoted=False)

    def _phrase(self, word: str) -> bool:
        """Words that are keywords only in their place: AT TIME ZONE, IS UNKNOWN, ESCAPE '!'."""
        if word == "at" and [self._peek(1).text, self._peek(2).text] == ["time", "zone"]:
            self._take(3, "AT TIME ZONE")
        elif word == "unknown" and self.parts and self.parts[-1] in ("IS", "NOT"):
            self._take(1, "UNKNOWN")
        elif word == "escape" and self._peek(1).kind is Kind.STRING and self.parts:
            self._take(1, "ESCAPE")
        else:
            return False
        return True

    def _as(self) -> None:
        if not self.casts or self.casts[-1] != self.depth:
            raise ExpressionError("AS is only allowed inside cast(… as type)", "the name on the left is the target's")
        self._take(1, "AS")
        self._type()

    def _type(self) -> None:
        sql, taken = read_type(self.tokens, self.position)
        self._take(taken, sql)

    def _collate(self) -> None:
        name = self._peek(1)
        if name.text not in _COLLATIONS:
            raise ExpressionError("only collations that are the same everywhere are allowed", 'write collate "C"')
        self._take(2, "COLLATE", quote(name.text))

    def _call(self, word: str) -> None:
        if word == "cast":
            self.casts.append(self.depth + 1)
        elif word not in SYNTAX and not self.functions.allows(word, self._arguments()):
            raise ExpressionError(*self.functions.refusal(word))
        self._take(1, word)
        if word == "extract":
            self._extract()

    def _arguments(self) -> int:
        """How many arguments the call at the current word has."""
        depth, commas, ahead = 0, 0, 1
        while (token := self._peek(ahead)) is not END:
            if token.kind is Kind.MARK:
                depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
                commas += token.text == "," and depth == 1
                if depth == 0:
                    break
            ahead += 1
        return 0 if ahead == 2 else commas + 1

    def _extract(self) -> None:
        field_name = self._peek(1)
        if field_name.kind is Kind.WORD and self._peek(2) == Token(Kind.WORD, "from"):
            self._bracket("(")
            self._take(2, "(", field_name.text)

    def _typed_literal(self, word: str) -> None:
        self._take(2, word, self._peek(1).text)
        if self._peek().kind in (Kind.WORD, Kind.QUOTED) and self._peek().text not in KEYWORDS | {"at"}:
            raise ExpressionError(
                f"{self._peek().text} after the {word} literal is not supported", "write the unit inside: '1 day'"
            )

    def _identifier(self, name: str, *, quoted: bool) -> None:
        if self._peek(1) == Token(Kind.MARK, "("):
            if not quoted:
                raise _refused(name)
            raise ExpressionError(f'function "{name}" is quoted', "write function names without quotes")
        if self._peek(1) == Token(Kind.MARK, "."):
            self._qualified(name)
            return
        self._column(name, quoted=quoted)
        self._take(1)

    def _qualified(self, qualifier: str) -> None:
        name, after = self._peek(2), self._peek(3)
        if qualifier not in (self.source.name, "s"):
            call = after == Token(Kind.MARK, "(")
            raise ExpressionError(
                f"{qualifier} is not the source table",
                "write the function without a schema" if call else f"columns are those of {self.source.full_name} only",
            )
        if name.kind not in (Kind.WORD, Kind.QUOTED) or after.text in ("(", "."):
            raise ExpressionError(f"{qualifier}.{name.text} is not a column", "write table.column or just the column")
        self._column(name.text, quoted=name.kind is Kind.QUOTED, after_dot=True)
        self._take(3)

    def _column(self, name: str, *, quoted: bool, after_dot: bool = False) -> None:
        names = [column.name for column in self.source.columns]
        if not quoted and not after_dot and (name in _RESERVED or (name in REFUSED | UNSTEADY and name not in names)):
            raise _refused(name, name in names)
        if name not in names:
            raise _unknown_column(name, names, self.source, quoted=quoted)
        self.inputs.add(name)
        self.parts.append(f"s.{quote(name)}")


def _refused(word: str, is_column: bool = False) -> ExpressionError:
    if is_column:
        return ExpressionError(f"{word} is a reserved word", f"for the column write {quote(word)}")
    if word in UNSTEADY:
        return ExpressionError(*FunctionCatalog().refusal(word))
    return ExpressionError(
        f"{word.upper()} is not allowed: an expression is one value of one source row", "no subqueries, no clauses"
    )


def _unknown_column(name: str, names: Sequence[str], source: Table, *, quoted: bool) -> ExpressionError:
    exact = [known for known in names if known.lower() == name.lower()]
    if exact and not quoted:
        hint = f"unquoted names are lower case: write {quote(exact[0])}"
    else:
        hint = did_you_mean(name, names)
    return ExpressionError(f"{source.full_name} has no column {name}", hint)


def tidy(parts: Sequence[str]) -> str:
    """The parts with a space between them, save around brackets, commas and casts. Signs never touch."""
    out: list[str] = []
    last, before = "", ""
    for part in parts:
        call = part in ("(", "[") and _callable(last, before, part)
        if part not in _NO_SPACE_BEFORE and last not in _NO_SPACE_AFTER and not call:
            out.append(" ")
        out.append(part)
        last, before = part, last
    return "".join(out)


def _callable(last: str, before: str, bracket: str) -> bool:
    if bracket == "[":
        return last == "ARRAY" or last[-1:] in ('"', ")", "]")
    return before != "::" and last[:1].islower() and not last.startswith("s.") and last.isidentifier()
