"""Those who move data: stream workers, chunk workers, a resync; and the operator, who asks for re-reads.

Every method that takes an argument is one atomic step. Between two steps of an actor anything else may happen. The
actors decide nothing: they ask `daemon.handover`, by module, so that a test can put another decision in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto

from connectors.change import Change, Key, Row
from connectors.chunks import ChunkState
from connectors.snapshot import Snapshot
from daemon import handover
from daemon.handover import Action, Delete, Resync, SlicePlan, Upsert
from tests.model.target import Target
from tests.model.world import Budget, Reading, Source, Step, Violation

FETCHES = (1, 2, 4, 8)
UNFINISHED = (ChunkState.READING, ChunkState.REREADING)


class Phase(Enum):
    """How far a worker has come."""

    IDLE = auto()
    WAITING = auto()
    FETCHED = auto()
    LOCKED = auto()
    PLANNED = auto()
    READY = auto()
    CLAIMED = auto()
    SNAPPED = auto()
    RECORDED = auto()
    READ = auto()


class StreamWorker:
    """Applies one partition. Two may believe they own it: one of them is a zombie."""

    def __init__(self, name: str, number: int, target: Target, budget: Budget) -> None:
        self.name = name
        self.number = number
        self.target = target
        self.budget = budget
        self.log = target.connector.partitions[number]
        self.phase = Phase.IDLE
        self.known: Snapshot | None = None
        """The source snapshot this worker has cached (rule 2)."""
        self.start = 0
        self.changes: Sequence[Change] = ()
        self.plan: SlicePlan | None = None
        self.reading: Reading | None = None
        self.rows: Mapping[Key, Row] = {}
        """What the source said where events were not enough, and the snapshot it said it in."""
        self.held_at = -1
        """The version of the control state at which nothing at all could be taken."""

    def offer(self, steps: list[Step], trouble: list[Step]) -> None:
        """The next step of this worker, or its crash."""
        if self.phase is Phase.IDLE:
            self._offer_fetch(steps)
            return
        if self.budget.crashes:
            trouble.append(Step(self.name, "crash", self.crash, 0))
        if self.phase is Phase.WAITING:
            if self.known is not self.target.source.current().snapshot:
                steps.append(Step(self.name, "refresh", self.refresh, 0))
        elif self.phase is Phase.READY:
            self._offer_commit(steps, trouble)
        elif self.phase is self._before_lock():
            if self.target.partitions[self.number].owner is None:
                steps.append(Step(self.name, "lock", self.lock, self.start))
        else:
            steps.append(Step(self.name, "plan", self.make_plan, 0))

    def _before_lock(self) -> Phase:
        return Phase.FETCHED if self.target.discipline.position_before_view else Phase.PLANNED

    def _offer_fetch(self, steps: list[Step]) -> None:
        if self.held_at == self.target.version:
            return
        waiting = len(self.log) - self.target.partitions[self.number].position
        for size in FETCHES:
            if size <= waiting or size < 2 * waiting:
                steps.append(Step(self.name, "fetch", self.fetch, min(size, waiting)))

    def _offer_commit(self, steps: list[Step], trouble: list[Step]) -> None:
        if self.reading is None and self._needs_source():
            if self.target.source.may_lock():
                steps.append(Step(self.name, "re-read", self.reread, 0))
            return
        steps.append(Step(self.name, "commit", self.commit, 0))
        assert self.plan is not None
        if self.budget.letters and self.plan.actions:
            trouble.append(Step(self.name, "commit, one row refused", self.commit_refused, 0))
        if self.budget.crashes:
            trouble.append(Step(self.name, "commit, answer lost", self.commit_unheard, 0))

    def fetch(self, size: int) -> None:
        """Take the next events from the position in the target."""
        self.start = self.target.partitions[self.number].position
        self.changes = self.log[self.start : self.start + size]
        self._gate()

    def refresh(self, _: int) -> None:
        """Ask the source for its snapshot again."""
        self.known = self.target.source.current().snapshot
        self._gate()

    def _gate(self) -> None:
        xids = [change.xid for change in self.changes if change.xid is not None]
        waits = self.known is None or handover.must_wait_for(xids, self.known)
        self.phase = Phase.WAITING if waits else Phase.FETCHED

    def lock(self, start: int) -> None:
        """Begin the target transaction: compare-and-set the position, which also locks it (rule 6)."""
        partition = self.target.partitions[self.number]
        if self.target.discipline.compare_and_set and partition.position != start:
            self._rest()
            return
        partition.owner = self.name
        self.phase = Phase.LOCKED if self.plan is None else Phase.READY

    def make_plan(self, _: int) -> None:
        """Read the control state and decide."""
        assert self.known is not None
        view = self.target.view(self.known)
        self.plan = handover.plan_slice(self.changes, view, self.target.partitions[self.number].high_water)
        if self.plan.truncate and len(self.target.partitions) > 1:
            self.target.stopped = True  # it has no order among the partitions
            self.plan = replace(self.plan, taken=0)
        if self.plan.taken == 0:
            self.held_at = self.target.version
            self._rest()
            return
        self.phase = Phase.READY if self.phase is Phase.LOCKED else Phase.PLANNED

    def _needs_source(self) -> bool:
        assert self.plan is not None
        return any(self._lacks_row(key, action) for key, action in self.plan.actions.items())

    def _lacks_row(self, key: Key, action: Action) -> bool:
        if isinstance(action, Upsert):
            return bool(action.missing) and key not in self.target.rows
        return isinstance(action, Resync)

    def reread(self, _: int) -> None:
        """Read the source for the keys whose events are not enough (rules 11 and 12), all in one snapshot."""
        self.reading = self.target.source.current()
        self.rows = self.target.source.read(self.reading)

    def commit(self, _: int) -> None:
        """Rows, fences and the position in one transaction."""
        assert self.plan is not None
        if self.plan.truncate:
            self.target.truncate()
        for key, action in self.plan.actions.items():
            self._write(key, action)
        self.target.advance(self.number, self.start, self.plan)
        self._rest()

    def commit_refused(self, _: int) -> None:
        """The target refuses the first row: it is set aside in the same transaction."""
        assert self.plan is not None
        self.budget.letters -= 1
        actions = dict(self.plan.actions)
        refused = next(iter(actions))
        del actions[refused]
        self.plan = replace(self.plan, actions=actions)
        self.target.letters.add(refused)
        self.commit(0)

    def commit_unheard(self, _: int) -> None:
        """The commit holds but its answer is lost: the worker tries the same slice again."""
        self.budget.crashes -= 1
        self.commit(0)
        self.phase = Phase.FETCHED

    def crash(self, _: int) -> None:
        """Forget everything; the transaction is rolled back."""
        self.budget.crashes -= 1
        self.known = None
        self._rest()

    def _write(self, key: Key, action: Action) -> None:
        if self._lacks_row(key, action):
            assert self.reading is not None
            self.target.resync(key, self.rows.get(key), self.reading.snapshot)
        elif isinstance(action, Delete):
            self.target.write(key, None)
        elif isinstance(action, Upsert):
            row = self._completed(key, action)
            self._check_not_back(key, row)
            self.target.write(key, row)

    def _check_not_back(self, key: Key, row: Row) -> None:
        there = self.target.rows.get(key)
        if there is not None and int(str(row[0])) < int(str(there[0])):
            raise Violation(f"key {key} goes back from {there} to {row}")

    def _completed(self, key: Key, action: Upsert) -> Row:
        if not action.missing:
            return action.row
        there = self.target.rows[key]
        return tuple(there[column] if column in action.missing else value for column, value in enumerate(action.row))

    def _rest(self) -> None:
        partition = self.target.partitions[self.number]
        if partition.owner == self.name:
            partition.owner = None
        self.plan = self.reading = None
        self.phase = Phase.IDLE


class ChunkWorker:
    """Reads chunks (rule 5). One whose claim expired does not know it, and goes on."""

    def __init__(self, name: str, target: Target, budget: Budget) -> None:
        self.name = name
        self.target = target
        self.budget = budget
        self.phase = Phase.IDLE
        self.number = 0
        self.attempt = 0
        self.locked = False
        self.fenced: frozenset[Key] = frozenset()
        self.reading: Reading | None = None
        self.rows: dict[Key, Row] = {}

    def offer(self, steps: list[Step], trouble: list[Step]) -> None:
        """The next step of this worker, or its death."""
        if self.phase is Phase.IDLE:
            self._offer_claims(steps)
            return
        if self.budget.crashes:
            trouble.append(Step(self.name, "die", self.die, self.number))
        if self.phase is Phase.CLAIMED:
            if self.target.source.may_lock() or not self.target.discipline.table_lock_before_snapshot:
                steps.append(Step(self.name, "snapshot", self.snap, self.number))
        elif self.phase is Phase.SNAPPED:
            steps.append(Step(self.name, "record", self.record, self.number))
        elif self.phase is Phase.RECORDED:
            steps.append(Step(self.name, "read", self.read, self.number))
        else:
            steps.append(Step(self.name, "finish", self.finish, self.number))
            if self.budget.letters and self.rows:
                trouble.append(Step(self.name, "finish, one row refused", self.finish_refused, self.number))

    def _offer_claims(self, steps: list[Step]) -> None:
        if not self.target.started():
            return
        for number, cell in enumerate(self.target.chunks):
            if handover.claimed(cell.state) is not None and self.target.resyncing != number:
                steps.append(Step(self.name, "claim", self.claim, number))

    def claim(self, number: int) -> None:
        """Commit the claim, and note which keys are fenced."""
        self.number = number
        self.phase = Phase.CLAIMED
        self.attempt = self.target.chunks[number].attempt + 1
        self.fenced = frozenset(self.target.fences)
        if self.target.discipline.claim_before_snapshot:
            self._put_claim()

    def _put_claim(self) -> None:
        cell = self.target.chunks[self.number]
        state = handover.claimed(cell.state)
        if state is None:
            return
        if cell.finished and not cell.asked:
            raise Violation(f"chunk {self.number} was finished and is read again unasked")
        cell.state, cell.attempt, cell.snapshot = state, self.attempt, None
        self.target.version += 1

    def snap(self, _: int) -> None:
        """Lock the table at the source, then take the snapshot."""
        if self.target.discipline.table_lock_before_snapshot:
            self._lock_table()
        self.reading = self.target.source.current()
        self.phase = Phase.SNAPPED

    def record(self, _: int) -> None:
        """Commit the snapshot into the chunk's row."""
        assert self.reading is not None
        if not self.target.discipline.claim_before_snapshot:
            self._put_claim()
        if not self._still_mine():
            self._rest()
            return
        self.target.chunks[self.number].snapshot = self.reading.snapshot
        self.target.version += 1
        self.phase = Phase.RECORDED

    def read(self, _: int) -> None:
        """Read the rows, except those of fenced keys, and leave the source."""
        assert self.reading is not None
        keys = self._keys()
        self.rows = {key: row for key, row in self.target.source.read(self.reading).items() if key in keys}
        self._unlock_table()
        self.phase = Phase.READ

    def finish(self, _: int) -> None:
        """Rows and `done` in one transaction, if the claim still holds."""
        assert self.reading is not None
        if self._still_mine():
            cell = self.target.chunks[self.number]
            self._write(plain=cell.state is ChunkState.READING)
            cell.state, cell.snapshot = ChunkState.DONE, self.reading.snapshot
            cell.finished, cell.asked = True, False
            self.target.version += 1
        self._rest()

    def finish_refused(self, _: int) -> None:
        """The target refuses the first row: it is set aside in the same transaction."""
        refused = next(iter(self.rows))
        if self._still_mine():
            self.budget.letters -= 1
            del self.rows[refused]
            self.target.letters.add(refused)
        self.finish(0)

    def die(self, _: int) -> None:
        """The process is gone, its claim stays until it expires."""
        self.budget.crashes -= 1
        self._rest()

    def holds(self, number: int) -> bool:
        """Whether this worker is at the chunk's current attempt."""
        mine = self.phase is not Phase.IDLE and self.number == number
        return mine and self.attempt == self.target.chunks[number].attempt

    def _keys(self) -> list[Key]:
        keys = self.target.chunk_keys(self.number)
        if not self.target.discipline.chunk_leaves_fenced_keys:
            return keys
        return [key for key in keys if key not in self.fenced]

    def _write(self, *, plain: bool) -> None:
        if not plain:
            for key in self._keys():
                self.target.write(key, None)
        for key, row in self.rows.items():
            if key in self.target.rows:
                raise Violation(f"chunk {self.number} inserts {key}, which is there already")
            self.target.write(key, row)

    def _still_mine(self) -> bool:
        cell = self.target.chunks[self.number]
        return handover.may_finish(cell.state, cell.attempt, self.attempt)

    def _lock_table(self) -> None:
        self.locked = True
        self.target.source.readers += 1

    def _unlock_table(self) -> None:
        if self.locked:
            self.locked = False
            self.target.source.readers -= 1

    def _rest(self) -> None:
        self._unlock_table()
        self.phase = Phase.IDLE


