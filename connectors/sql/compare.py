"""The SQL of verification, for one mapping entry: rows hashed and summed, keys with their hashes, rows by key. Pure.

Two sides say the same in the same types: `projected` makes target rows of source rows (at the source, or at the target
over its staging table), `stored` are the target's own. No statement takes parameters: a mapping may hold percent signs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from connectors.chunks import Range
from connectors.seams import TextRow
from connectors.sql import merge
from connectors.sql.dialect import GONE, Dialect, key_text
from connectors.tables import MappedTable
from mappers.expressions import plain_column
from mappers.mapping import Entry, Table
from mappers.projection import qualified, quote

VERSION = '"changeover.version"'
"""Another text where a row has been written anew."""
SAMPLE_SEED = 0
PARTS = 1024
"""Keys are divided by their hash into so many parts, of which a sample takes some."""


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


def projected(d: Dialect, mapped: MappedTable, entry: Entry, relation: str, *, staged: bool) -> Rows:
    """What the mapping makes of source rows in `relation`, which has the source's columns in the staged types.

    staged: they stand in the target's text table, so that the source's own text of the key is there.
    """
    types = dict(mapped.typed_columns)
    origin = tuple(
        f"s.{key_text(mapped.columns.index(name))}" if staged else d.values.text(f"s.{quote(name)}", types[name])
        for name in entry.source_key
    )
    relation = merge.firsts(d, entry, relation)
    return Rows(f"{relation} AS s", merge.passes(entry), lambda column: merge.cast(d, entry, column), origin)


def stored(d: Dialect, entry: Entry, where: str = "true") -> Rows:
    """The target's rows."""
    origin = tuple(d.values.text(f"t.{quote(name)}", entry.target.column(name).type) for name in entry.carrier)
    return Rows(f"{qualified(entry.target)} AS t", where, lambda column: f"t.{quote(column)}", origin)


def relation(d: Dialect, mapped: MappedTable, where: str) -> str:
    """The source table's rows in the staged types, with their version: read at the source itself."""
    columns = ", ".join(f"{d.values.cast(f'b.{quote(n)}', kind)} AS {quote(n)}" for n, kind in mapped.typed_columns)
    version = f"{d.keys.version('b', mapped.typed_columns)} AS {VERSION}"
    return f"(SELECT {columns}, false AS {GONE}, {version} FROM {qualified(mapped.table)} AS b WHERE {where})"


def aligned(d: Dialect, mapped: MappedTable, entry: Entry) -> bool:
    """Whether a range of source keys and the same range of target keys hold the same rows.

    The target key must be the source key itself, column by column, in types whose order no locale decides.
    """
    columns = [plain_column(entry.expression(name)) for name in entry.key]
    if columns != list(entry.source_key):
        return False
    orders = mapped.form.orders
    return all(orders) and list(orders) == [d.values.order(entry.target.column(name)) for name in entry.key]


def sampled(d: Dialect, entry: Entry, rows: Rows, parts: int) -> Rows:
    """Only the rows whose key falls into the first `parts` of `PARTS` parts: the same keys on both sides."""
    columns = [d.hashing.column(rows.value(name), entry.target.column(name).type) for name in entry.key]
    part = d.hashing.bucket(d.hashing.row(columns, SAMPLE_SEED), PARTS)
    return replace(rows, where=f"{rows.where} AND {part} < {parts}")


def sums(d: Dialect, entry: Entry, rows: Rows, seed: int, buckets: int) -> str:
    """(bucket, rows, sum of their hashes) of every bucket that has rows. buckets: a power of two."""
    hashed = _hashed(d, entry, rows, seed)
    return f"SELECT {d.hashing.bucket('h', buckets)}, count(*), {d.hashing.total('h')} FROM {hashed} AS q GROUP BY 1"


def total(d: Dialect, entry: Entry, rows: Rows, seed: int) -> str:
    """(rows, sum of their hashes): cheaper than by buckets."""
    return f"SELECT count(*), {d.hashing.total('h')} FROM {_hashed(d, entry, rows, seed)} AS q"


