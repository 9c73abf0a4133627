"""Resync (rule 8): keys are read from the source again under a fence, and merged. Repair, dead-letter retries and moves
on demand are this; the stream uses it where an event alone is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from connectors.control.dead_letters import RETRIED
from connectors.control.store import ControlStore
from connectors.keys import name_of
from connectors.seams import Merged, Reading, Source, StagedText, Target, TargetTransaction, TextRow
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.backfill.claims import release_abandoned
from daemon.handover import Chunk, may_resync
from mappers.errors import ConflictError, RecordError
from mappers.mapping import Entry

Texts = Sequence[str]
Keys = Sequence[tuple[str, ...]]
Result = TypeVar("Result")
TOGETHER_MAX = 10_000
"""Rows that one chain of unique values may bring together before the conflict is called the data's own."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What reading keys again did. snapshot: the fence.

    found: of the keys asked for, how many have a source row. filtered: how many of those the mapping leaves out.
    written, removed: target rows that were not as they should be. beside: rows that were read with them, since they
    held a unique value that one of them needs.
    """

    snapshot: Snapshot
    found: int
    filtered: int
    written: int
    removed: int
    beside: int


def text_rows(mapped: MappedTable, keys: Sequence[Texts], found: Mapping[TextRow, TextRow]) -> list[StagedText]:
    """Rows to stage: as read, or gone where the source has none."""
    rows: list[StagedText] = []
    for number, key in enumerate(keys):
        row = found.get(tuple(key))
        rows.append((number, False, row) if row is not None else mapped.gone(number, key))
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

    def close(self) -> None:
        """Close the connection to the source."""
        self._source.close()

    def resync(self, mapped: MappedTable, keys: Collection[Texts], *, exchange: bool = False) -> Snapshot:
        """Read these keys (in text form) again and make the target equal to what was read; returns the fence.

        exchange: rows of other keys that hold a unique value which one of these rows needs make room first. Raises
        RecordError where the target refuses a row, also when the conflict is the source's own.
        """
        wanted = _each_once(keys)

        def write(transaction: TargetTransaction, reading: Reading) -> Snapshot:
            rows = _read(mapped, reading, wanted)
            if exchange:
                make_room(transaction, mapped, reading, transaction.conflicting(mapped, rows) - set(wanted))
            transaction.merge_text(mapped, rows, replace=exchange)
            self._fence(transaction, mapped, wanted, reading)
            return reading.snapshot

        return self._when_quiet(mapped, wanted, write, every=exchange)

    def mend(self, mapped: MappedTable, keys: Collection[Texts]) -> Mended:
        """As `resync`, on somebody's request: for damage that no event will mend.

        Target rows of other keys that hold a unique value which one of these rows needs are read again with them, since
        it may be they that are wrong. Rows that are as they should be are not touched. Raises RecordError where the
        target refuses a row, or two source rows want one value.
        """
        wanted = _each_once(keys)

        def alone(transaction: TargetTransaction, reading: Reading) -> Mended:
            return self._mend(transaction, mapped, reading, wanted, wanted)

        def together(transaction: TargetTransaction, reading: Reading) -> Mended | None:
            keys = self._with_holders(transaction, mapped, reading, wanted)
            if not self._may_write(transaction, mapped, keys, every=True):
                return None
            return self._mend(transaction, mapped, reading, wanted, keys)

        try:
            return self._when_quiet(mapped, wanted, alone, every=False)
        except ConflictError:
            pass
        try:
            return self._when_quiet(mapped, wanted, together, every=True)
        except ConflictError as error:
            hint = "mend the mapping, the constraint, or the source's rows"
            what = f"two source rows want one value: {error.what}"
            raise RecordError(what, where=error.where, hint=hint, reason=error.reason) from error

    def _when_quiet(
        self,
        mapped: MappedTable,
        keys: Keys,
        write: Callable[[TargetTransaction, Reading], Result | None],
        *,
        every: bool,
    ) -> Result:
        """Call `write` in a transaction in which no chunk of these keys is being read, until it gives a result.

        The snapshot is taken after the locks. every: all chunks of the table are locked, for `make_room`.
        """
        while True:
            with self._target.begin() as transaction:
                self._control.positions.lock_table(transaction.control, mapped.name)
                self._control.tables.versions(transaction.control)
                if self._may_write(transaction, mapped, keys, every=every):
                    with self._source.reading(mapped.table) as reading:
                        result = write(transaction, reading)
                    if result is not None:
                        return result
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

    def _may_write(self, transaction: TargetTransaction, mapped: MappedTable, keys: Keys, *, every: bool) -> bool:
        """Share-lock the keys' chunks, or every chunk of the table; False while one of the keys' is being read.

        The caller has locked the table's positions. Positions before chunks, everywhere: a truncate takes them in the
        same order.
        """
        rows = self._control.chunks.all(transaction.control, mapped.name)
        bounds = [row.lower for row in rows if row.lower is not None]
        numbers = set(self._source.locate(mapped.table, mapped.form, bounds, keys)) if bounds else {0}
        locked = self._control.chunks.share(transaction.control, mapped.name, None if every else numbers)
        return all(may_resync(Chunk(row.state, row.snapshot)) for row in locked if row.number in numbers)

    def _with_holders(
        self, transaction: TargetTransaction, mapped: MappedTable, reading: Reading, wanted: Keys
    ) -> Keys:
        """The keys, and those of all target rows that hold a unique value which one of their rows needs, and so on."""
        keys = list(wanted)
        while True:
            held = transaction.conflicting(mapped, _read(mapped, reading, keys))
            texts = [tuple(str(value) for value in key) for key in sorted(held, key=str)]
            new = sorted({*self._source.canonical(mapped.table, mapped.form, texts)} - {*keys}) if texts else []
            if not new:
                return keys
            _refuse_foreign(mapped)
            keys += new
            if len(keys) > TOGETHER_MAX:
                what = f"more than {TOGETHER_MAX} rows hold unique values of each other"
                raise RecordError(what, where=f"table {mapped.name}", hint="reload the table")

    def _mend(
        self, transaction: TargetTransaction, mapped: MappedTable, reading: Reading, wanted: Keys, keys: Keys
    ) -> Mended:
        rows = _read(mapped, reading, keys)
        merged: Merged = transaction.mend_text(mapped, rows, replace=len(keys) > len(wanted))
        self._fence(transaction, mapped, keys, reading)
        asked = range(len(wanted))  # the keys asked for come first
        return Mended(
            snapshot=reading.snapshot,
            found=sum(not rows[number][1] for number in asked),
            filtered=sum(number in asked for number in merged.filtered),
            written=merged.written,
            removed=merged.removed,
            beside=len(keys) - len(wanted),
        )

    def _fence(self, transaction: TargetTransaction, mapped: MappedTable, keys: Keys, reading: Reading) -> None:
        names = [name_of(key) for key in keys]
        self._control.fences.put(transaction.control, mapped.name, names, reading.snapshot)
        self._control.dead_letters.close(transaction.control, mapped.name, names, RETRIED)


def _each_once(keys: Collection[Texts]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(tuple(key) for key in keys))


def _read(mapped: MappedTable, reading: Reading, keys: Keys) -> list[StagedText]:
    return text_rows(mapped, keys, reading.rows(mapped.table, mapped.form, mapped.columns, keys))


def _refuse_foreign(mapped: MappedTable) -> None:
    """Where the target keeps rows of others, a row that holds a value may be one of those, and is not ours to write."""
    for entry in mapped.entries:
        if entry.not_empty == "keep":
            what = (
                "another row of the target holds a unique value, and it may not be this pipeline's (if_not_empty: keep)"
            )
            raise RecordError(what, where=entry.name, hint="compare the rows by hand, and remove the one that is wrong")


def make_room(
    transaction: TargetTransaction,
    mapped: MappedTable,
    reading: Reading,
    holders: Collection[TextRow],
    span: tuple[int, int] | None = None,
) -> None:
    """Remove target rows whose unique value belongs to a staged row by now, at the reading's snapshot.

    The caller locked the table's positions and all its chunks before the snapshot was taken, so that nothing in the
    target is newer than it: a holder that differs has an event in the log which is not applied yet, and which writes it
    again. span: the ordinals of the staged rows that are meant, if not all. Raises RecordError when a holder does not
    differ: two source rows want one value.
    """
    if holders:
        keys = sorted(tuple(str(value) for value in key) for key in holders)
        found = reading.rows(mapped.table, mapped.form, mapped.columns, keys)
        transaction.evict(mapped, text_rows(mapped, keys, found), span)
