"""The target: its rows, and the control state that is committed with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.change import Key, Row, Sequence2
from connectors.chunks import ChunkState
from connectors.snapshot import Snapshot
from daemon import handover
from daemon.handover import Chunk, SlicePlan, View
from tests.model.world import DID_NOT_TRAVEL, Connector, Source, Violation


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the product's transactions must do around the decisions. Each can be switched off to show it is needed."""

    position_before_view: bool = True
    compare_and_set: bool = True
    chunk_leaves_fenced_keys: bool = True
    claim_before_snapshot: bool = True
    table_lock_before_snapshot: bool = True
    resync_locks_positions: bool = True
    resync_sets_fence: bool = True
    letter_is_closed_by_a_resync: bool = True
    again_locks_positions: bool = True
    truncate_resets_chunks: bool = True
    barrier_raises_high_water: bool = True
    first_high_water: Sequence2 = (0, 0)
    """Above every sequence whose commit is unknown (-1), so that such an event is always below."""


@dataclass(slots=True)
class ChunkCell:
    """A chunk's row. `finished`: its rows are in the target; `asked`: it was asked to be read again."""

    state: ChunkState = ChunkState.PENDING
    attempt: int = 0
    snapshot: Snapshot | None = None
    finished: bool = False
    asked: bool = False

    def record(self) -> Chunk:
        """The chunk as the stream sees it."""
        return Chunk(self.state, self.snapshot)


@dataclass(slots=True)
class Partition:
    """A checkpoint row. `owner` is the actor whose transaction has it locked."""

    position: int
    high_water: Sequence2
    start: int
    owner: str | None = None
    taken: int = 0


@dataclass(slots=True)
class Target:
    """Everything the target's database holds. `version` moves with every change of the control state."""

    source: Source
    connector: Connector
    keys: int
    discipline: Discipline
    chunks: list[ChunkCell]
    rows: dict[Key, Row] = field(default_factory=dict)
    fences: dict[Key, Snapshot] = field(default_factory=dict)
    letters: set[Key] = field(default_factory=set)
    """Keys whose dead letter is open."""
    partitions: list[Partition] = field(default_factory=list)
    noted_xid: int | None = None
    version: int = 0
    stopped: bool = False
    """A stream worker met a truncate that has no order."""
    resyncing: int | None = None
    """The chunk whose row a resync has share-locked."""
    _started: bool = False

    def note(self, _: int) -> None:
        """Rule 1: note the end offsets first, then a transaction id."""
        high_water = self.discipline.first_high_water
        self.partitions = [Partition(len(log), high_water, len(log)) for log in self.connector.partitions]
        self.noted_xid = self.source.note_xid()

    def started(self) -> bool:
        """Whether the source may be read (rule 1); stays true."""
        if not self._started and self.noted_xid is not None:
            self._started = handover.may_start(self.source.current().snapshot, self.noted_xid)
        return self._started

    def unlocked(self) -> bool:
        """Whether no transaction holds a checkpoint row."""
        return all(partition.owner is None for partition in self.partitions)

    def chunk_number(self, key: Key) -> int:
        """The chunk of a key: ranges over the whole key space."""
        return int(str(key[0])) * len(self.chunks) // self.keys

    def chunk_keys(self, number: int) -> list[Key]:
        """The keys of a chunk."""
        return [(key,) for key in range(self.keys) if self.chunk_number((key,)) == number]

    def view(self, source: Snapshot) -> View:
        """What the stream reads after it has locked its position (rule 6)."""
        chunks = [cell.record() for cell in self.chunks]
        fences_end = max((fence.xmax for fence in self.fences.values()), default=0)
        return View(
            chunk_of=lambda key: chunks[self.chunk_number(key)],
            fences=dict(self.fences),
            parked=frozenset(self.letters),
            settled_from=handover.settled_from(chunks, len(self.fences), fences_end),
            reference=source.xmax,
            emptied=lambda xid: handover.decide_truncate(xid, chunks, self.fences.values()),
        )

    def write(self, key: Key, row: Row | None) -> None:
        """Write or delete one row."""
        if row is None:
            self.rows.pop(key, None)
        elif DID_NOT_TRAVEL in row:
            raise Violation(f"a placeholder was written to {key}")
        else:
            self.rows[key] = row

    def resync(self, key: Key, row: Row | None, snapshot: Snapshot) -> None:
        """Rule 8: write the source's row as of a snapshot, and fence the key with it."""
        self.write(key, row)
        self.letters.discard(key)
        if self.discipline.resync_sets_fence:
            self.fences[key] = snapshot
        self.version += 1

    def truncate(self) -> None:
        """Rule 10. Attempts go on counting, so that a claim from before cannot finish."""
        self.rows.clear()
        self.letters.clear()
        if not self.discipline.truncate_resets_chunks:
            return
        self.fences.clear()
        for cell in self.chunks:
            cell.state, cell.snapshot, cell.finished, cell.asked = ChunkState.PENDING, None, False, False

    def advance(self, number: int, start: int, plan: SlicePlan) -> None:
        """Move a position in the transaction that wrote the rows."""
        partition = self.partitions[number]
        if (
            plan.applied + plan.superseded + plan.already_loaded + plan.control + sum(plan.parked.values())
            != plan.taken
        ):
            raise Violation(f"the ledger of a slice does not add up: {plan}")
        partition.position = start + plan.taken
        partition.high_water = plan.high_water
        partition.taken += plan.taken
        self.version += 1

    def check_complete(self) -> None:
        """Everything has been read, sent and taken: the target must be the source."""
        self._check_nothing_waits()
        rows = self.source.read(self.source.current())
        for key in sorted(rows.keys() | self.rows.keys(), key=str):
            if rows.get(key) != self.rows.get(key):
                raise Violation(f"key {key}: source {rows.get(key)}, target {self.rows.get(key)}")
        for number, partition in enumerate(self.partitions):
            if partition.start + partition.taken != partition.position:
                raise Violation(f"partition {number}: {partition.taken} events taken from {partition.start}")

    def _check_nothing_waits(self) -> None:
        if self.letters:
            raise Violation(f"stuck: dead letters of {sorted(self.letters, key=str)} are open")
        unfinished = [number for number, cell in enumerate(self.chunks) if cell.state is not ChunkState.DONE]
        if unfinished:
            raise Violation(f"stuck: chunks {unfinished} are not done and nobody can go on")
        for partition, log in zip(self.partitions, self.connector.partitions, strict=True):
            if partition.position != len(log):
                raise Violation(f"stuck: the stream is at {partition.position} of {len(log)} and cannot go on")
