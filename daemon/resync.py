"""Resync (rule 8): keys are read from the source again under a fence, and merged. Repair, dead-letter retries and moves
on demand are this; the stream uses it where an event alone is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from connectors.control.store import ControlStore
from connectors.postgresql.keys import name_of
from connectors.seams import Reading, Source, StagedText, Target, TargetTransaction, TextRow
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.claims import release_abandoned
from daemon.handover import Chunk, may_resync
from mappers.mapping import Entry

Texts = Sequence[str]


def text_rows(mapped: MappedTable, keys: Sequence[Texts], found: Mapping[TextRow, TextRow]) -> list[StagedText]:
    """Rows to stage: as read, or gone where the source has none."""
    rows: list[StagedText] = []
    for number, key in enumerate(keys):
        row = found.get(tuple(key))
        rows.append((number, False, row) if row is not None else (number, True, mapped.key_only(tuple(key))))  # type: ignore[arg-type]
    return rows


class Resyncer:
    """Re-reads keys in transactions of its own, safely beside the stream and the backfill. One thread only.

    wait: called between looks while a key's chunk is being read.
    """

    def __init__(self, source: Source, target: Target, control: ControlStore, wait: Callable[[], None]) -> None:
        self._source = source
        self._target = target
        self._control = control
        self._wait = wait

    def resync(self, mapped: MappedTable, keys: Collection[Texts], *, exchange: bool = False) -> Snapshot:
        """Read these keys (in text form) again and make the target equal to what was read; returns the fence.

        exchange: rows of other keys that hold a unique value which one of these rows needs make room first. Raises
        FatalError when the conflict is the source's own.
        """
        wanted = [tuple(key) for key in dict.fromkeys(tuple(key) for key in keys)]
        while True:
            with self._target.begin() as transaction:
                if self._quiet(transaction, mapped, wanted, every=exchange):
                    return self._write(transaction, mapped, wanted, exchange=exchange)
            with self._target.begin() as transaction:
                release_abandoned(self._control, transaction.control)
            self._wait()

    def remove(
        self, mapped: MappedTable, entry: Entry, keys: Sequence[TextRow], made: Callable[[], Collection[TextRow]]
    ) -> None:
        """Delete target rows, by target key, that no source row makes and that do not say which one they were of.

        made: those of the keys that a source row makes, by a snapshot taken when it is called. That is while nothing of
        the table is in flight: an event that the target has not yet had writes its row again.
        """
        while True:
            with self._target.begin() as transaction:
                self._control.positions.lock_table(transaction.control, mapped.name)
                self._control.tables.versions(transaction.control)
                chunks = self._control.chunks.share(transaction.control, mapped.name)
                if all(may_resync(Chunk(row.state, row.snapshot)) for row in chunks):
                    there = made()
                    transaction.delete(entry, [key for key in keys if key not in there])
                    return
            self._wait()

    def _quiet(
        self, transaction: TargetTransaction, mapped: MappedTable, keys: Sequence[Texts], *, every: bool
    ) -> bool:
        """Lock the table's positions, then share-lock the keys' chunks; False while one of those is being read.

        Positions before chunks, everywhere: a truncate takes them in the same order. every: lock all chunks of the
        table, for `make_room`.
        """
        self._control.positions.lock_table(transaction.control, mapped.name)
        self._control.tables.versions(transaction.control)
        rows = self._control.chunks.all(transaction.control, mapped.name)
        bounds = [row.lower for row in rows if row.lower is not None]
        numbers = set(self._source.locate(mapped.table, mapped.form, bounds, keys)) if bounds else {0}
        locked = self._control.chunks.share(transaction.control, mapped.name, None if every else numbers)
        return all(may_resync(Chunk(row.state, row.snapshot)) for row in locked if row.number in numbers)

    def _write(
        self, transaction: TargetTransaction, mapped: MappedTable, keys: Sequence[Texts], *, exchange: bool
    ) -> Snapshot:
        with self._source.reading(mapped.table) as reading:
            found = reading.rows(mapped.table, mapped.form, mapped.text_columns, keys)
            rows = text_rows(mapped, keys, found)
            if exchange:
                make_room(
                    transaction, mapped, reading, transaction.conflicting(mapped, rows) - {tuple(k) for k in keys}
                )
            transaction.merge_text(mapped, rows, replace=exchange)
            names = [name_of(key) for key in keys]
            self._control.fences.put(transaction.control, mapped.name, names, reading.snapshot)
            return reading.snapshot


def make_room(
    transaction: TargetTransaction, mapped: MappedTable, reading: Reading, holders: Collection[TextRow]
) -> None:
    """Remove target rows whose unique value belongs to a staged row by now, at the reading's snapshot.

    The caller locked the table's positions and all its chunks before the snapshot was taken, so that nothing in the
    target is newer than it: a holder that differs has an event in the log which is not applied yet, and which writes it
    again. Raises FatalError when a holder does not differ: two source rows want one value.
    """
    if holders:
        keys = sorted(tuple(str(value) for value in key) for key in holders)
        found = reading.rows(mapped.table, mapped.form, mapped.text_columns, keys)
        transaction.evict(mapped, text_rows(mapped, keys, found))
