"""MariaDB's and MySQL's own way of what every SQL target says. Pure: text in, text out.

Collations take different texts for one. Whatever must be told apart is compared as code points; a key is looked up by
its column's collation too, which is what its index is ordered by. No statement says ON DUPLICATE KEY UPDATE: it would
update whichever row holds any of the unique values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from connectors.chunks import Range
from connectors.mariadb.types import TEXTUAL, Family, Type, read
from connectors.seams import TextRow
from connectors.sql.dialect import Dialect, injective
from connectors.sql.json_text import json_meaning
from mappers.mapping import Column, Entry
from mappers.projection import qualified, quote

_COLUMN = re.compile(r'\w+\."(?:[^"]|"")+"')
_NUMBER = re.compile(r"-?\d+")
_NO_LABEL = "\x01no such label"
EVERYTHING = 18_446_744_073_709_551_615
"""A LIMIT that limits nothing: it keeps the optimizer from pulling a subselect up."""
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
                return rf"CONCAT('\\x', LOWER(HEX({_bytes(value, kind)})))"
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


class MariadbHashing:
    """`Hashing`: half of an MD5 over the values' texts, each quoted, so that NULL is no text and none runs into the
    next. Large values go in by a hash of their own: a text of them all might be longer than the server makes any."""

    def __init__(self, values: MariadbValues) -> None:
        self._values = values

    def column(self, value: str, type_name: str) -> str:
        """Its text, or the text's hash."""
        kind = read(type_name)
        if kind.family is Family.BYTES or kind.family is Family.PADDED_BYTES:
            return f"MD5({_bytes(value, kind)})"
        text = self._values.text(value, type_name)
        return f"MD5({text})" if kind.family in (Family.LONG_TEXT, Family.SHAPE) else text

    def digest(self, columns: Sequence[str], seed: int) -> str:
        """128 bits of these columns, as text."""
        return f"MD5(CONCAT_WS(',', {seed}, {', '.join(f'QUOTE({column})' for column in columns)}))"

    def row(self, columns: Sequence[str], seed: int) -> str:
        """The first 64 bits."""
        return f"CAST(CONV(LEFT({self.digest(columns, seed)}, 16), 16, 10) AS UNSIGNED)"

    def bucket(self, hashed: str, buckets: int) -> str:
        """The lowest bits."""
        return f"({hashed} & {buckets - 1})"

    def total(self, hashed: str) -> str:
        """The sum of integers is a decimal number, hence exact."""
        return f"CAST(COALESCE(SUM({hashed}), 0) AS CHAR)"

    def materialized(self, query: str) -> str:
        """As rows that are made before."""
        return _made(query)


class MariadbWrites:
    """`Writes`: what is there is updated by the key, and what is not is inserted; any other conflict is an error."""

    def __init__(self, values: MariadbValues) -> None:
        self._values = values

    def insert(self, entry: Entry, columns: Sequence[str], query: str) -> str:
        """INSERT .. SELECT from rows that are made before: INSERT itself says nothing of a text that is no number."""
        names = ", ".join(map(quote, columns))
        return f"INSERT INTO {qualified(entry.target)} ({names}) SELECT * FROM {_made(query)} AS p"

    def upsert(self, entry: Entry, query: str, *, sparing: bool) -> Sequence[str]:
        """UPDATE of the rows that are there, INSERT of those that are not; before it a check, where two rows may have one
        key: the one would go over the other unseen."""
        columns = [column.name for column in entry.columns]
        key = ", ".join(map(quote, entry.key))
        twice = f"SELECT 1 FROM {_made(query)} AS p GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        checks = [] if injective(entry) else [twice]
        rest = [column for column in columns if column not in entry.key]
        found = self._by_key(entry)
        target = f"{qualified(entry.target)} AS t{_by_index(entry)}"
        absent = (
            f"SELECT {', '.join(f'p.{quote(c)}' for c in columns)} FROM {_made(query)} AS p "
            f"LEFT JOIN {target} ON {found} WHERE t.{quote(entry.key[0])} IS NULL"
        )
        insert = f"INSERT INTO {qualified(entry.target)} ({', '.join(map(quote, columns))}) {absent}"
        if not rest:
            return [*checks, insert]
        condition = f"{found} AND ({' OR '.join(self._differs(entry, c) for c in rest)})" if sparing else found
        update = self.update(entry, f"{_made(query)} AS p", condition, [(c, f"p.{quote(c)}") for c in rest])
        return [*checks, update, insert]

    def _by_key(self, entry: Entry) -> str:
        match = self._values.match
        return " AND ".join(match(f"t.{quote(k)}", f"p.{quote(k)}", entry.target.column(k)) for k in entry.key)

    def _differs(self, entry: Entry, column: str) -> str:
        return self._values.distinct(f"t.{quote(column)}", f"p.{quote(column)}", entry.target.column(column).type)

    def delete(self, entry: Entry, other: str, condition: str) -> str:
        """STRAIGHT_JOIN: the staged rows first, then the target's, by an index."""
        index = _by_index(entry) if entry.key_is_derived else ""
        return f"DELETE t FROM {other} STRAIGHT_JOIN {qualified(entry.target)} AS t{index} ON {condition}"

    def delete_where(self, entry: Entry, condition: str) -> str:
        """DELETE of a single table takes no alias; that of several does."""
        return f"DELETE t FROM {qualified(entry.target)} AS t WHERE {condition}"

    def update(self, entry: Entry, other: str, condition: str, changes: Sequence[tuple[str, str]]) -> str:
        """As `delete`."""
        sets = ", ".join(f"t.{quote(column)} = {value}" for column, value in changes)
        target = f"{qualified(entry.target)} AS t{_by_index(entry)}"
        return f"UPDATE {other} STRAIGHT_JOIN {target} ON {condition} SET {sets}"


