"""Uniqueness conflicts of a batch: its keys are read again, in one snapshot, and what holds their values makes room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from connectors.change import Batch, Key
from connectors.control.store import ControlStore
from connectors.seams import Target
from connectors.tables import MappedTable
from daemon.resync.keys import Resyncer
from daemon.stream.dead_letters import DeadLetterDesk
from daemon.stream.isolate import isolate
from mappers.errors import ConflictError, RecordError


class Exchanger:
    """Resolves conflicts in transactions of its own, before the batch is applied again. One thread only.

    Rows that cannot be resolved, since two source rows want one value, are set aside. counted: told of keys read again.
    """

    def __init__(
        self,
        tables: Mapping[str, MappedTable],
        target: Target,
        control: ControlStore,
        resyncer: Resyncer,
        desk: DeadLetterDesk,
        counted: Callable[[str, int], None],
    ) -> None:
        self._tables = tables
        self._target = target
        self._control = control
        self._resyncer = resyncer
        self._desk = desk
        self._counted = counted

    def __call__(self, batch: Batch, error: ConflictError, *, stubborn: bool) -> None:
        """Read again the keys of the batch that feed the table of the conflict.

        stubborn: that did not help so far, so that a key which conflicts by itself is set aside. Raises RecordError
        where a row may not be set aside.
        """
        for name, keys in self._keys(batch, error.table).items():
            mapped = self._tables[name]

            def attempt(some: Sequence[Key], mapped: MappedTable = mapped) -> None:
                self._resync(mapped, some, stubborn=stubborn)

            def refuse(key: Key, error: RecordError, mapped: MappedTable = mapped) -> None:
                self._set_aside(mapped, batch, key, error)

            isolate(keys, attempt, refuse)
            self._counted(name, len(keys))

    def _keys(self, batch: Batch, target_table: str) -> dict[str, list[Key]]:
        """Source table -> keys of the batch that feed this target table."""
        found: dict[str, dict[Key, None]] = {}
        for part in batch.slices:
            mapped = self._tables.get(part.table or "")
            if mapped and any(entry.target.full_name == target_table for entry in mapped.entries):
                found.setdefault(mapped.name, {}).update((change.key, None) for change in part.changes if change.key)
        return {name: list(keys) for name, keys in found.items()}

    def _resync(self, mapped: MappedTable, keys: Sequence[Key], *, stubborn: bool) -> None:
        try:
            self._resyncer.resync(mapped, [mapped.form.texts(key) for key in keys], exchange=True)
        except ConflictError as error:
            if not stubborn:
                raise
            raise RecordError(error.what, where=error.where, reason=error.reason) from error

    def _set_aside(self, mapped: MappedTable, batch: Batch, key: Key, error: RecordError) -> None:
        part = next(p for p in batch.slices if p.table == mapped.name and any(c.key == key for c in p.changes))
        letter = self._desk.of_event(mapped, part, len(part.changes), key, error)
        with self._target.begin() as transaction:
            self._control.positions.lock_table(transaction.control, mapped.name)
            self._control.tables.versions(transaction.control)
            if letter.key not in self._control.dead_letters.keys(transaction.control, mapped.name):
                self._desk.admit(transaction.control, [letter], error)
                self._desk.put(transaction.control, [letter])
