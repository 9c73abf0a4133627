"""From tokens to the SQL that runs: every word is recognised as keyword, column, function or type, or refused.

What all dialects have in common; each of them says the rest in a subclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from mappers.grammar import Catalog, Words
from mappers.mapping import Table
from mappers.names import did_you_mean, quote
from mappers.spacing import tidy
from mappers.tokens import END, ExpressionError, Kind, Token

BRACKET = Token(Kind.MARK, "(")


@dataclass(slots=True)
class Renderer:
    """Writes one expression over the relation `s`; `inputs` are the columns it has seen so far."""

    words: ClassVar[Words]

    tokens: Sequence[Token]
    source: Table
    functions: Catalog
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
            self._identifier(token, quoted=True)
        elif token.text == "::":
            self._short_cast()
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
        elif self._phrase(word):
            return
        elif word in self.words.keywords:
            self._take(1, word.upper())
        elif following == BRACKET and word not in self.words.refused:
            self._call(word)
        elif following.kind is Kind.STRING and word in self.words.typed_literals:
            self._typed_literal(word)
        else:
            self._identifier(self._peek(), quoted=False)

    def _phrase(self, word: str) -> bool:
        """Words that are keywords only in their place: IS UNKNOWN, ESCAPE '!'."""
        if word == "unknown" and self.parts and self.parts[-1] in ("IS", "NOT"):
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
        sql, taken = self._read_type()
        self._take(taken, sql)

    def _read_type(self) -> tuple[str, int]:
        """(SQL of the type that starts at the current token, how many tokens it takes). Raises ExpressionError."""
        raise NotImplementedError

    def _short_cast(self) -> None:
        """x::type."""
        raise ExpressionError(":: is PostgreSQL's cast", "write cast(x as type)")

    def _collate(self) -> None:
        name = self._peek(1)
        if name.text not in self.words.collations:
            hint = f"write collate {self._collation(self.words.collations[0])}"
            raise ExpressionError("only collations that are the same everywhere are allowed", hint)
        self._take(2, "COLLATE", self._collation(name.text))

    def _collation(self, name: str) -> str:
        return name

    def _call(self, word: str) -> None:
        if word == "cast":
            self.casts.append(self.depth + 1)
        elif word not in self.words.syntax and (refusal := self.functions.refusal(word, self._arguments())):
            raise ExpressionError(*refusal)
        self._take(1, word)
        if word == "extract":
            self._extract()

    def _arguments(self) -> list[list[Token]]:
        """The arguments of the call at the current word, as tokens."""
        arguments: list[list[Token]] = [[]]
        depth, ahead = 1, 2
        while (token := self._peek(ahead)) is not END:
            if token.kind is Kind.MARK:
                depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if depth == 0:
                break
            if depth == 1 and token == Token(Kind.MARK, ","):
                arguments.append([])
            else:
                arguments[-1].append(token)
            ahead += 1
        return arguments if arguments != [[]] else []

    def _extract(self) -> None:
        field_name = self._peek(1)
        if field_name.kind is Kind.WORD and self._peek(2) == Token(Kind.WORD, "from"):
            self._bracket("(")
            self._take(2, "(", field_name.text)

    def _typed_literal(self, word: str) -> None:
        self._take(2, word, self._peek(1).text)
        if self._peek().kind in (Kind.WORD, Kind.QUOTED) and self._peek().text not in self.words.keywords | {"at"}:
            raise ExpressionError(
                f"{self._peek().text} after the {word} literal is not supported", "write the unit inside: '1 day'"
            )

    def _identifier(self, token: Token, *, quoted: bool) -> None:
        if self._peek(1) == BRACKET:
            if not quoted:
                raise self._refused(token.text)
            raise ExpressionError(f'function "{token.text}" is quoted', "write function names without quotes")
        if self._peek(1) == Token(Kind.MARK, "."):
            self._qualified(token)
            return
        self._column(token, quoted=quoted)
        self._take(1)

    def _qualified(self, qualifier: Token) -> None:
        name, after = self._peek(2), self._peek(3)
        if not self._is_source(qualifier):
            call = after == BRACKET
            raise ExpressionError(
                f"{qualifier.text} is not the source table",
                "write the function without a schema" if call else f"columns are those of {self.source.full_name} only",
            )
        if name.kind not in (Kind.WORD, Kind.QUOTED) or after.text in ("(", "."):
            message = f"{qualifier.text}.{name.text} is not a column"
            raise ExpressionError(message, "write table.column or just the column")
        self._column(name, quoted=name.kind is Kind.QUOTED, after_dot=True)
        self._take(3)

    def _is_source(self, qualifier: Token) -> bool:
        return qualifier.text in (self.source.name, "s")

    def _column(self, token: Token, *, quoted: bool, after_dot: bool = False) -> None:
        name, names = self._named(token), [column.name for column in self.source.columns]
        known, doubtful = name in names, self.words.refused | self.words.unsteady
        if (
            not quoted
            and not after_dot
            and (token.text in self.words.reserved or (token.text in doubtful and not known))
        ):
            raise self._refused(token.text, is_column=known)
        if not known:
            raise self._unknown_column(name, names, quoted=quoted)
        self.inputs.add(name)
        self.parts.append(f"s.{quote(name)}")

    def _named(self, token: Token) -> str:
        """The column that is meant, whether there is one or not."""
        return token.text

    def _refused(self, word: str, is_column: bool = False) -> ExpressionError:
        if is_column:
            return ExpressionError(f"{word} is a reserved word", f"for the column write {quote(word)}")
        if word in self.words.unsteady and (refusal := self.functions.refusal(word, ())):
            return ExpressionError(*refusal)
        return ExpressionError(
            f"{word.upper()} is not allowed: an expression is one value of one source row", "no subqueries, no clauses"
        )

    def _unknown_column(self, name: str, names: Sequence[str], *, quoted: bool) -> ExpressionError:
        return ExpressionError(f"{self.source.full_name} has no column {name}", did_you_mean(name, names))


class FreeCase(Renderer):
    """For engines in which case does not tell names apart: an exact name is that column, else the only one like it."""

    __slots__ = ()

    def _named(self, token: Token) -> str:
        written = token.written or token.text
        names = [column.name for column in self.source.columns]
        alike = [name for name in names if name.lower() == written.lower()]
        if written in names or not alike:
            return written
        if len(alike) > 1:
            raise ExpressionError(f"{written} could be {' or '.join(alike)}", "write the name as the source has it")
        return alike[0]

    def _is_source(self, qualifier: Token) -> bool:
        return qualifier.text.lower() in (self.source.name.lower(), "s")
