"""What is to be written of one source table in one target transaction: rows, deletions, and keys to read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from connectors.change import Key
from connectors.control.store import ControlStore
from connectors.seams import Source, Staged, TargetTransaction
from connectors.tables import MappedTable
from daemon.handover import Action, Delete, Resync, SlicePlan, Upsert
from daemon.resync.keys import text_rows
from daemon.stream.isolate import isolate
from mappers.errors import RecordError
from mappers.projection import affected

Item = TypeVar("Item")
Refuse = Callable[[int, Key, RecordError], None]
"""Told of a key that the target refuses: (slice number, key, why)."""


class Work:
    """The actions on one table in one transaction. Write once.

    plans: (slice number, plan) of the slices of this table.
    """

    def __init__(
        self,
        mapped: MappedTable,
        plans: Sequence[tuple[int, SlicePlan]],
        transaction: TargetTransaction,
        source: Source,
        control: ControlStore,
    ) -> None:
        self.resynced: dict[str, int] = {}
        self._mapped = mapped
        self._transaction = transaction
        self._source = source
        self._control = control
        self._owner: list[int] = []
        self._keys: list[Key] = []
        self._rows: list[Staged] = []
        self._partial: list[Staged] = []
        self._groups: dict[frozenset[int], int] = {}
        self._reread: dict[Key, tuple[int, str]] = {}
        self._filtered: list[int] = []
        for number, plan in plans:
            for key, action in plan.actions.items():
                self._add(number, key, action)

    def _add(self, number: int, key: Key, action: Action) -> None:
        if isinstance(action, Upsert) and not action.missing:
            self._rows.append(self._staged(number, key, False, 0, action.row))
        elif isinstance(action, Delete):
            self._rows.append(self._staged(number, key, True, 0, self._mapped.key_only(key)))
        elif isinstance(action, Resync):
            self._reread[key] = (number, action.reason)
        else:
            self._add_partial(number, key, action)

    def _add_partial(self, number: int, key: Key, action: Upsert) -> None:
        missing = self._names(action.missing)
        if any(affected(entry, missing).resync for entry in self._mapped.entries):
            self._reread[key] = (number, "value did not travel")
            return
        group = self._groups.setdefault(action.missing, len(self._groups) + 1)
        self._partial.append(self._staged(number, key, False, group, action.row))

    def _staged(self, number: int, key: Key, gone: bool, group: int, row: tuple[object, ...]) -> Staged:
        self._owner.append(number)
        self._keys.append(key)
        return (len(self._owner) - 1, gone, group, row)

    def _names(self, missing: frozenset[int]) -> frozenset[str]:
        return frozenset(self._mapped.columns[index] for index in missing)

    def write(self, refuse: Refuse | None = None) -> list[int]:
        """Merge everything; returns the slice number of each key that no entry takes.

        Raises RecordError for the first refused row; with `refuse`, finds them all, leaves them out, and tells of each.
        """
        if refuse is None:
            self._merge([*self._rows, *self._complete(self._partial)])
            self._resync(self._reread)
        else:
            self._write_isolated(refuse)
        return self._filtered

    def _write_isolated(self, refuse: Refuse) -> None:
        def refuse_row(row: Staged, error: RecordError) -> None:
            refuse(self._owner[row[0]], self._keys[row[0]], error)

        def refuse_key(key: Key, error: RecordError) -> None:
            refuse(self._reread[key][0], key, error)

        isolate(self._rows, self._attempt(self._merge), refuse_row)
        isolate(self._partial, self._attempt(lambda rows: self._merge(self._complete(rows))), refuse_row)
        wanted = list(self._reread)
        isolate(wanted, self._attempt(lambda keys: self._resync({key: self._reread[key] for key in keys})), refuse_key)

    def _attempt(self, write: Callable[[Sequence[Item]], None]) -> Callable[[Sequence[Item]], None]:
        """The same, all or nothing, and without a trace where it fails."""

        def attempt(items: Sequence[Item]) -> None:
            filtered = len(self._filtered)
            reread = dict(self._reread)
            try:
                with self._transaction.savepoint():
                    write(items)
            except RecordError:
                del self._filtered[filtered:]
                self._reread = reread
                raise

        return attempt

    def _merge(self, rows: Sequence[Staged]) -> None:
        if rows:
            groups = [self._names(missing) for missing in self._groups]
            ordinals = self._transaction.merge(self._mapped, rows, groups)
            self._filtered += [self._owner[number] for number in ordinals]

    def _complete(self, rows: Sequence[Staged]) -> list[Staged]:
        """Of rows that travelled in part: those that the target can complete. The others are read from the source."""
        if not rows:
            return []
        groups = [self._names(missing) for missing in self._groups]
        absent = self._transaction.absent(self._mapped, rows, groups)
        for number in absent:
            self._reread[self._keys[number]] = (self._owner[number], "row absent")
        return [row for row in rows if row[0] not in absent]

    def _resync(self, wanted: Mapping[Key, tuple[int, str]]) -> None:
        if not wanted:
            return
        mapped, keys = self._mapped, list(wanted)
        texts = [mapped.form.texts(key) for key in keys]
        snapshot, found = self._source.rows_by_key(mapped.table, mapped.form, mapped.columns, texts)
        ordinals = self._transaction.merge_text(mapped, text_rows(mapped, texts, found), replace=False)
        names = [mapped.form.name(key) for key in keys]
        self._control.fences.put(self._transaction.control, mapped.name, names, snapshot)
        self._filtered += [wanted[keys[number]][0] for number in ordinals]
        for _, reason in wanted.values():
            self.resynced[reason] = self.resynced.get(reason, 0) + 1