def hashes(d: Dialect, entry: Entry, rows: Rows, seed: int, buckets: int, wanted: Collection[int]) -> str:
    """(hash, target key as text.., source key as text..) of every row in the wanted buckets."""
    hashed = _hashed(d, entry, rows, seed, [*key_texts(d, entry, rows), *rows.origin])
    numbers = ", ".join(map(str, sorted(wanted)))
    return f"SELECT * FROM {hashed} AS q WHERE {d.hashing.bucket('h', buckets)} IN ({numbers})"


def contents(d: Dialect, entry: Entry, rows: Rows, head: Sequence[str]) -> str:
    """(head.., taken, target key.., columns..) as text, of every row; NULL after `taken` where it is not taken."""
    columns = [d.values.text(rows.value(c.name), entry.target.column(c.name).type) for c in entry.columns]
    texts = [f"CASE WHEN {rows.where} THEN {text} END" for text in [*key_texts(d, entry, rows), *columns]]
    return f"SELECT {', '.join([*head, rows.where, *texts])} FROM {rows.source}"


def origins(d: Dialect, entry: Entry, rows: Rows, keys: Sequence[TextRow]) -> str:
    """(source key.., target key..) as text of the rows with these target keys: a walk over all rows."""
    columns = [rows.value(name) for name in entry.key]
    matching = d.keys.among(columns, key_types(entry.target, entry.key), keys)
    listed = ", ".join([*rows.origin, *key_texts(d, entry, rows)])
    return f"SELECT {listed} FROM {rows.source} WHERE {rows.where} AND {matching}"


def recent(d: Dialect, entry: Entry, rows: Rows, limit: int) -> str:
    """(target key.., source key..) as text of at most so many rows."""
    keys = ", ".join([*key_texts(d, entry, rows), *rows.origin])
    return f"SELECT {keys} FROM {rows.source} WHERE {rows.where} LIMIT {limit}"


def key_texts(d: Dialect, entry: Entry, rows: Rows) -> list[str]:
    """The target key's columns as text."""
    return [d.values.text(rows.value(name), entry.target.column(name).type) for name in entry.key]


def source_range(d: Dialect, mapped: MappedTable, part: Range) -> str:
    """The range over the source table, alias b."""
    return d.keys.within([f"b.{quote(name)}" for name in mapped.form.columns], mapped.form.types, part)


def target_range(d: Dialect, entry: Entry, part: Range) -> str:
    """The range over the target table, alias t."""
    return d.keys.within([f"t.{quote(name)}" for name in entry.key], key_types(entry.target, entry.key), part)


def source_among(d: Dialect, mapped: MappedTable, keys: Collection[TextRow]) -> str:
    """These keys of the source table, alias b."""
    return d.keys.among([f"b.{quote(name)}" for name in mapped.form.columns], mapped.form.types, keys)


def target_among(d: Dialect, entry: Entry, keys: Collection[TextRow]) -> str:
    """These keys of the target table, alias t."""
    return d.keys.among([f"t.{quote(name)}" for name in entry.key], key_types(entry.target, entry.key), keys)


def target_version(d: Dialect, entry: Entry) -> str:
    """The version of the target's row, alias t."""
    return d.keys.version("t", [(c.name, entry.target.column(c.name).type) for c in entry.columns])


def key_types(table: Table, key: Sequence[str]) -> list[str]:
    """The types of these columns."""
    return [table.column(name).type for name in key]


def _hashed(d: Dialect, entry: Entry, rows: Rows, seed: int, beside: Sequence[str] = ()) -> str:
    """The rows' hashes over every written column, as `h`, and what else is wanted beside them."""
    columns = [d.hashing.column(rows.value(c.name), entry.target.column(c.name).type) for c in entry.columns]
    named = (f"{text} AS b{number}" for number, text in enumerate(beside))
    listed = ", ".join([f"{d.hashing.row(columns, seed)} AS h", *named])
    return d.hashing.materialized(f"SELECT {listed} FROM {rows.source} WHERE {rows.where}")
