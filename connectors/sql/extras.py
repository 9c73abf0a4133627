"""Target rows that no source row makes: found by an anti-join with all source keys, removed if nobody wrote them since.

The finding transaction sees the target as it was before the source's keys were read, so that a row of a key that the
source did not have then was one too many, unless somebody wrote it since: which its version tells, where the engine
keeps one (else its content).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connectors.sql import compare
from connectors.sql.dialect import Dialect
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from mappers.mapping import Entry
from mappers.names import qualified, quote

Extra = tuple[str, ...]
"""The target key's values as text, then the row's version."""


def begin(transaction: SqlTransaction) -> None:
    """Let the transaction, which is of one snapshot, see the target as it is now. Before anything else in it."""
    transaction.rows("SELECT 1")
    transaction.prepare_search()


def stage_keys(transaction: SqlTransaction, mapped: MappedTable, batches: Iterable[Sequence[Sequence[str]]]) -> int:
    """Load source keys into the text table, as rows in which nothing else is set. Returns how many."""
    transaction.prepare_text(mapped)
    return sum(transaction.add_keys(mapped, keys) for keys in batches)


def find(transaction: SqlTransaction, part: MappedTable, entry: Entry, batch: int) -> Iterator[list[Extra]]:
    """The target rows of an entry of this part that no staged key makes, up to `batch` at a time."""
    yield from transaction.unmade(part, entry, _versions(transaction.dialect, entry), batch)


def there(transaction: SqlTransaction, entry: Entry, keys: Sequence[Sequence[str]]) -> set[tuple[str, ...]]:
    """Those of the target keys, as text, that have a row."""
    mine = compare.target_among(transaction.dialect, entry, [tuple(key) for key in keys])
    return {row[:-1] for row in transaction.rows(f"{_versions(transaction.dialect, entry)} WHERE {mine}")}


def remove(transaction: SqlTransaction, entry: Entry, extras: Sequence[Extra]) -> int:
    """Delete these rows, save those that somebody wrote since they were found. Returns how many."""
    d, columns = transaction.dialect, [f"t.{quote(name)}" for name in entry.key]
    types = [*compare.key_types(entry.target, entry.key), "text"]
    mine = d.keys.among([*columns, compare.target_version(d, entry)], types, extras)
    return transaction.write(entry, d.writes.delete_where(entry, mine))


def _versions(d: Dialect, entry: Entry) -> str:
    texts = [d.values.text(f"t.{quote(name)}", entry.target.column(name).type) for name in entry.key]
    return f"SELECT {', '.join([*texts, compare.target_version(d, entry)])} FROM {qualified(entry.target)} AS t"
