"""SQLite's own way of what every SQL target says. Pure: text in, text out.

A column's type is what it is declared with, and its collation behind it (`mappers.dialects.sqlite.affinity`). A value
is made in the form that the column keeps, so that what is stored is what was projected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from connectors.chunks import Range
from connectors.seams import TextRow
from connectors.sql.dialect import Dialect, injective
from connectors.sqlite.functions import CONTENT, HASH, LITERAL, NUMERIC, TEXT, TOTAL
from mappers.dialects.sqlite.affinity import Affinity, affinity, collation, is_blob
from mappers.mapping import Column, Entry
from mappers.projection import qualified, quote

ARGUMENTS = 100
"""What a function is given at once; SQLite takes up to 127."""


class SqliteValues:
    """`Values` of SQLite."""

    def cast(self, value: str, type_name: str) -> str:
        """As the column's affinity would make it; CAST alone would read numbers out of dates."""
        kind = affinity(type_name)
        if kind is Affinity.NONE:
            return value
        made = f"{NUMERIC}({value})" if kind is Affinity.NUMERIC else f"CAST({value} AS {kind.value})"
        return made if collation(type_name) == "BINARY" else f"{made} COLLATE {collation(type_name)}"

    def text(self, value: str, type_name: str) -> str:
        """Texts as they are, numbers with all their digits, bytes as hex."""
        kind = affinity(type_name)
        if kind is Affinity.NONE and not is_blob(type_name):
            return f"{LITERAL}({value})"
        return f"{TEXT}({value})"

    def literal(self, text: str, type_name: str) -> str:
        """The text, cast; the bytes that hex stands for."""
        kind = affinity(type_name)
        if kind is Affinity.NONE:
            return self._bytes(text) if text.startswith("\\x") else self.quoted(text)
        return self.cast(self.quoted(text), type_name)

    def _bytes(self, text: str) -> str:
        return f"X'{bytes.fromhex(text[2:]).hex()}'"

    def quoted(self, text: str) -> str:
        """A text as SQL, which itself cannot hold the character 0."""
        parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\0")]
        return parts[0] if len(parts) == 1 else f"({' || char(0) || '.join(parts)})"

    def distinct(self, one: str, other: str, type_name: str) -> str:
        """IS NOT, which takes NULL for a value, and 1 and '1' for two."""
        return f"({one}) COLLATE BINARY IS NOT ({other})"

    def equal(self, type_name: str, one: str | None, other: str | None) -> bool:
        """Whether the texts are the same."""
        return one == other

    def match(self, held: str, value: str, column: Column) -> str:
        """Equality, which is what an index looks up."""
        return f"{held} = {value}"

    collides = match

    def order(self, column: Column) -> str:
        """Integers, and text by its UTF-8 bytes."""
        kind = affinity(column.type)
        if kind is Affinity.INTEGER:
            return "integer"
        return "text" if kind is Affinity.TEXT and collation(column.type) == "BINARY" else ""


class SqliteHashing:
    """`Hashing` of SQLite: functions of the session (`functions.py`)."""

    def column(self, value: str, type_name: str) -> str:
        """The value itself."""
        return value

    def row(self, columns: Sequence[str], seed: int) -> str:
        """A hash of hashes where there are more columns than a function takes."""
        parts = [columns[i : i + ARGUMENTS] for i in range(0, len(columns), ARGUMENTS)]
        if len(parts) == 1:
            return f"{HASH}({seed}, {', '.join(columns)})"
        return f"{HASH}({seed}, {', '.join(self.row(part, seed) for part in parts)})"

    def bucket(self, hashed: str, buckets: int) -> str:
        """The lowest bits."""
        return f"({hashed} & {buckets - 1})"

    def total(self, hashed: str) -> str:
        """Both halves are summed apart: 64 bits do not hold the sum, and sum() of SQLite does not go beyond."""
        return f"{TOTAL}(sum({hashed} >> 32), sum({hashed} & 4294967295))"

    def materialized(self, query: str) -> str:
        """A LIMIT keeps SQLite from pulling it up."""
        return f"({query} LIMIT -1)"


