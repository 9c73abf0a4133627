"""PostgreSQL's own way of what every SQL target says. Pure: text in, text out.

The hashed form of a value is as fine as equality or finer: where it differs and the values are equal all the same
(`equal`), reading the rows settles it. PostgreSQL's own hash functions are coarser for some types (they leave out the
sign of a numeric, fold a bigint and a timestamp into 32 bits, take 0 for -0), so that those are hashed by their binary
output.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from psycopg import sql

from connectors.chunks import Range
from connectors.seams import TextRow
from connectors.sql.dialect import Dialect
from connectors.sql.json_text import json_meaning
from mappers.mapping import Column, Entry
from mappers.projection import qualified, quote

_MODIFIER = re.compile(r"\s*\([^)]*\)")
_AS_IT_IS = frozenset(("boolean", "smallint", "integer", "date", "uuid", "bytea"))
_PLAINLY_EQUAL = _AS_IT_IS | {"bigint", "timestamp without time zone", "timestamp with time zone"}
"""Types whose equal values are the same to the last bit."""
_INTEGERS = ("smallint", "integer", "bigint")
_TEXTS = frozenset(("text", "character varying"))
_ORDERED = frozenset(
    ("boolean", "numeric", "uuid", "bytea", "date", "time without time zone", "timestamp without time zone",
     "timestamp with time zone")
)  # fmt: skip
"""Types whose order is the same in every database."""
_SENT = {
    "bigint": "int8send",
    "real": "float4send",
    "double precision": "float8send",
    "time without time zone": "time_send",
    "timestamp without time zone": "timestamp_send",
    "timestamp with time zone": "timestamptz_send",
}


class PostgresValues:
    """`Values` of PostgreSQL."""

    def cast(self, value: str, type_name: str) -> str:
        """CAST, which is an assignment that says what it makes."""
        return f"CAST({value} AS {type_name})"

    def text(self, value: str, type_name: str) -> str:
        """The type's output; numeric without trailing zeros, since 1.0 and 1.00 are equal."""
        if bare(type_name) == "numeric":
            value = f"trim_scale({value})"
        return f"CAST({value} AS text)"

    def literal(self, text: str, type_name: str) -> str:
        """A quoted text and its type."""
        return f"{sql.Literal(text).as_string()}::{type_name}"

    def distinct(self, one: str, other: str, type_name: str) -> str:
        """By text where the type's own equality is coarser than that, or where it has none."""
        if bare(type_name) in _PLAINLY_EQUAL:
            return f"{one} IS DISTINCT FROM {other}"
        return f"CAST({one} AS text) IS DISTINCT FROM CAST({other} AS text)"

    def equal(self, type_name: str, one: str | None, other: str | None) -> bool:
        """Whether two texts stand for equal values: JSON that differs in spelling only does."""
        if one == other or one is None or other is None:
            return one == other
        return bare(type_name) in ("json", "jsonb") and json_meaning(one) == json_meaning(other)

    def match(self, held: str, value: str, column: Column) -> str:
        """Equality, which is what an index looks up."""
        return f"{held} = {value}"

    collides = match

    def order(self, column: Column) -> str:
        """Numbers, bytes, moments, and text of the C collation; every type by itself but the integers."""
        kind = bare(column.type)
        if kind in _INTEGERS:
            return "integer"
        if kind in _TEXTS:
            return "text" if column.collation_c else ""
        return kind if kind in _ORDERED else ""


class PostgresHashing:
    """`Hashing` of PostgreSQL: its own hash of a row of binary outputs and texts."""

    def column(self, value: str, type_name: str) -> str:
        """The value itself, its binary output, or its text under the C collation."""
        kind = bare(type_name)
        if kind in _AS_IT_IS:
            return value
        if kind in _SENT:
            return f"{_SENT[kind]}({value})"
        if kind == "numeric":  # with a modifier, every value has the same scale
            return f"numeric_send({value if '(' in type_name else f'trim_scale({value})'})"
        if kind not in _TEXTS:
            value = _json_text(value) if kind == "json" else f"CAST({value} AS text)"
        return f'({value}) COLLATE "C"'

    def row(self, columns: Sequence[str], seed: int) -> str:
        """0 stands for NULL in it, and the order of columns matters."""
        return f"hash_record_extended(ROW({', '.join(columns)}), {seed})"

    def bucket(self, hashed: str, buckets: int) -> str:
        """The lowest bits."""
        return f"({hashed} & {buckets - 1})::int4"

    def total(self, hashed: str) -> str:
        """The sum is numeric, hence exact."""
        return f"coalesce(sum({hashed}), 0)::text"

    def materialized(self, query: str) -> str:
        """OFFSET 0 keeps the planner from pulling it up."""
        return f"({query} OFFSET 0)"


