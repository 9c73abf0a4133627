"""What is written in MariaDB's expressions as nowhere else: intervals with a unit, USING, infix MOD."""

from __future__ import annotations

from mappers.dialects.mariadb.lexer import ESCAPED
from mappers.dialects.mariadb.typenames import read_type
from mappers.dialects.mariadb.words import CHARACTER_SETS, UNITS, WORDS
from mappers.dialects.spelling import bare
from mappers.names import quote
from mappers.render import BRACKET, FreeCase
from mappers.tokens import END, ExpressionError, Kind, Token

_CLOSE = Token(Kind.MARK, ")")
_OPERANDS = (Kind.NUMBER, Kind.STRING, Kind.QUOTED)


class MariaRenderer(FreeCase):
    """Case does not tell the names of columns apart."""

    __slots__ = ()
    words = WORDS

    def _phrase(self, word: str) -> bool:
        if word == "interval":
            self._interval()
        elif word == "mod" and self._ends_operand(self.position - 1):
            self._take(1, "MOD")
        elif word == "using" and self._peek(1).kind is Kind.WORD:
            self._using(self._peek(1).text)
        elif word == "like" and self._peek(1).written == ESCAPED:
            # Whether a backslash escapes in a pattern is the session's mode.
            raise ExpressionError("a backslash in a pattern is not supported", "write like 'x!%' escape '!'")
        else:
            return super()._phrase(word)
        return True

    def _using(self, charset: str) -> None:
        if charset not in CHARACTER_SETS:
            raise ExpressionError(f"character set {charset} is not supported", "write using utf8mb4")
        self._take(2, "USING", charset)

    def _interval(self) -> None:
        """INTERVAL value unit; a value that is no constant is written in brackets."""
        start = self.position + 1
        end = self._unit(start)
        inner = type(self)(self.tokens[start:end], self.source, self.functions)
        sql = inner.run()
        self.inputs |= inner.inputs
        constant = end - start == 1 and self.tokens[start].kind in (Kind.NUMBER, Kind.STRING)
        if not constant and self._closes(start) != end - 1:
            sql = f"({sql})"
        self._take(end - start + 2, "INTERVAL", sql, self.tokens[end].text.upper())

    def _unit(self, start: int) -> int:
        """Where the unit of the interval is whose value begins at `start`."""
        depth = 0
        for place in range(start, len(self.tokens)):
            token = self.tokens[place]
            depth += (token == BRACKET) - (token == _CLOSE)
            if depth == 0 and place > start and token.text in UNITS and self._ends_operand(place - 1):
                return place
            if depth < 0:
                break
        raise ExpressionError("INTERVAL needs a value and a unit", "write interval 1 day")

    def _closes(self, start: int) -> int:
        """Where the bracket closes that opens at `start`; where none does, nowhere."""
        depth = 0
        if self.tokens[start] != BRACKET:
            return -1
        for place in range(start, len(self.tokens)):
            depth += (self.tokens[place] == BRACKET) - (self.tokens[place] == _CLOSE)
            if depth == 0:
                return place
        return -1

    def _ends_operand(self, place: int) -> bool:
        token = self.tokens[place] if 0 <= place < len(self.tokens) else END
        word = token.kind is Kind.WORD and token.text not in WORDS.keywords - {"end", "null", "true", "false"}
        return token.kind in _OPERANDS or token == _CLOSE or word

    def _read_type(self) -> tuple[str, int]:
        return read_type(self.tokens, self.position)

    def _as(self) -> None:
        """A time of day becomes a date with the day on which it is asked."""
        super()._as()
        times = {f"s.{quote(c.name)}" for c in self.source.columns if bare(c.type).partition(" ")[0] == "time"}
        if self.parts[-1].startswith("DATE") and self.parts[-3] in times and self.parts[-4] == "(":
            message = "a time of day, cast to a date, gets the day on which it is asked"
            raise ExpressionError(message, "write addtime(cast(<a date> as datetime), <the time>)")

    def _call(self, word: str) -> None:
        if word == "convert" and len(self._arguments()) != 1:
            raise ExpressionError("convert(x, type) is not supported", "write cast(x as type)")
        super()._call(word)
        if word in ("timestampdiff", "timestampadd"):
            self._first_unit()

    def _first_unit(self) -> None:
        unit = self._peek(1)
        if self._peek() != BRACKET or unit.text not in UNITS or unit.kind is not Kind.WORD:
            raise ExpressionError("the first argument is a unit of time", "write timestampdiff(second, a, b)")
        self._bracket("(")
        self._take(2, "(", unit.text.upper())

    def _extract(self) -> None:
        if self._peek(1).text not in UNITS:
            raise ExpressionError(f"extract does not know {self._peek(1).text}", "write extract(year from x)")
        super()._extract()
