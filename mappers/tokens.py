"""What an expression is cut into, whatever the dialect; each dialect's lexer decides what is one of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ExpressionError(Exception):
    """An expression is refused: it becomes a Problem with the path of the field that it stands in."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Kind(Enum):
    """What a token is, before its surroundings are looked at."""

    WORD = "word"
    QUOTED = "quoted identifier"
    STRING = "string"
    NUMBER = "number"
    OPERATOR = "operator"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text`: a word folded to lower case, an identifier without quotes, else SQL that means just this token.

    written: a word as it was written, for engines in which that is the name of a column. Not compared.
    """

    kind: Kind
    text: str
    written: str = field(default="", compare=False)


END = Token(Kind.END, "")