class PostgresWrites:
    """`Writes` of PostgreSQL."""

    def __init__(self, values: PostgresValues) -> None:
        self._values = values

    def insert(self, entry: Entry, columns: Sequence[str], query: str) -> str:
        """Also into GENERATED ALWAYS AS IDENTITY."""
        names = ", ".join(map(quote, columns))
        return f"INSERT INTO {qualified(entry.target)} AS t ({names}) OVERRIDING SYSTEM VALUE {query}"

    def upsert(self, entry: Entry, query: str, *, sparing: bool) -> Sequence[str]:
        """ON CONFLICT on the key alone."""
        columns = [column.name for column in entry.columns]
        rest = [column for column in columns if column not in entry.key]
        changes = ", ".join(f"{quote(column)} = excluded.{quote(column)}" for column in rest)
        conflict = f"DO UPDATE SET {changes}" if rest else "DO NOTHING"
        if rest and sparing:
            differ = (self._differs(entry, column) for column in rest)
            conflict += f" WHERE {' OR '.join(differ)}"
        key = ", ".join(map(quote, entry.key))
        return [f"{self.insert(entry, columns, query)} ON CONFLICT ({key}) {conflict}"]

    def _differs(self, entry: Entry, column: str) -> str:
        kind = entry.target.column(column).type
        return self._values.distinct(f"t.{quote(column)}", f"excluded.{quote(column)}", kind)

    def delete(self, entry: Entry, other: str, condition: str) -> str:
        """DELETE .. USING."""
        return f"DELETE FROM {qualified(entry.target)} AS t USING {other} WHERE {condition}"

    def delete_where(self, entry: Entry, condition: str) -> str:
        """DELETE with an alias."""
        return f"DELETE FROM {qualified(entry.target)} AS t WHERE {condition}"

    def update(self, entry: Entry, other: str, condition: str, changes: Sequence[tuple[str, str]]) -> str:
        """UPDATE .. FROM."""
        sets = ", ".join(f"{quote(column)} = {value}" for column, value in changes)
        return f"UPDATE {qualified(entry.target)} AS t SET {sets} FROM {other} WHERE {condition}"


class PostgresKeys:
    """`Keys` of PostgreSQL: row comparisons, which use an index over these columns."""

    def within(self, columns: Sequence[str], types: Sequence[str], part: Range) -> str:
        """(a, b) >= (x, y) AND (a, b) < (v, w)."""
        key = f"({', '.join(columns)})"
        conditions = []
        if part.lower is not None:
            conditions.append(f"{key} >= {_literals(part.lower, types)}")
        if part.upper is not None:
            conditions.append(f"{key} < {_literals(part.upper, types)}")
        return " AND ".join(conditions) or "true"

    def among(self, columns: Sequence[str], types: Sequence[str], keys: Collection[TextRow]) -> str:
        """IN over unnested arrays, which plans the same for any number of keys."""
        names = [f"k{i}" for i in range(len(columns))]
        typed = ", ".join(f"x.{name}::{kind}" for name, kind in zip(names, types, strict=True))
        return f"({', '.join(columns)}) IN (SELECT {typed} FROM {unnested(keys)} AS x ({', '.join(names)}))"

    def version(self, alias: str, columns: Sequence[tuple[str, str]]) -> str:
        """The transaction that wrote the row."""
        return f"{alias}.xmin::text"


_VALUES = PostgresValues()
POSTGRESQL = Dialect("postgresql", _VALUES, PostgresHashing(), PostgresWrites(_VALUES), PostgresKeys())


def bare(type_name: str) -> str:
    """The type without its modifier; arrays and the user's own types keep their names."""
    return _MODIFIER.sub("", type_name)


def unnested(keys: Collection[TextRow]) -> str:
    """Keys as a relation of text columns."""
    columns = [sql.Literal(list(column)).as_string() for column in zip(*keys, strict=True)]
    return f"unnest({', '.join(f'{column}::text[]' for column in columns)})"


def _json_text(value: str) -> str:
    """Without regard to the order of keys; as it is spelled where an escape may name a character that jsonb refuses."""
    text = f"CAST({value} AS text)"
    return f"CASE WHEN strpos({text}, '\\u') > 0 THEN {text} ELSE CAST(CAST({value} AS jsonb) AS text) END"


def _literals(values: Sequence[str], types: Sequence[str]) -> str:
    return f"({', '.join(map(_VALUES.literal, values, types))})"