class Resyncer:
    """Reads single keys again, for whatever reason (rule 8)."""

    def __init__(self, target: Target, budget: Budget) -> None:
        self.name = "resync"
        self.target = target
        self.budget = budget
        self.phase = Phase.IDLE
        self.key: Key = ()
        self.reading: Reading | None = None
        self.row: Row | None = None

    def offer(self, steps: list[Step], trouble: list[Step]) -> None:
        """The next step of the resync that is under way, or the begin of one."""
        if self.phase is Phase.LOCKED:
            if self.target.source.may_lock():
                steps.append(Step(self.name, "read", self.read, 0))
        elif self.phase is Phase.READ:
            steps.append(Step(self.name, "commit", self.commit, 0))
        elif self.target.started() and self._may_lock():
            for key in range(self.target.keys):
                if not handover.may_resync(self.target.chunks[self.target.chunk_number((key,))].record()):
                    continue
                if (key,) in self.target.letters:
                    steps.append(Step(self.name, "settle", self.settle, key))
                elif self.budget.resyncs:
                    trouble.append(Step(self.name, "begin", self.begin_unasked, key))

    def _may_lock(self) -> bool:
        return self.target.unlocked() or not self.target.discipline.resync_locks_positions

    def settle(self, key: int) -> None:
        """A dead letter is retried: the row is read again."""
        if not self.target.discipline.letter_is_closed_by_a_resync:
            self.target.letters.discard((key,))
            self.target.version += 1
            return
        self.begin(key)

    def begin_unasked(self, key: int) -> None:
        """Somebody asks for a row that has nothing wrong with it."""
        self.budget.resyncs -= 1
        self.begin(key)

    def begin(self, key: int) -> None:
        """Share-lock the chunk's row and lock the table's checkpoint rows."""
        self.key = (key,)
        self.target.resyncing = self.target.chunk_number(self.key)
        if self.target.discipline.resync_locks_positions:
            for partition in self.target.partitions:
                partition.owner = self.name
        self.phase = Phase.LOCKED

    def read(self, _: int) -> None:
        """Read the row at the source, in a snapshot."""
        self.reading = self.target.source.current()
        self.row = self.target.source.read(self.reading).get(self.key)
        self.phase = Phase.READ

    def commit(self, _: int) -> None:
        """Row and fence in one transaction."""
        assert self.reading is not None
        self.target.resync(self.key, self.row, self.reading.snapshot)
        self.target.resyncing = None
        for partition in self.target.partitions:
            if partition.owner == self.name:
                partition.owner = None
        self.phase = Phase.IDLE


