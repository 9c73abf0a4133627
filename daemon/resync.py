"""Resync (rule 8): keys are read from the source again under a fence, and merged. Repair, dead-letter retries and moves
on demand are this; the stream uses it where an event alone is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from connectors.control import ControlStore
from connectors.postgresql.keys import name_of
from connectors.seams import Source, StagedText, Target, TargetTransaction, TextRow
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.claims import release_abandoned
from daemon.handover import Chunk, may_resync
from mappers.errors import FatalError

ROUNDS_MAX = 20
"""How often the circle of rows that exchange a unique value may grow before it is called a real conflict."""

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

        exchange: also re-read every row that holds a unique value one of these rows needs, and write all of them
        together, deleting first. Raises FatalError when the conflict is the source's own.
        """
        wanted = [tuple(key) for key in dict.fromkeys(tuple(key) for key in keys)]
        while True:
            with self._target.begin() as transaction:
                if self._quiet(transaction, mapped, wanted):
                    return self._write(transaction, mapped, wanted, exchange=exchange)
            with self._target.begin() as transaction:
                release_abandoned(self._control, transaction.control)
            self._wait()

    def _quiet(self, transaction: TargetTransaction, mapped: MappedTable, keys: Sequence[Texts]) -> bool:
        """Lock the table's positions, then share-lock the keys' chunks; False while one of those is being read.

        Positions before chunks, everywhere: a truncate takes them in the same order.
        """
        self._control.lock_table(transaction.control, mapped.name)
        self._control.versions(transaction.control)
        rows = self._control.chunks(transaction.control, mapped.name)
        bounds = [row.lower for row in rows if row.lower is not None]
        numbers = set(self._source.locate(mapped.table, mapped.form, bounds, keys)) if bounds else {0}
        locked = self._control.share_chunks(transaction.control, mapped.name, numbers)
        return all(may_resync(Chunk(row.state, row.snapshot)) for row in locked)

    def _write(
        self, transaction: TargetTransaction, mapped: MappedTable, keys: Sequence[Texts], *, exchange: bool
    ) -> Snapshot:
        circle = dict.fromkeys(tuple(key) for key in keys)
        for _ in range(ROUNDS_MAX):
            wanted = list(circle)
            snapshot, found = self._source.rows_by_key(mapped.table, mapped.form, mapped.text_columns, wanted)
            rows = text_rows(mapped, wanted, found)
            more = transaction.conflicting(mapped, rows) - circle.keys() if exchange else set()
            if not more:
                transaction.merge_text(mapped, rows, replace=exchange)
                self._control.put_fences(transaction.control, mapped.name, [name_of(key) for key in wanted], snapshot)
                return snapshot
            circle.update(dict.fromkeys(tuple(str(value) for value in key) for key in more))
        raise FatalError(
            f"{len(circle)} rows exchange unique values and their circle keeps growing",
            where=f"table {mapped.name}",
            hint="compare the target's unique constraints with the source's",
        )
