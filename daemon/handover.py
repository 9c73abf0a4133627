"""The decisions of the hand-over from backfill to stream. Pure: records in, records out; searched by a model in tests.

The rules are numbered as in docs/protocol.md. A slice of events of one partition is planned against a view of the
control state that was read *after* the partition's position was locked, and whose transaction ids are all visible at
the source (`must_wait_for`). First match wins for an event of key k:

    key fence R    visible in R: already loaded, else apply
    pending        already loaded (the chunk will be read later)
    reading        visible in its recorded snapshot S: already loaded, else hold: the slice ends before it
    again          hold: a finished chunk is waiting to be read once more
    done(S)        visible in S: already loaded, else apply

An event that would be applied is parked instead while its key's dead letter is open: whoever settles the letter reads
the row again, at a snapshot that sees every event parked before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from connectors.change import Change, Key, Row, Sequence2
from connectors.chunks import ChunkState as ChunkState
from connectors.snapshot import Snapshot, widen

Place = TypeVar("Place")
"""Whatever tells partitions apart."""


class Decision(StrEnum):
    """What is to be done with one event, before the events of its key are folded together."""

    APPLY = "apply"
    ALREADY_LOADED = "already_loaded"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk as the stream needs to see it: its state and the snapshot it was, or is being, read at."""

    state: ChunkState
    snapshot: Snapshot | None = None


DONE_BEFORE_ALL = Chunk(ChunkState.DONE, Snapshot(0, 0))


def always_empties(xid: int) -> Decision:
    """Where nothing is known of the whole table: a truncate empties it."""
    return Decision.APPLY


@dataclass(frozen=True, slots=True)
class View:
    """The control state that decides about one source table's events, as of the locked position.

    chunk_of: the chunk that a key belongs to. fences: key fences of keys in the slice. parked: keys in the slice whose
    dead letter is open.
    settled_from: an xid from which on every event is applied whatever its key, or None where there is no such.
    reference: a current 64-bit transaction id of the source, to widen by. emptied: the decision about a truncate.
    read_again: offset below which an event may be of another shape than the table is now.
    """

    chunk_of: Callable[[Key], Chunk]
    fences: Mapping[Key, Snapshot] = field(default_factory=dict)
    parked: frozenset[Key] = frozenset()
    settled_from: int | None = None
    reference: int = 0
    emptied: Callable[[int], Decision] = always_empties
    read_again: int = 0


@dataclass(frozen=True, slots=True)
class Upsert:
    """Write this row. `missing`: indices of values that stay as the target has them."""

    row: Row
    missing: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove what this key made."""


@dataclass(frozen=True, slots=True)
class Resync:
    """The event alone is not enough: read the row from the source again, under a fence, and write that."""

    reason: str


Action = Upsert | Delete | Resync
DELETE = Delete()


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """What to do with a slice: one action a key, where the slice ends, and what became of each event.

    taken: how many of the changes, from the first on, are consumed. held: whether the rest waits for a chunk.
    truncate: the change at `taken - 1` empties the table; it is then the only one taken.
    parked: key -> events left behind its open dead letter.
    applied + superseded + already_loaded + control + parked == taken.
    """

    actions: dict[Key, Action]
    taken: int
    held: bool
    truncate: bool
    high_water: Sequence2
    applied: int
    superseded: int
    already_loaded: int
    control: int
    parked: Mapping[Key, int] = field(default_factory=dict)


def decide(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """What becomes of an event of transaction `xid` (64 bits), given its key's fence and its chunk."""
    if fence is not None:
        return Decision.ALREADY_LOADED if fence.sees(xid) else Decision.APPLY
    if chunk.state is ChunkState.PENDING:
        return Decision.ALREADY_LOADED
    if chunk.state is ChunkState.AGAIN:
        return Decision.HOLD
    loaded = chunk.snapshot is not None and chunk.snapshot.sees(xid)
    if loaded:
        return Decision.ALREADY_LOADED
    return Decision.APPLY if chunk.state is ChunkState.DONE else Decision.HOLD


def fold(old: Action | None, change: Change, *, old_copy: bool) -> Action:
    """The action for a key whose action so far was `old`, after one more event of that key.

    A value that did not travel is carried forward from an earlier event of the slice; where there is none it stays as
    the target has it, except where the target cannot have it: after a create or a delete (rule 11). An event below its
    partition's high water is an old copy: the key is read again instead (rule 12), as it is where a value is in doubt.
    """
    if isinstance(old, Resync):
        return old  # read after every event of the slice became visible at the source: nothing in the slice is newer
    if old_copy:
        return Resync("old copy")
    if change.unread:
        return Resync("table altered")
    if change.op == "d" or change.row is None:
        return DELETE
    if change.doubtful:
        return Resync("NULL or the column's default")
    if not change.missing:
        return Upsert(change.row)
    if change.op in "cr" or isinstance(old, Delete):
        return Resync("value did not travel")
    if old is None:
        return Upsert(change.row, change.missing)
    row = list(change.row)
    for index in change.missing:
        row[index] = old.row[index]
    return Upsert(tuple(row), change.missing & old.missing)


def below(sequence: Sequence2 | None, high_water: Sequence2) -> bool:
    """Whether an event's position is below what its partition has already seen."""
    return sequence is not None and sequence < high_water


