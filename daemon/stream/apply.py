"""The stream's heart: one batch, one target transaction.

gate -> lock positions -> view -> decide -> stage, project, merge -> advance. Decisions are in `handover`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.change import Batch, Key, Slice
from connectors.chunks import Advance, Ledger
from connectors.control.dead_letters import NewLetter
from connectors.control.store import ControlStore
from connectors.seams import Source, Target, TargetTransaction
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.handover import SlicePlan, plan_slice
from daemon.stream.buffer import split
from daemon.stream.dead_letters import DeadLetterDesk
from daemon.stream.guard import ShapeGuard
from daemon.stream.views import Views
from daemon.stream.work import Work
from mappers.errors import FatalError, RecordError


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
    guard: knows what the tables are. wait: called between looks at the source while a transaction of the batch is not
    yet visible there.
    """

    def __init__(
        self,
        tables: Mapping[str, MappedTable],
        partitions: Mapping[str, int],
        source: Source,
        target: Target,
        control: ControlStore,
        desk: DeadLetterDesk,
        guard: ShapeGuard,
        wait: Callable[[], None],
    ) -> None:
        self._tables = tables
        self._partitions = partitions
        self._source = source
        self._target = target
        self._control = control
        self._desk = desk
        self._guard = guard
        self._wait = wait
        self._views = Views(control, source)
        self._seen: Snapshot | None = None

    def apply(self, batch: Batch, *, isolate: bool = False) -> Applied:
        """Apply a batch, or as much of it as no chunk holds back. All or nothing.

        isolate: set rows that the target refuses aside as dead letters; a RecordError then has its place, and says why
        the row was not set aside.

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
            filtered, refused = self._write(transaction, planned, applied, isolate=isolate)
            applied.advances = [_advance(p, filtered[i], refused[i]) for i, p in enumerate(planned)]
            self._control.positions.advance(transaction.control, [a for a in applied.advances if a.end > a.start])
        return applied

    def _gate(self, batch: Batch) -> int:
        """Rule 2: every transaction of the batch is visible at the source before the target transaction begins.

        The tables are looked at again in the same snapshot: none of them was altered before what is in the batch.
        """
        xids: dict[str, set[int]] = {}
        for part in batch.slices:
            if part.table:
                mine = xids.setdefault(part.table, set())
                mine.update(change.xid for change in part.changes if change.xid is not None)
        seen = self._guard.look(self._guard.unseen(xids))
        while unseen := self._guard.unseen(xids):
            self._wait()
            seen = self._guard.look(unseen)
        self._seen = seen or self._seen or self._source.snapshot()
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
            again = self._guard.read_again(part.table, part.partition)
            view = self._views.of(transaction.control, mapped, state.version, part.changes, reference, again)
            planned.append(Planned(part, plan_slice(part.changes, view, water)))
        return planned, paused

    def _write(
        self, transaction: TargetTransaction, planned: Sequence[Planned], applied: Applied, *, isolate: bool
    ) -> tuple[Counter[int], Counter[int]]:
        """Write what was decided; returns slice number -> keys that the mapping filters out, and that are set aside."""
        filtered: Counter[int] = Counter()
        refused: Counter[int] = Counter()
        for name in dict.fromkeys(p.part.table for p in planned if p.part.table):
            mapped = self._tables[name]
            mine = [(i, p.plan) for i, p in enumerate(planned) if p.part.table == name]
            if any(plan.truncate for _, plan in mine):
                self._truncate(transaction, mapped)
            self._park(transaction, mapped, mine)
            work = Work(mapped, mine, transaction, self._source, self._control)
            letters = _Letters(self._desk, transaction, mapped, planned)
            filtered.update(work.write(letters.refuse if isolate else None))
            refused.update(letters.put())
            for reason, rows in work.resynced.items():
                applied.resynced[name, reason] = rows
        return filtered, refused

    def _park(self, transaction: TargetTransaction, mapped: MappedTable, mine: Sequence[tuple[int, SlicePlan]]) -> None:
        parked = {mapped.form.name(key): count for _, plan in mine for key, count in plan.parked.items()}
        self._control.dead_letters.park(transaction.control, mapped.name, parked)

    def _truncate(self, transaction: TargetTransaction, mapped: MappedTable) -> None:
        """Rule 10: empty the target and read every chunk anew. Only one partition has an order to do that in."""
        if self._partitions[mapped.name] > 1:
            targets = " ".join(f"--rebackfill {entry.target.full_name}" for entry in mapped.entries[:1])
            raise FatalError(
                "the table was truncated, and its topic has several partitions, so that the truncate has no order",
                where=f"table {mapped.name}",
                hint=f"run once with {targets}: its rows are made anew; a table that is truncated often is better off "
                "in a pipeline of its own, with kafka.partitions: 1",
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


class _Letters:
    """The rows of one table that are set aside in one transaction."""

    def __init__(
        self, desk: DeadLetterDesk, transaction: TargetTransaction, mapped: MappedTable, planned: Sequence[Planned]
    ) -> None:
        self._desk = desk
        self._connection = transaction.control
        self._mapped = mapped
        self._planned = planned
        self._letters: list[NewLetter] = []
        self._owners: list[int] = []

    def refuse(self, number: int, key: Key, error: RecordError) -> None:
        """Keep a key of slice `number` for `put`. Raises where there are too many."""
        found = self._planned[number]
        self._letters.append(self._desk.of_event(self._mapped, found.part, found.plan.taken, key, error))
        self._owners.append(number)
        self._desk.admit(self._connection, self._letters, error)

    def put(self) -> list[int]:
        """Write the letters; returns the slice number of each."""
        self._desk.put(self._connection, self._letters)
        return self._owners


def _all_control(part: Slice, water: tuple[int, int]) -> SlicePlan:
    count = len(part.changes)
    return SlicePlan({}, count, False, False, water, 0, 0, 0, count)


def _rest(planned: Planned) -> Slice:
    _, rest = split(planned.part, planned.plan.taken)
    return rest


def _advance(planned: Planned, filtered: int, refused: int) -> Advance:
    part, plan = planned.part, planned.plan
    taken = part.changes[: plan.taken]
    ledger = Ledger(
        consumed=len(taken),
        applied=plan.applied - filtered - refused,
        superseded=plan.superseded,
        already_loaded=plan.already_loaded,
        filtered=filtered,
        control=plan.control,
        held=sum(plan.parked.values()),
        dead_lettered=refused,
    )
    time_us = max((change.commit_us for change in taken), default=0)
    return Advance(part.topic, part.partition, part.start, planned.end, plan.high_water, ledger, time_us)
