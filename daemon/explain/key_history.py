"""What became of each event of one key: recomputed with the rules that decided it, from what the control state kept.

Pure. The rules are `handover.plan_slice`, asked about one event at a time; which events were decided together is in the
journal. Where the journal does not reach back, the answer says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from connectors.change import Change, Sequence2
from connectors.control.dead_letters import Letter
from connectors.control.journal import NOT_CONSUMED, Applied
from connectors.snapshot import Snapshot
from daemon.handover import Action, Chunk, ChunkState, Resync, View, plan_slice

Partition = tuple[str, int]


class Outcome(StrEnum):
    """What became of an event, or will."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    ALREADY_LOADED = "already loaded"
    READ_AGAIN = "read again"
    FILTERED = "filtered"
    PARKED = "parked"
    DEAD_LETTERED = "dead-lettered"
    CONSUMED = "consumed"
    CONTROL = "control"
    HELD = "held"
    NOT_CONSUMED = "not consumed yet"
    BEFORE_START = "before the start"


TO_COME = frozenset((Outcome.HELD, Outcome.NOT_CONSUMED))
"""The outcomes of events that may still change the target."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event of the key, or a truncate of its table, in the log. high_water: the highest sequence before it there."""

    topic: str
    partition: int
    change: Change
    high_water: Sequence2 = (0, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """An event and what became of it. together: the transaction it was decided in, where the journal has it."""

    seen: Seen
    outcome: Outcome
    detail: str = ""
    together: Applied | None = None


@dataclass(frozen=True, slots=True)
class KeyState:
    """What the control state says about the key. positions: partition -> next offset. journal: in offset order.

    chunk: None before the table's start. number: the chunk's. reference: a current transaction id of the source.
    """

    chunk: Chunk | None
    number: int
    attempt: int
    fence: Snapshot | None
    reference: int
    positions: Mapping[Partition, int]
    journal: Mapping[Partition, Sequence[Applied]] = field(default_factory=dict)
    dead_letters: Sequence[Letter] = ()

    def together(self, where: Partition, offset: int) -> Applied | None:
        """The transaction that took this offset; None where the journal does not have it."""
        rows = [row for row in self.journal.get(where, ()) if row.start != NOT_CONSUMED]
        at = bisect_right(rows, offset, key=lambda row: row.start) - 1
        return rows[at] if at >= 0 and offset < rows[at].end else None

    def first(self, where: Partition) -> int | None:
        """The first offset that the pipeline read of this partition; None where the journal does not tell."""
        return next((row.end for row in self.journal.get(where, ()) if row.start == NOT_CONSUMED), None)

    def view(self, change: Change) -> View:
        """For the rules: this key's chunk and fence."""
        chunk = self.chunk or NO_CHUNK
        fences = {change.key: self.fence} if self.fence else {}
        return View(lambda key: chunk, fences, reference=self.reference)


NO_CHUNK = Chunk(ChunkState.PENDING)


def first_offsets(events: Iterable[Seen]) -> dict[Partition, int]:
    """Partition -> the offset of its first event here: how far back the journal is wanted."""
    first: dict[Partition, int] = {}
    for seen in events:
        first.setdefault((seen.topic, seen.partition), seen.change.offset)
    return first


def tell(events: Iterable[Seen], state: KeyState) -> list[Told]:
    """What became of each event, in the given order. Events of one partition come in offset order."""
    return _fold([_one(seen, state) for seen in events])


def _one(seen: Seen, state: KeyState) -> Told:
    where, offset = (seen.topic, seen.partition), seen.change.offset
    position = state.positions.get(where)
    if position is None:
        return Told(seen, Outcome.NOT_CONSUMED, "the pipeline has not started with this table")
    if offset >= position:
        return _to_come(seen, state, position)
    first = state.first(where)
    if first is not None and offset < first:
        return Told(seen, Outcome.BEFORE_START, f"the pipeline began to read at offset {first}; its chunk has it")
    return _taken(seen, state, state.together(where, offset))


def _to_come(seen: Seen, state: KeyState, position: int) -> Told:
    plan = plan_slice([seen.change], state.view(seen.change), seen.high_water)
    if plan.held:
        return Told(seen, Outcome.HELD, f"it waits until chunk {state.number} has been read")
    return Told(seen, Outcome.NOT_CONSUMED, f"the position is {position}")


def _taken(seen: Seen, state: KeyState, together: Applied | None) -> Told:
    """An event below the position."""
    change = seen.change
    plan = plan_slice([change], state.view(change), seen.high_water)
    if plan.truncate:
        return Told(seen, Outcome.CONTROL, "a truncate: the target was emptied, and every chunk read again", together)
    letter = _letter(seen, state)
    if letter is not None:
        return Told(seen, Outcome.DEAD_LETTERED, f"dead letter {letter.id}, {letter.state}: {letter.error}", together)
    if plan.held:
        return Told(seen, Outcome.CONSUMED, f"chunk {state.number} is to be read again, and will have it", together)
    if plan.already_loaded:
        return _loaded(seen, state, together)
    if behind := _parked_behind(seen, state, together):
        return Told(seen, Outcome.PARKED, f"behind dead letter {behind.id}, {behind.state}", together)
    return Told(seen, Outcome.APPLIED, _how(plan.actions.get(change.key)), together)


def _loaded(seen: Seen, state: KeyState, together: Applied | None) -> Told:
    if state.fence is not None:
        detail = "the row was read from the source again at a snapshot that sees it (the key's fence)"
        return Told(seen, Outcome.READ_AGAIN, detail, together)
    if state.chunk is None or state.chunk.state is ChunkState.PENDING:
        detail = f"chunk {state.number}, which has not been read yet, will have it"
    else:
        again = f", in its reading number {state.attempt}" if state.attempt > 1 else ""
        detail = f"with chunk {state.number}{again}: its snapshot sees transaction {seen.change.xid}"
    return Told(seen, Outcome.ALREADY_LOADED, detail, together)


def _letter(seen: Seen, state: KeyState) -> Letter | None:
    place = (seen.topic, seen.partition, seen.change.offset)
    return next((d for d in state.dead_letters if (d.topic, d.partition, d.event_offset) == place), None)


def _parked_behind(seen: Seen, state: KeyState, together: Applied | None) -> Letter | None:
    """The letter that was open when the event was taken."""
    for letter in state.dead_letters:
        mine = (letter.topic, letter.partition) == (seen.topic, seen.partition)
        if letter.event_offset is not None and not (mine and letter.event_offset < seen.change.offset):
            continue
        if letter.closed_at is None or (
            together is not None and letter.created_at <= together.committed_at <= letter.closed_at
        ):
            return letter
    return None


def _how(action: Action | None) -> str:
    return f"read again from the source: {action.reason}" if isinstance(action, Resync) else ""


def _fold(told: Sequence[Told]) -> list[Told]:
    """Of the events that were decided together the last one was written, the others it superseded."""
    later: dict[Partition, Told] = {}
    made: list[Told] = []
    for one in reversed(told):
        where = (one.seen.topic, one.seen.partition)
        if one.outcome is Outcome.DEAD_LETTERED:
            later[where] = one
        if one.outcome is Outcome.APPLIED:
            made.append(_beside(one, later.get(where)))
            if made[-1].outcome is not Outcome.SUPERSEDED:
                later[where] = one
        else:
            made.append(one)
    return made[::-1]


def _beside(one: Told, later: Told | None) -> Told:
    """An event that was to be applied, given the next one of its key that was written."""
    if later is None or (one.together is None) != (later.together is None):
        return one
    offset = later.seen.change.offset
    if one.together is None:
        detail = f"applied, or superseded by offset {offset}: the journal does not reach back to it"
        return replace(one, outcome=Outcome.CONSUMED, detail=detail)
    if one.together != later.together:
        return one
    return replace(one, outcome=Outcome.SUPERSEDED, detail=f"by offset {offset}, in the same transaction")


def filtered(told: Sequence[Told], left_out: Collection[tuple[str, int, int]]) -> list[Told]:
    """The same with the applied events whose row the mapping leaves out. left_out: (topic, partition, offset)."""
    return [
        replace(one, outcome=Outcome.FILTERED, detail="the mapping's `where` leaves the row out")
        if one.outcome is Outcome.APPLIED and (one.seen.topic, one.seen.partition, one.seen.change.offset) in left_out
        else one
        for one in told
    ]