class Operator:
    """Lets claims expire, and asks for chunks to be read again."""

    def __init__(self, target: Target, workers: Sequence[ChunkWorker], budget: Budget) -> None:
        self.target = target
        self.source: Source = target.source
        self.workers = workers
        self.budget = budget

    def offer(self, steps: list[Step], trouble: list[Step]) -> None:
        """A claim that nobody holds must expire, a stream that stopped is started again; the rest may happen."""
        if self.target.stopped and self.target.unlocked():
            steps.append(Step("operator", "rebackfill", self.rebackfill, 0))
        for number, cell in enumerate(self.target.chunks):
            if cell.state in UNFINISHED:
                if not any(worker.holds(number) for worker in self.workers):
                    steps.append(Step("operator", "expire orphan", self.expire, number))
                elif self.budget.expiries:
                    trouble.append(Step("operator", "expire", self.expire_early, number))
            elif cell.state is ChunkState.DONE and self.budget.rereads and self._may_lock():
                trouble.append(Step("operator", "again", self.again, number))

    def rebackfill(self, _: int) -> None:
        """The stream has met a truncate that it cannot place: everything is made anew, with the truncate in it."""
        self.target.stopped = False
        self.target.truncate()
        self.target.version += 1

    def expire(self, number: int) -> None:
        """Take the claim away."""
        cell = self.target.chunks[number]
        cell.state, cell.snapshot = handover.expired(cell.state), None
        self.target.version += 1

    def expire_early(self, number: int) -> None:
        """Take the claim away from a worker that is only slow."""
        self.budget.expiries -= 1
        self.expire(number)

    def _may_lock(self) -> bool:
        return self.target.unlocked() or not self.target.discipline.again_locks_positions

    def again(self, number: int) -> None:
        """Rule 9: under the checkpoint locks, drop the chunk's fences and have it read once more."""
        self.budget.rereads -= 1
        for key in self.target.chunk_keys(number):
            self.target.fences.pop(key, None)
        cell = self.target.chunks[number]
        cell.state, cell.snapshot, cell.asked = ChunkState.AGAIN, None, True
        self.target.version += 1


