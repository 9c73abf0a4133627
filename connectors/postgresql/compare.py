"""The SQL of verification, for one mapping entry: rows hashed and summed, keys with their hashes, rows by key. Pure.

Two sides say the same in the same types: `projected` makes target rows of source rows (at the source, or at the target
over its staging table), `stored` are the target's own. No statement takes parameters: a mapping may hold percent signs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from connectors.chunks import Bound
from connectors.postgresql import forms, merge
from connectors.postgresql.stage import GONE
from connectors.seams import TextRow
from connectors.tables import MappedTable
from mappers.expressions import plain_column
from mappers.mapping import Column, Entry, Table
from mappers.projection import qualified, quote

VERSION = '"changeover.version"'
"""The transaction id that wrote a row: another one where the row has changed."""


@dataclass(frozen=True, slots=True)
class Range:
    """Keys from `lower` (included) to `upper` (excluded), in the text form of their columns; None is an open end."""

    lower: Bound | None = None
    upper: Bound | None = None


EVERYTHING = Range()
SAMPLE_SEED = 0
PARTS = 1024
"""Keys are divided by their hash into so many parts, of which a sample takes some."""
_INTEGERS = ("smallint", "integer", "bigint")
_ORDERED = frozenset(
    ("boolean", "numeric", "uuid", "bytea", "date", "time without time zone", "timestamp without time zone",
     "timestamp with time zone")
)  # fmt: skip
"""Types whose order is the same in every database."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Target rows as a side of the comparison has them.

    source: what follows FROM, alias and all. where: which of its rows. value: target column -> its SQL, in exactly the
    target's type. origin: the source key's columns, as text SQL; empty where they cannot be told.
    """

    source: str
    where: str
    value: Callable[[str], str]
    origin: tuple[str, ...]


def projected(mapped: MappedTable, entry: Entry, relation: str) -> Rows:
    """What the mapping makes of source rows in `relation`, which has the source's columns in the staged types."""
    types = dict(mapped.text_columns)
    origin = tuple(forms.readable(f"s.{quote(name)}", types[name]) for name in entry.source_key)
    return Rows(f"{relation} AS s", merge.passes(entry), lambda column: merge.cast(entry, column), origin)


def stored(entry: Entry, where: str = "true") -> Rows:
    """The target's rows."""
    origin = tuple(forms.readable(f"t.{quote(name)}", entry.target.column(name).type) for name in entry.carrier)
    return Rows(f"{qualified(entry.target)} AS t", where, lambda column: f"t.{quote(column)}", origin)


def relation(mapped: MappedTable, where: str) -> str:
    """The source table's rows in the staged types, with their version: read at the source itself."""
    columns = ", ".join(f"b.{quote(name)}::{kind} AS {quote(name)}" for name, kind in mapped.text_columns)
    table = qualified(mapped.table)
    return f"(SELECT {columns}, false AS {GONE}, b.xmin::text AS {VERSION} FROM {table} AS b WHERE {where})"


def aligned(entry: Entry) -> bool:
    """Whether a range of source keys and the same range of target keys hold the same rows.

    The target key must be the source key itself, column by column, in types whose order no locale decides.
    """
    columns = [plain_column(entry.expression(name)) for name in entry.key]
    if columns != list(entry.source_key):
        return False
    pairs = zip(entry.source_key, entry.key, strict=True)
    return all(_same_order(entry.source.column(one), entry.target.column(other)) for one, other in pairs)


def _same_order(one: Column, other: Column) -> bool:
    kinds = forms.bare(one.type), forms.bare(other.type)
    if all(kind in _INTEGERS for kind in kinds):
        return True
    if all(kind in forms.TEXTS for kind in kinds):
        return one.collation_c and other.collation_c
    return kinds[0] == kinds[1] and kinds[0] in _ORDERED


def sampled(entry: Entry, rows: Rows, parts: int) -> Rows:
    """Only the rows whose key falls into the first `parts` of `PARTS` parts: the same keys on both sides."""
    columns = [forms.hashed(rows.value(name), entry.target.column(name).type) for name in entry.key]
    part = f"hash_record_extended(ROW({', '.join(columns)}), {SAMPLE_SEED}) & {PARTS - 1}"
    return replace(rows, where=f"{rows.where} AND ({part}) < {parts}")


def sums(entry: Entry, rows: Rows, seed: int, buckets: int) -> str:
    """(bucket, rows, sum of their hashes) of every bucket that has rows. buckets: a power of two."""
    inner = f"SELECT {_hash(entry, rows, seed)} AS h FROM {rows.source} WHERE {rows.where} OFFSET 0"
    return f"SELECT (h & {buckets - 1})::int4, count(*)::int8, sum(h)::text FROM ({inner}) AS q GROUP BY 1"


def total(entry: Entry, rows: Rows, seed: int) -> str:
    """(rows, sum of their hashes): cheaper than by buckets."""
    inner = f"SELECT {_hash(entry, rows, seed)} AS h FROM {rows.source} WHERE {rows.where} OFFSET 0"
    return f"SELECT count(*)::int8, coalesce(sum(h), 0)::text FROM ({inner}) AS q"


def hashes(entry: Entry, rows: Rows, seed: int, buckets: int, wanted: Collection[int]) -> str:
    """(hash, target key as text.., source key as text..) of every row in the wanted buckets."""
    keys = ", ".join([*key_texts(entry, rows), *rows.origin])
    inner = f"SELECT {_hash(entry, rows, seed)} AS h, {keys} FROM {rows.source} WHERE {rows.where} OFFSET 0"
    numbers = ",".join(map(str, sorted(wanted)))
    return f"SELECT * FROM ({inner}) AS q WHERE (h & {buckets - 1}) = ANY ('{{{numbers}}}'::int8[])"


