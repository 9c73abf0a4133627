"""Target rows that no source row makes: found by an anti-join with all source keys, removed if nobody wrote them since.

The finding transaction sees the target as it was before the source's keys were read, so that a row of a key that the
source did not have then was one too many, unless somebody wrote it since: which its xmin tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connectors.postgresql import merge
from connectors.postgresql.transaction import TargetTransaction
from connectors.tables import MappedTable
from mappers.mapping import Entry
from mappers.names import qualified, quote

Extra = tuple[str, ...]
"""The target key's values as text, then the row's xmin."""
CURSOR = "changeover_extras"


def begin(transaction: TargetTransaction) -> None:
    """Let the transaction see the target as it is now, to its end. Before anything else in it."""
    transaction.raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    transaction.raw.execute("SELECT")
    transaction.raw.execute("SET LOCAL enable_hashjoin = on")


def stage_keys(transaction: TargetTransaction, mapped: MappedTable, batches: Iterable[Sequence[Sequence[str]]]) -> int:
    """Load source keys into the text table, as rows in which nothing else is set. Returns how many."""
    transaction.prepare_text(mapped)
    return sum(transaction.add_keys(mapped, keys) for keys in batches)


def find(transaction: TargetTransaction, mapped: MappedTable, entry: Entry, batch: int) -> Iterator[list[Extra]]:
    """The entry's target rows that no staged key makes, up to `batch` at a time."""
    keys = ", ".join(f"t.{quote(column)}::text" for column in entry.key)
    query = (
        f"SELECT {keys}, t.xmin::text FROM {qualified(entry.target)} AS t "
        f"WHERE NOT EXISTS (SELECT FROM {transaction.text_relation(mapped)} AS s WHERE {merge.made_by(entry)})"
    )
    with transaction.raw.cursor(CURSOR) as cursor:
        cursor.itersize = batch
        cursor.execute(query.encode())
        while rows := cursor.fetchmany(batch):
            yield [tuple(row) for row in rows]


def there(transaction: TargetTransaction, entry: Entry, keys: Sequence[Sequence[str]]) -> set[tuple[str, ...]]:
    """Those of the target keys, as text, that have a row."""
    texts = ", ".join(f"t.{quote(column)}::text" for column in entry.key)
    names, match, arrays = _keyed(entry)
    head = f"SELECT {texts} FROM {qualified(entry.target)} AS t JOIN unnest(".replace("%", "%%")
    tail = f") AS x({', '.join(names)}) ON {match}".replace("%", "%%")
    query = f"{head}{arrays}{tail}"
    return {tuple(row) for row in transaction.raw.execute(query.encode(), [list(p) for p in zip(*keys, strict=True)])}


def remove(transaction: TargetTransaction, entry: Entry, extras: Sequence[Extra]) -> int:
    """Delete these rows, save those that somebody wrote since they were found. Returns how many."""
    names, match, arrays = _keyed(entry)
    head = f"DELETE FROM {qualified(entry.target)} AS t USING unnest(".replace("%", "%%")
    tail = f") AS x({', '.join(names)}, xmin) WHERE {match} AND t.xmin::text = x.xmin".replace("%", "%%")
    statement = f"{head}{arrays}, %s::text[]{tail}"
    return transaction.raw.execute(statement.encode(), [list(part) for part in zip(*extras, strict=True)]).rowcount


def _keyed(entry: Entry) -> tuple[list[str], str, str]:
    """Target keys as parameters: their columns' names in `x`, how they match a row of `t`, and a placeholder for each.

    The texts around the placeholders need their percent signs doubled.
    """
    types = [entry.target.column(column).type for column in entry.key]
    names = [f"k{i}" for i in range(len(types))]
    match = " AND ".join(
        f"t.{quote(column)} = x.{name}::{kind}" for column, name, kind in zip(entry.key, names, types, strict=True)
    )
    return names, match, ", ".join("%s::text[]" for _ in names)
