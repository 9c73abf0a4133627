"""Target rows whose source row is gone, for a resync of a whole table: found once, removed under the stream's locks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from connectors.control.store import ControlStore
from connectors.keys import name_of
from connectors.source_database import SourceDatabase
from connectors.sql import extras
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from mappers.mapping import Entry

Batches = Iterator[list[tuple[str, ...]]]


class Extras:
    """Finds and removes them. batch: rows removed in one transaction. stopping: ends the work early."""

    def __init__(
        self,
        source: SourceDatabase,
        target: SqlTarget,
        control: ControlStore,
        batch: int,
        stopping: Callable[[], bool],
    ) -> None:
        self._source = source
        self._target = target
        self._control = control
        self._batch = batch
        self._stopping = stopping

    def remove(self, mapped: MappedTable, entry: Entry, only: Collection[str] | None = None) -> int:
        """Remove the entry's target rows that no source row makes; returns how many. `only`: of these target keys.

        No fence is set, since the source key of such a row need not be known: an event of it that is still to come is
        followed by its delete.
        """
        removed = 0
        with self._target.begin(one_snapshot=True, reading=True) as transaction:
            extras.begin(transaction)
            with self._source.reading(mapped.table) as reading:
                extras.stage_keys(transaction, mapped, reading.keys(mapped.table, mapped.form, None, self._batch))
            part = next(part for part in mapped.parts if entry in part.entries)
            for found in extras.find(transaction, part, entry, self._batch):
                wanted = [row for row in found if only is None or name_of(row[:-1]) in only]
                if self._stopping():
                    break
                if wanted:
                    removed += self._delete(mapped, entry, wanted)
        return removed

    def there(self, entry: Entry, keys: Sequence[Sequence[str]]) -> set[str]:
        """Those of the entry's target keys that have a row, in their JSON text form."""
        with self._target.begin(reading=True) as transaction:
            return {name_of(key) for key in extras.there(transaction, entry, keys)} if keys else set()

    def _delete(self, mapped: MappedTable, entry: Entry, found: Sequence[extras.Extra]) -> int:
        with self._target.begin() as transaction:
            self._control.positions.lock_table(transaction.control, mapped.name)
            self._control.tables.versions(transaction.control)
            return extras.remove(transaction, entry, found)