def plan_slice(changes: Sequence[Change], view: View, high_water: Sequence2) -> SlicePlan:
    """Decide about the changes of one partition, in order. Never looks past an event that must be held."""
    actions: dict[Key, Action] = {}
    parked: dict[Key, int] = {}
    applied = already = control = position = 0
    held = truncate = False
    for position, change in enumerate(changes):
        if change.op in ("", "m"):
            control += 1
            continue
        decision = _decide(change, view)
        if change.op == "t" and decision is Decision.APPLY:
            held, truncate = position > 0, position == 0
            control += truncate
            break
        if decision is Decision.HOLD:
            held = True
            break
        old_copy = below(change.sequence, high_water) or change.offset < view.read_again
        if change.sequence is not None and change.sequence > high_water:
            high_water = change.sequence
        if decision is Decision.ALREADY_LOADED:
            already += 1
            continue
        if change.key in view.parked:
            parked[change.key] = parked.get(change.key, 0) + 1
            continue
        applied += 1
        actions[change.key] = fold(actions.get(change.key), change, old_copy=old_copy)
    else:
        position = len(changes)
    return SlicePlan(
        actions=actions,
        taken=position + truncate,
        held=held,
        truncate=truncate,
        high_water=high_water,
        applied=len(actions),
        superseded=applied - len(actions),
        already_loaded=already,
        control=control,
        parked=parked,
    )


def _decide(change: Change, view: View) -> Decision:
    if change.xid is None:
        return Decision.APPLY  # a snapshot row of a foreign connector: only the topic's order orders it
    xid = widen(change.xid, view.reference)
    if change.op == "t":
        return view.emptied(xid)
    if view.settled_from is not None and xid >= view.settled_from:
        return Decision.APPLY
    return decide(xid, view.fences.get(change.key), view.chunk_of(change.key))


def decide_truncate(xid: int, chunks: Iterable[Chunk], fences: Iterable[Snapshot]) -> Decision:
    """What to do with a truncate, `xid` 64 bits wide (rule 10): one that every chunk and every fence sees is past.

    Otherwise it empties the table, once no chunk can turn out to have seen it.
    """
    decisions = {decide(xid, None, chunk) for chunk in chunks}
    if Decision.APPLY in decisions:
        return Decision.APPLY
    if Decision.HOLD in decisions:
        return Decision.HOLD
    return Decision.ALREADY_LOADED if all(fence.sees(xid) for fence in fences) else Decision.APPLY


def must_wait_for(xids: Iterable[int], source: Snapshot) -> bool:
    """Whether a transaction of the batch is not yet visible at the source (rule 2): fetch the snapshot again.

    `xids` are 32 bits wide, as they travel.
    """
    return any(not source.sees(widen(xid, source.xmax)) for xid in xids)


def settled_from(chunks: Iterable[Chunk], fences: int, fences_end: int | None = None) -> int | None:
    """The xid from which on every event is applied whatever its key; None while a chunk is unfinished.

    fences: how many keys have a fence. fences_end: the highest xmax of these fences; unknown, any fence unsettles.
    """
    if fences and fences_end is None:
        return None
    highest = fences_end or 0
    for chunk in chunks:
        if chunk.state is not ChunkState.DONE or chunk.snapshot is None:
            return None
        highest = max(highest, chunk.snapshot.xmax)
    return highest


def may_start(snapshot: Snapshot, noted_xid: int) -> bool:
    """Rule 1: the source may be read once every transaction up to the one noted after the offsets has ended."""
    return snapshot.xmin > noted_xid


def may_resync(chunk: Chunk) -> bool:
    """Rule 8: a key of a chunk that is being read, or waits to be read again, is not re-read beside it."""
    return chunk.state in (ChunkState.PENDING, ChunkState.DONE)


def past_barrier(chunks: Iterable[Chunk], before: Snapshot) -> bool:
    """Rule 14: whether every chunk was read at a snapshot that one taken before a barrier covers.

    Then its snapshot alone decides, without fences, about events that are still to come.
    """
    return all(
        chunk.state is ChunkState.DONE and chunk.snapshot is not None and before.covers(chunk.snapshot)
        for chunk in chunks
    )


def reached(positions: Mapping[Place, int], ends: Mapping[Place, int]) -> bool:
    """Whether every position is at or past its end; one without an end never is, and nothing is reached by none."""
    return bool(positions) and all(where in ends and position >= ends[where] for where, position in positions.items())


def droppable(fences: Iterable[Snapshot], before: Snapshot) -> list[Snapshot]:
    """Rule 14: the fences that a snapshot taken before a barrier covers."""
    return [fence for fence in fences if before.covers(fence)]


def expired(state: ChunkState) -> ChunkState:
    """Where the claim of a dead worker goes: back to what it was claimed from (rules 5 and 9)."""
    return ChunkState.AGAIN if state is ChunkState.REREADING else ChunkState.PENDING


def claimed(state: ChunkState) -> ChunkState | None:
    """The state a claim puts a chunk into; None where it cannot be claimed."""
    return {ChunkState.PENDING: ChunkState.READING, ChunkState.AGAIN: ChunkState.REREADING}.get(state)


def may_finish(state: ChunkState, attempt: int, mine: int) -> bool:
    """Whether a worker's rows may be committed: the chunk is still its own (compare-and-set on the attempt)."""
    return state in (ChunkState.READING, ChunkState.REREADING) and attempt == mine