class Sweeper:
    """Drops key fences behind a barrier (rule 14), while everything else goes on."""

    def __init__(self, target: Target, budget: Budget) -> None:
        self.name = "fences"
        self.target = target
        self.source: Source = target.source
        self.budget = budget
        self.phase = Phase.IDLE
        self.before = Snapshot(0, 0)
        self.sentinel = self.place = 0
        self.ends: Mapping[int, int] = {}

    def offer(self, steps: list[Step], trouble: list[Step]) -> None:
        """The next step of the sweep that is under way, or the begin of one."""
        if self.phase is Phase.IDLE:
            done = all(cell.state is ChunkState.DONE for cell in self.target.chunks)
            if self.budget.forgets and done and self.target.fences:
                trouble.append(Step(self.name, "snapshot", self.snap, 0))
        elif self.phase is Phase.SNAPPED:
            steps.append(Step(self.name, "sentinel", self.send, 0))
        elif self.phase is Phase.WAITING:
            if self.target.connector.emitted >= self.place:
                steps.append(Step(self.name, "note the ends", self.note_ends, 0))
        elif self.target.unlocked() and handover.reached(self._positions(), self.ends):
            steps.append(Step(self.name, "drop", self.drop, 0))

    def _positions(self) -> dict[int, int]:
        return {number: partition.position for number, partition in enumerate(self.target.partitions)}

    def snap(self, _: int) -> None:
        """A snapshot of the source first: what it sees is in the log before the sentinel."""
        self.budget.forgets -= 1
        self.before = self.source.current().snapshot
        self.phase = Phase.SNAPPED

    def send(self, _: int) -> None:
        """Write the sentinel into the log."""
        self.source.lsn += 1
        self.sentinel, self.place = self.source.lsn, len(self.source.log)
        self.phase = Phase.WAITING

    def note_ends(self, _: int) -> None:
        """The connector has sent what was before the sentinel: that is below these ends."""
        self.ends = {number: len(log) for number, log in enumerate(self.target.connector.partitions)}
        self.phase = Phase.READY

    def drop(self, _: int) -> None:
        """Under the locks of the positions: what is older than the barrier is an old copy from now on."""
        self.phase = Phase.IDLE
        if not handover.past_barrier([cell.record() for cell in self.target.chunks], self.before):
            return
        old = handover.droppable(self.target.fences.values(), self.before)
        self.target.fences = {key: fence for key, fence in self.target.fences.items() if fence not in old}
        if self.target.discipline.barrier_raises_high_water:
            for partition in self.target.partitions:
                partition.high_water = max(partition.high_water, (self.sentinel, 0))
        self.target.version += 1