class SqliteWrites:
    """`Writes` of SQLite."""

    def __init__(self, values: SqliteValues) -> None:
        self._values = values

    def insert(self, entry: Entry, columns: Sequence[str], query: str) -> str:
        """INSERT .. SELECT."""
        return f"INSERT INTO {qualified(entry.target)} ({', '.join(map(quote, columns))}) {query}"

    def upsert(self, entry: Entry, query: str, *, sparing: bool) -> Sequence[str]:
        """ON CONFLICT on the key alone, behind a check: two rows with one key would go over each other unseen.

        WHERE true keeps the parser from taking ON for a join's.
        """
        columns = [column.name for column in entry.columns]
        rest = [column for column in columns if column not in entry.key]
        changes = ", ".join(f"{quote(column)} = excluded.{quote(column)}" for column in rest)
        conflict = f"DO UPDATE SET {changes}" if rest else "DO NOTHING"
        if rest and sparing:
            conflict += f" WHERE {' OR '.join(self._differs(entry, column) for column in rest)}"
        key, names = ", ".join(map(quote, entry.key)), ", ".join(map(quote, columns))
        insert = (
            f"INSERT INTO {qualified(entry.target)} AS t ({names}) SELECT * FROM ({query}) WHERE true"
            f" ON CONFLICT ({key}) {conflict}"
        )
        twice = f"SELECT 1 FROM ({query}) GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        return [insert] if injective(entry) else [twice, insert]

    def _differs(self, entry: Entry, column: str) -> str:
        kind = entry.target.column(column).type
        return self._values.distinct(f"t.{quote(column)}", f"excluded.{quote(column)}", kind)

    def delete(self, entry: Entry, other: str, condition: str) -> str:
        """By the keys of the rows that are found from the other side: CROSS JOIN keeps that first."""
        key = [quote(name) for name in entry.key]
        found = (
            f"SELECT {', '.join(f't.{name}' for name in key)} FROM {other} CROSS JOIN {qualified(entry.target)} AS t"
            f" WHERE {condition}"
        )
        return f"DELETE FROM {qualified(entry.target)} WHERE ({', '.join(key)}) IN ({found})"

    def delete_where(self, entry: Entry, condition: str) -> str:
        """DELETE with an alias."""
        return f"DELETE FROM {qualified(entry.target)} AS t WHERE {condition}"

    def update(self, entry: Entry, other: str, condition: str, changes: Sequence[tuple[str, str]]) -> str:
        """UPDATE .. FROM."""
        sets = ", ".join(f"{quote(column)} = {value}" for column, value in changes)
        return f"UPDATE {qualified(entry.target)} AS t SET {sets} FROM {other} WHERE {condition}"


class SqliteKeys:
    """`Keys` of SQLite: row values, which use an index over these columns."""

    def __init__(self, values: SqliteValues) -> None:
        self._values = values

    def within(self, columns: Sequence[str], types: Sequence[str], part: Range) -> str:
        """(a, b) >= (x, y) AND (a, b) < (v, w)."""
        key = f"({', '.join(columns)})"
        conditions = []
        if part.lower is not None:
            conditions.append(f"{key} >= {self._row(part.lower, types)}")
        if part.upper is not None:
            conditions.append(f"{key} < {self._row(part.upper, types)}")
        return " AND ".join(conditions) or "true"

    def among(self, columns: Sequence[str], types: Sequence[str], keys: Collection[TextRow]) -> str:
        """IN over rows of values. What is no column cannot be looked up: it is compared in a list of its own."""
        rows = [dict(zip(columns, key, strict=True)) for key in keys]
        kinds = dict(zip(columns, types, strict=True))
        plain = [name for name in columns if name.endswith('"')]
        lists = [plain] if len(plain) == len(columns) or not plain else [plain, list(columns)]
        return " AND ".join(self._in(names, kinds, [[row[name] for name in names] for row in rows]) for names in lists)

    def _in(self, names: Sequence[str], kinds: dict[str, str], rows: Sequence[Sequence[str | None]]) -> str:
        types = [kinds[name] for name in names]
        listed = ", ".join(self._row(row, types) for row in rows)
        return f"({', '.join(names)}) IN (SELECT * FROM (VALUES {listed}))"

    def version(self, alias: str, columns: Sequence[tuple[str, str]]) -> str:
        """The row's content: SQLite does not tell when a row was written."""
        parts = [f"{alias}.{quote(name)}" for name, _ in columns]
        while len(parts) > ARGUMENTS:
            parts = [f"{CONTENT}({', '.join(parts[i : i + ARGUMENTS])})" for i in range(0, len(parts), ARGUMENTS)]
        return f"{CONTENT}({', '.join(parts)})"

    def _row(self, values: Sequence[str | None], types: Sequence[str]) -> str:
        made = ("NULL" if v is None else self._values.literal(v, t) for v, t in zip(values, types, strict=True))
        return f"({', '.join(made)})"


_VALUES = SqliteValues()
SQLITE = Dialect("sqlite", _VALUES, SqliteHashing(), SqliteWrites(_VALUES), SqliteKeys(_VALUES))