class MariadbKeys:
    """`Keys`: comparisons of rows use no index here, lists of rows do."""

    def __init__(self, values: MariadbValues, hashing: MariadbHashing) -> None:
        self._values = values
        self._hashing = hashing

    def within(self, columns: Sequence[str], types: Sequence[str], part: Range) -> str:
        """a > x OR (a = x AND b >= y), by the column's own collation: it is its order that cuts the ranges."""
        conditions = []
        if part.lower is not None:
            conditions.append(self._beyond(columns, types, part.lower, ">", ">="))
        if part.upper is not None:
            conditions.append(self._beyond(columns, types, part.upper, "<", "<"))
        return " AND ".join(conditions) or "true"

    def _beyond(self, columns: Sequence[str], types: Sequence[str], edge: TextRow, sign: str, last: str) -> str:
        values = [self._literal(text, kind) for text, kind in zip(edge, types, strict=True)]
        (column, *rest), (value, *_) = columns, values
        if not rest:
            return f"{column} {last} {value}"
        inner = self._beyond(rest, types[1:], edge[1:], sign, last)
        return f"({column} {sign} {value} OR ({column} = {value} AND {inner}))"

    def among(self, columns: Sequence[str], types: Sequence[str], keys: Collection[TextRow]) -> str:
        """IN over a list of rows, of those columns that an index may have; and again by code points, where one is text.

        What is no column, such as a hash, is compared in the second list alone: it would keep the first from an index.
        """
        exact = [self._exact(column, kind) for column, kind in zip(columns, types, strict=True)]
        plain = [i for i, column in enumerate(columns) if _COLUMN.fullmatch(column)]
        lists = [self._listed(columns, types, keys, plain)] if plain else []
        if len(plain) < len(columns) or exact != list(columns):
            lists.append(self._listed(exact, types, keys, range(len(columns))))
        return " AND ".join(lists)

    def _listed(
        self, columns: Sequence[str], types: Sequence[str], keys: Collection[TextRow], wanted: Sequence[int]
    ) -> str:
        rows = (", ".join(self._literal(key[i], types[i]) for i in wanted) for key in keys)
        return f"({', '.join(columns[i] for i in wanted)}) IN ({', '.join(f'({row})' for row in rows)})"

    def _exact(self, column: str, type_name: str) -> str:
        if read(type_name).family not in TEXTUAL:
            return column
        return f"CONVERT({column} USING utf8mb4) COLLATE {self._values.exact}"

    def _literal(self, text: str | None, type_name: str) -> str:
        return "NULL" if text is None else self._values.literal(text, type_name)

    def version(self, alias: str, columns: Sequence[tuple[str, str]]) -> str:
        """The row's content: neither engine tells when a row was written."""
        return self._hashing.digest([self._hashing.column(f"{alias}.{quote(n)}", kind) for n, kind in columns], 0)


def _dialect(engine: str, exact: str) -> Dialect:
    values = MariadbValues(exact)
    hashing = MariadbHashing(values)
    return Dialect(engine, values, hashing, MariadbWrites(values), MariadbKeys(values, hashing))


MARIADB = _dialect("mariadb", "utf8mb4_nopad_bin")
MYSQL = _dialect("mysql", "utf8mb4_0900_bin")


def _by_index(entry: Entry) -> str:
    """The hint that names the key's index: statistics of a table that is being filled are not to be relied on."""
    names = ["PRIMARY"] if set(entry.target.key) == set(entry.key) else []
    names += [u.name for u in entry.target.uniques if set(u.columns) == set(entry.key) and not u.partial]
    return f" FORCE INDEX ({quote(names[0])})" if names else ""


def _made(query: str) -> str:
    """The query as a subselect that the optimizer does not pull up."""
    return f"({query} LIMIT {EVERYTHING})"


def _trimmed(text: str) -> str:
    """A number's text with a point in it, without the zeros at its end."""
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"


def _clock(kind: Type) -> str:
    return f"{'TIME' if kind.family is Family.TIME else 'DATETIME'}({kind.fraction})"


def _bytes(value: str, kind: Type) -> str:
    return f"CAST({value} AS BINARY({kind.numbers[0] if kind.numbers else 1}))" if kind.name == "binary" else value
