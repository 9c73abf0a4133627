"""MariaDB's and MySQL's own way of what every SQL target says. Pure: text in, text out.

Collations take different texts for one. Whatever must be told apart is compared as code points; a key is looked up by
its column's collation too, which is what its index is ordered by. No statement says ON DUPLICATE KEY UPDATE: it would
update whichever row holds any of the unique values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from connectors.chunks import Range
from connectors.mariadb.types import TEXTUAL, Family, read
from connectors.mariadb.values import MariadbValues, binary
from connectors.seams import TextRow
from connectors.sql.dialect import Dialect, injective
from mappers.mapping import Entry
from mappers.projection import qualified, quote

_COLUMN = re.compile(r'\w+\."(?:[^"]|"")+"')
EVERYTHING = 18_446_744_073_709_551_615
"""A LIMIT that limits nothing: it keeps the optimizer from pulling a subselect up."""


class MariadbHashing:
    """`Hashing`: half of an MD5 over the values' texts, each quoted, so that NULL is no text and none runs into the
    next. Large values go in by a hash of their own: a text of them all might be longer than the server makes any."""

    def __init__(self, values: MariadbValues) -> None:
        self._values = values

    def column(self, value: str, type_name: str) -> str:
        """Its text, or the text's hash."""
        kind = read(type_name)
        if kind.family is Family.BYTES or kind.family is Family.PADDED_BYTES:
            return f"MD5({binary(value, kind)})"
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
        """UPDATE of the rows that are there, INSERT of those that are not. A check comes first where two rows may have
        one key: the one would go over the other unseen."""
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
        index = _by_index(entry) if entry.key_is_derived and not entry.makers.explode else ""
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
