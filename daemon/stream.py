"""The stream's heart: one batch, one target transaction.

gate -> lock positions -> view -> decide -> stage, project, merge -> advance. Decisions are in `handover`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.change import Batch, Key, Slice
from connectors.chunks import Advance, Ledger
from connectors.control.store import ControlStore
from connectors.seams import Source, Staged, Target, TargetTransaction
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.buffer import split
from daemon.handover import Action, Delete, Resync, SlicePlan, Upsert, must_wait_for, plan_slice
from daemon.resync import text_rows
from daemon.views import Views
from mappers.errors import FatalError
from mappers.projection import affected


@dataclass(frozen=True, slots=True)
class Planned:
    """A slice and what was decided about it."""

    part: Slice
    plan: SlicePlan

    @property
    def end(self) -> int:
        """The position after this transaction."""
        rest = self.plan.taken < len(self.part.changes)
        return self.part.changes[self.plan.taken].offset if rest else self.part.end


@dataclass
class Applied:
    """What one transaction did: where each partition stands, what is left over, and the numbers for the metrics."""

    advances: list[Advance]
    rest: list[Slice]
    resynced: dict[tuple[str, str], int] = field(default_factory=dict)


class Stream:
    """Applies batches. One thread only.

    tables: source table -> how it is handled. partitions: source table -> partitions of its topic.
    wait: called between looks at the source while a transaction of the batch is not yet visible there.
    """

    def __init__(
        self,
        tables: Mapping[str, MappedTable],
        partitions: Mapping[str, int],
        source: Source,
        target: Target,
        control: ControlStore,
        wait: Callable[[], None],
    ) -> None:
        self._tables = tables
        self._partitions = partitions
        self._source = source
        self._target = target
        self._control = control
        self._wait = wait
        self._views = Views(control, source)
        self._seen: Snapshot | None = None

    def apply(self, batch: Batch) -> Applied:
        """Apply a batch, or as much of it as no chunk holds back. All or nothing.

        Raises FencedError (another process owns a partition), ConflictError (read the keys involved again),
        TransientError (the outcome is unknown: read the positions before trying again), RecordError, FatalError.
        """
        reference = self._gate(batch)
        with self._target.begin() as transaction:
            stored = self._control.positions.lock(
                transaction.control, {(part.topic, part.partition): part.start for part in batch.slices}
            )
            waters = {where: position.high_water for where, position in stored.items()}
            planned, paused = self._plan(transaction, batch, waters, reference)
            applied = Applied([], paused + [_rest(p) for p in planned if p.plan.taken < len(p.part.changes)])
            filtered = self._write(transaction, planned, applied)
            applied.advances = [_advance(p, filtered.get(i, 0)) for i, p in enumerate(planned)]
            self._control.positions.advance(transaction.control, [a for a in applied.advances if a.end > a.start])
        return applied

    def keys(self, batch: Batch, target_table: str) -> dict[str, list[Key]]:
        """Source table -> keys of the batch that feed this target table: what a uniqueness conflict is resolved by."""
        found: dict[str, list[Key]] = {}
        for part in batch.slices:
            mapped = self._tables.get(part.table or "")
            if mapped and any(entry.target.full_name == target_table for entry in mapped.entries):
                found.setdefault(mapped.name, []).extend(change.key for change in part.changes if change.key)
        return found

    def _gate(self, batch: Batch) -> int:
        """Rule 2: every transaction of the batch is visible at the source before the target transaction begins."""
        xids = {change.xid for part in batch.slices if part.table for change in part.changes if change.xid is not None}
        if self._seen is None:
            self._seen = self._source.snapshot()
        if must_wait_for(xids, self._seen):
            self._seen = self._source.snapshot()
        while must_wait_for(xids, self._seen):
            self._wait()
            self._seen = self._source.snapshot()
        return self._seen.xmax

    def _plan(
        self,
        transaction: TargetTransaction,
        batch: Batch,
        waters: Mapping[tuple[str, int], tuple[int, int]],
        reference: int,
    ) -> tuple[list[Planned], list[Slice]]:
        """What was decided about each slice, and the slices of paused tables, about which nothing is."""
        states = self._control.tables.states(transaction.control)
        planned, paused = [], []
        for part in batch.slices:
            water = waters[part.topic, part.partition]
            if part.table is None:
                planned.append(Planned(part, _all_control(part, water)))
                continue
            mapped, state = self._tables[part.table], states[part.table]
            if state.paused:
                paused.append(part)
                continue
            view = self._views.of(transaction.control, mapped, state.version, part.changes, reference)
            planned.append(Planned(part, plan_slice(part.changes, view, water)))
        return planned, paused

    def _write(self, transaction: TargetTransaction, planned: Sequence[Planned], applied: Applied) -> dict[int, int]:
        """Write what was decided; returns slice number -> keys that the mapping filters out."""
        filtered: dict[int, int] = {}
        for name in dict.fromkeys(p.part.table for p in planned if p.part.table):
            mapped = self._tables[name]
            mine = [(i, p.plan) for i, p in enumerate(planned) if p.part.table == name]
            if any(plan.truncate for _, plan in mine):
                self._truncate(transaction, mapped)
            work = _Work(mapped, mine)
            for number in work.write(transaction, self._source, self._control, applied):
                filtered[number] = filtered.get(number, 0) + 1
        return filtered

    def _truncate(self, transaction: TargetTransaction, mapped: MappedTable) -> None:
        """Rule 10: empty the target and read every chunk anew. Only one partition has an order to do that in."""
        if self._partitions[mapped.name] > 1:
            raise FatalError(
                "the table was truncated, and its topic has several partitions, so that the truncate has no order",
                where=f"table {mapped.name}",
                hint="start over with `run --anew`, and with kafka.partitions: 1 for tables that are truncated",
            )
        kept = [entry.name for entry in mapped.entries if entry.not_empty == "keep"]
        if kept:
            raise FatalError(
                "the table was truncated, and its target keeps rows that are not this pipeline's",
                where=kept[0],
                hint="delete the pipeline's own rows by hand, and start it under another name",
            )
        self._control.restart_table(transaction.control, mapped.name)  # first: a chunk just finished is emptied too
        transaction.truncate(mapped)


class _Work:
    """The actions on one table in one transaction."""

    def __init__(self, mapped: MappedTable, plans: Sequence[tuple[int, SlicePlan]]) -> None:
        self._mapped = mapped
        self._owner: list[int] = []
        self._rows: list[Staged] = []
        self._partial: list[Staged] = []
        self._groups: dict[frozenset[int], int] = {}
        self._reread: dict[Key, tuple[int, str]] = {}
        self._keys: list[Key] = []
        for number, plan in plans:
            for key, action in plan.actions.items():
                self._add(number, key, action)

    def _add(self, number: int, key: Key, action: Action) -> None:
        if isinstance(action, Upsert) and not action.missing:
            self._stage(number, key, False, 0, action.row)
        elif isinstance(action, Delete):
            self._stage(number, key, True, 0, self._mapped.key_only(key))
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
        self._partial.append((len(self._owner), False, group, action.row))
        self._owner.append(number)
        self._keys.append(key)

    def _stage(self, number: int, key: Key, gone: bool, group: int, row: tuple[object, ...]) -> None:
        self._rows.append((len(self._owner), gone, group, row))
        self._owner.append(number)
        self._keys.append(key)

    def _names(self, missing: frozenset[int]) -> frozenset[str]:
        return frozenset(self._mapped.columns[index] for index in missing)

    def write(
        self, transaction: TargetTransaction, source: Source, control: ControlStore, applied: Applied
    ) -> list[int]:
        """Merge everything; returns the slice number of each key that no entry takes."""
        groups = [self._names(missing) for missing in self._groups]
        if self._partial:
            self._complete(transaction, groups)
        filtered: list[int] = []
        if self._rows:
            filtered += [self._owner[n] for n in transaction.merge(self._mapped, self._rows, groups)]
        if self._reread:
            filtered += self._resync(transaction, source, control)
            for _, reason in self._reread.values():
                label = (self._mapped.name, reason)
                applied.resynced[label] = applied.resynced.get(label, 0) + 1
        return filtered

    def _complete(self, transaction: TargetTransaction, groups: Sequence[frozenset[str]]) -> None:
        """Rows that travelled in part and have no target row are read from the source; the others can be merged."""
        absent = transaction.absent(self._mapped, self._partial, groups)
        for row in self._partial:
            if row[0] in absent:
                self._reread[self._keys[row[0]]] = (self._owner[row[0]], "row absent")
            else:
                self._rows.append(row)

    def _resync(self, transaction: TargetTransaction, source: Source, control: ControlStore) -> list[int]:
        keys = list(self._reread)
        texts = [self._mapped.form.texts(key) for key in keys]
        snapshot, found = source.rows_by_key(self._mapped.table, self._mapped.form, self._mapped.text_columns, texts)
        ordinals = transaction.merge_text(self._mapped, text_rows(self._mapped, texts, found), replace=False)
        control.fences.put(
            transaction.control, self._mapped.name, [self._mapped.form.name(key) for key in keys], snapshot
        )
        return [self._reread[keys[n]][0] for n in ordinals]


def _all_control(part: Slice, water: tuple[int, int]) -> SlicePlan:
    count = len(part.changes)
    return SlicePlan({}, count, False, False, water, 0, 0, 0, count)


def _rest(planned: Planned) -> Slice:
    _, rest = split(planned.part, planned.plan.taken)
    return rest


def _advance(planned: Planned, filtered: int) -> Advance:
    part, plan = planned.part, planned.plan
    taken = part.changes[: plan.taken]
    ledger = Ledger(
        consumed=len(taken),
        applied=plan.applied - filtered,
        superseded=plan.superseded,
        already_loaded=plan.already_loaded,
        filtered=filtered,
        control=plan.control,
    )
    time_us = max((change.commit_us for change in taken), default=0)
    return Advance(part.topic, part.partition, part.start, planned.end, plan.high_water, ledger, time_us)