def contents(entry: Entry, rows: Rows, head: Sequence[str]) -> str:
    """(head.., taken, target key.., columns..) as text, of every row; NULL after `taken` where it is not taken."""
    columns = [forms.readable(rows.value(c.name), entry.target.column(c.name).type) for c in entry.columns]
    texts = [f"CASE WHEN {rows.where} THEN {text} END" for text in [*key_texts(entry, rows), *columns]]
    return f"SELECT {', '.join([*head, rows.where, *texts])} FROM {rows.source}"


def origins(entry: Entry, rows: Rows, keys: Sequence[TextRow]) -> str:
    """(source key.., target key..) as text of the rows with these target keys: a walk over all rows."""
    texts = key_texts(entry, rows)
    names = ", ".join(f"k{i}" for i in range(len(texts)))
    listed = f"SELECT {names} FROM {_unnest(keys)} AS x ({names})"
    matching = f"({', '.join(texts)}) IN ({listed})"
    return f"SELECT {', '.join([*rows.origin, *texts])} FROM {rows.source} WHERE {rows.where} AND {matching}"


def recent(entry: Entry, rows: Rows, limit: int) -> str:
    """(target key.., source key..) as text of at most so many rows."""
    keys = ", ".join([*key_texts(entry, rows), *rows.origin])
    return f"SELECT {keys} FROM {rows.source} WHERE {rows.where} LIMIT {limit}"


def since(xid: int) -> str:
    """Rows of the source table, alias b, that a transaction from this one on has written (64 bits; rows have 32)."""
    age = f"(b.xmin::text::int8 - {xid & 0xFFFFFFFF} + 4294967296) % 4294967296"
    return f"{age} < pg_snapshot_xmax(pg_current_snapshot())::text::int8 - {xid}"


def key_texts(entry: Entry, rows: Rows) -> list[str]:
    """The target key's columns as text."""
    return [forms.readable(rows.value(name), entry.target.column(name).type) for name in entry.key]


def in_range(columns: Sequence[str], types: Sequence[str], part: Range) -> str:
    """Whether a row's key is in the range. columns: SQL."""
    key = f"({', '.join(columns)})"
    conditions = []
    if part.lower is not None:
        conditions.append(f"{key} >= {_literals(part.lower, types)}")
    if part.upper is not None:
        conditions.append(f"{key} < {_literals(part.upper, types)}")
    return " AND ".join(conditions) or "true"


def among(columns: Sequence[str], types: Sequence[str], keys: Sequence[TextRow]) -> str:
    """Whether a row's key is one of these, in text form. columns: SQL."""
    names = [f"k{i}" for i in range(len(columns))]
    typed = ", ".join(f"x.{name}::{kind}" for name, kind in zip(names, types, strict=True))
    return f"({', '.join(columns)}) IN (SELECT {typed} FROM {_unnest(keys)} AS x ({', '.join(names)}))"


def source_range(mapped: MappedTable, part: Range) -> str:
    """The range over the source table, alias b."""
    return in_range([f"b.{quote(name)}" for name in mapped.form.columns], mapped.form.types, part)


def target_range(entry: Entry, part: Range) -> str:
    """The range over the target table, alias t."""
    return in_range([f"t.{quote(name)}" for name in entry.key], key_types(entry.target, entry.key), part)


def source_among(mapped: MappedTable, keys: Sequence[TextRow]) -> str:
    """These keys of the source table, alias b."""
    return among([f"b.{quote(name)}" for name in mapped.form.columns], mapped.form.types, keys)


def target_among(entry: Entry, keys: Sequence[TextRow]) -> str:
    """These keys of the target table, alias t."""
    return among([f"t.{quote(name)}" for name in entry.key], key_types(entry.target, entry.key), keys)


def key_types(table: Table, key: Sequence[str]) -> list[str]:
    """The types of these columns."""
    return [table.column(name).type for name in key]


def texts(mapped: MappedTable, keys: Sequence[TextRow]) -> str:
    """(source key.., version, columns..) as text of the source rows with these keys: what is staged at the target."""
    types = dict(mapped.text_columns)
    origin = [forms.readable(f"s.{quote(name)}", types[name]) for name in mapped.form.columns]
    columns = [f"s.{quote(name)}::text" for name in mapped.columns]
    rows = relation(mapped, source_among(mapped, keys))
    return f"SELECT {', '.join([*origin, f's.{VERSION}', *columns])} FROM {rows} AS s"


def _hash(entry: Entry, rows: Rows, seed: int) -> str:
    """Sixty-four bits over every written column; 0 stands for NULL in it, and the order of columns matters."""
    columns = [forms.hashed(rows.value(c.name), entry.target.column(c.name).type) for c in entry.columns]
    return f"hash_record_extended(ROW({', '.join(columns)}), {seed})"


def _literals(values: Sequence[str], types: Sequence[str]) -> str:
    typed = (f"{sql.Literal(value).as_string()}::{kind}" for value, kind in zip(values, types, strict=True))
    return f"({', '.join(typed)})"


def _unnest(keys: Sequence[TextRow]) -> str:
    columns = [sql.Literal(list(column)).as_string() for column in zip(*keys, strict=True)]
    return f"unnest({', '.join(f'{column}::text[]' for column in columns)})"
