"""How MariaDB's and MySQL's values are written, compared and named, for the dialect. Pure: text in, text out."""

from __future__ import annotations

import re

from connectors.mariadb.types import TEXTUAL, Family, Type, read
from connectors.sql.json_text import json_meaning
from mappers.mapping import Column

_NUMBER = re.compile(r"-?\d+")
_NO_LABEL = "\x01no such label"
_ORDERS = {
    Family.DECIMAL: "numeric",
    Family.DATE: "date",
    Family.TIME: "time without time zone",
    Family.BYTES: "bytea",
}
"""Types whose order every engine has, by PostgreSQL's names."""


class MariadbValues:
    """`Values`. exact: the collation that compares code points, and does not pad."""

    def __init__(self, exact: str) -> None:
        self.exact = exact

    def cast(self, value: str, type_name: str) -> str:
        """The value itself: assigning it to the column says more than a cast, which rounds without a word.

        But an enum takes 'B' for its label 'b', and '2' for its second, so that its labels are compared here.
        """
        kind = read(type_name)
        if kind.name == "enum":
            return self._label(value, f"IN ({', '.join(map(self.quoted, kind.labels))})")
        if kind.name == "set":
            one = "|".join(re.escape(label) for label in kind.labels)
            return self._label(value, f"REGEXP {self.quoted(f'^(({one})(,({one}))*)?' + chr(92) + 'z')}")
        return value

    def _label(self, value: str, test: str) -> str:
        """What is none of the labels becomes a text that no column takes. Casting it as it stands keeps NULL."""
        text = self._code_points(value)
        return f"CASE WHEN {text} IS NULL OR {text} {test} THEN {text} ELSE {self.quoted(_NO_LABEL)} END"

    def text(self, value: str, type_name: str) -> str:
        """The neutral text of the type: plain decimals without zeros to spare, bytes as hex, moments without zone."""
        kind = read(type_name)
        match kind.family:
            case Family.INTEGER:
                return f"CAST({self._integer(value, kind)} AS CHAR)"
            case Family.DECIMAL:
                text = f"CAST(CAST({value} AS DECIMAL{kind.digits}) AS CHAR)"
                return _trimmed(text) if kind.numbers[1:] and kind.numbers[1] else text
            case Family.FLOAT:
                return f"CAST(CAST(CAST({value} AS FLOAT) AS DOUBLE) AS CHAR)"
            case Family.DOUBLE:
                return f"CAST(CAST({value} AS DOUBLE) AS CHAR)"
            case Family.DATE | Family.UUID | Family.ADDRESS:
                return f"CAST(CAST({value} AS {kind.name.upper()}) AS CHAR)"
            case Family.TIME | Family.MOMENT:
                text = f"CAST(CAST({value} AS {_clock(kind)}) AS CHAR)"
                return _trimmed(text) if kind.fraction else text
            case Family.PADDED:
                return f"TRIM(TRAILING ' ' FROM {self._code_points(value)})"
            case Family.BYTES | Family.PADDED_BYTES:
                return rf"CONCAT('\\x', LOWER(HEX({binary(value, kind)})))"
            case Family.SHAPE:
                return f"CONCAT(ST_SRID({value}), ':', HEX(ST_AsWKB({value})))"
        return self._code_points(value)

    def literal(self, text: str, type_name: str) -> str:
        """A constant, of the type as far as an index over it wants that."""
        kind = read(type_name)
        match kind.family:
            case Family.INTEGER if _NUMBER.fullmatch(text):
                return text
            case Family.INTEGER if text in ("true", "false"):
                return text.upper()
            case Family.BYTES | Family.PADDED_BYTES:
                return f"X'{bytes.fromhex(text.removeprefix(chr(92) + 'x')).hex()}'"
            case Family.DECIMAL:
                return f"CAST({self.quoted(text)} AS DECIMAL{kind.digits})"
            case Family.FLOAT | Family.DOUBLE:
                return f"CAST({self.quoted(text)} AS DOUBLE)"
            case Family.DATE | Family.UUID | Family.ADDRESS:
                return f"CAST({self.quoted(text)} AS {kind.name.upper()})"
            case Family.TIME | Family.MOMENT:
                return f"CAST({self.quoted(text)} AS {_clock(kind)})"
        return self.quoted(text)

    def quoted(self, text: str) -> str:
        """A text as SQL. The same in every character set of a session."""
        plain = text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0").replace("\x1a", "\\Z")
        return f"_utf8mb4'{plain}'"

    def distinct(self, one: str, other: str, type_name: str) -> str:
        """By code points where it is text; by the type's own equality, which is exact, otherwise."""
        kind = read(type_name)
        if kind.family in TEXTUAL:
            return f"NOT ({self._padless(one, kind)} <=> {self._padless(other, kind)})"
        if kind.family in (Family.FLOAT, Family.SHAPE, Family.PADDED_BYTES):
            return f"NOT ({self.text(one, type_name)} <=> {self.text(other, type_name)})"
        return f"NOT ({one} <=> {other})"

    def _padless(self, value: str, kind: Type) -> str:
        text = self._code_points(value)
        return f"TRIM(TRAILING ' ' FROM {text})" if kind.family is Family.PADDED else text

    def equal(self, type_name: str, one: str | None, other: str | None) -> bool:
        """Whether two texts stand for equal values: JSON that differs in spelling only does."""
        if one == other or one is None or other is None:
            return one == other
        return type_name == "json" and json_meaning(one) == json_meaning(other)

    def order(self, column: Column) -> str:
        """Integers, and texts whose collation is that of code points; decimals, bytes and moments."""
        kind = read(column.type)
        if kind.family is Family.INTEGER:
            return "" if kind.name == "bit" else "integer"
        if kind.family in (Family.TEXT, Family.LONG_TEXT, Family.PADDED):
            return "text" if column.collation_c else ""
        if kind.name == "datetime":
            return "timestamp without time zone"
        return _ORDERS.get(kind.family, "")

    def match(self, held: str, value: str, column: Column) -> str:
        """By the column's own collation, which its index has, and by code points, which tell every text apart."""
        if not column.collation:
            return f"{held} = {value}"
        if column.collation == self.exact:
            return f"{held} = {self._code_points(value)}"
        return f"{self.collides(held, value, column)} AND {self._code_points(held)} = {self._code_points(value)}"

    def collides(self, held: str, value: str, column: Column) -> str:
        """By the column's own collation."""
        if not column.collation:
            return f"{held} = {value}"
        charset = column.collation.partition("_")[0]
        return f"{held} = CONVERT({value} USING {charset}) COLLATE {column.collation}"

    def _code_points(self, value: str) -> str:
        return f"CONVERT({value} USING utf8mb4) COLLATE {self.exact}"

    def _integer(self, value: str, kind: Type) -> str:
        return f"CAST({value} AS {'UNSIGNED' if kind.unsigned or kind.name in ('bit', 'year') else 'SIGNED'})"


def _trimmed(text: str) -> str:
    """A number's text with a point in it, without the zeros at its end."""
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"


def _clock(kind: Type) -> str:
    return f"{'TIME' if kind.family is Family.TIME else 'DATETIME'}({kind.fraction})"


def binary(value: str, kind: Type) -> str:
    """Bytes as a column of that type has them: BINARY is filled up with zeros."""
    return f"CAST({value} AS BINARY({kind.numbers[0] if kind.numbers else 1}))" if kind.name == "binary" else value
