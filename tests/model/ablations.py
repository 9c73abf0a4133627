"""Wrong decisions, one for each rule: what the product would be if a rule were left out.

Each is put in the place of one name; the model then has to find the harm. A model that does not is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from connectors.change import Change, Sequence2
from connectors.chunks import ChunkState
from connectors.snapshot import XID_SPAN, Snapshot
from daemon import handover
from daemon.handover import Action, Chunk, Decision, Resync, SlicePlan, Upsert, View
from tests.model.target import Discipline
from tests.model.walk import EVERY_TROUBLE, SOUND
from tests.model.world import Budget

sound_decide = handover.decide
sound_fold = handover.fold
sound_plan_slice = handover.plan_slice
sound_settled_from = handover.settled_from
COPIES = Budget(restarts=4, strays=8)
STRAYS = Budget(strays=8)
BARRIERS = Budget(strays=20, forgets=3)
TRUNCATED = Budget(resyncs=6, forgets=4)
FENCES = Budget(restarts=2, strays=4, resyncs=4, rereads=3, forgets=3)
REREADS = Budget(rereads=4)
LETTERS = Budget(letters=3)
CALM = Budget()
UNFINISHED = (ChunkState.READING, ChunkState.REREADING)


@dataclass(frozen=True)
class Ablation:
    """A rule switched off: names of `where` replaced, or a discipline not kept.

    most: the trouble that brings the harm to light soonest. first: the seed to begin at, where the harm is rare.
    """

    name: str
    replaced: Mapping[str, object] | None = None
    discipline: Discipline = SOUND
    most: Budget = EVERY_TROUBLE
    where: object = handover
    first: int = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the wrong decisions in place."""
        for name, wrong in (self.replaced or {}).items():
            monkeypatch.setattr(self.where, name, wrong)


def pending_is_applied(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """Events of a chunk that will be read later are applied now."""
    if fence is None and chunk.state is ChunkState.PENDING:
        return Decision.APPLY
    return sound_decide(xid, fence, chunk)


def reading_is_applied(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """Events of a chunk that is being read are applied beside it."""
    decision = sound_decide(xid, fence, chunk)
    return Decision.APPLY if decision is Decision.HOLD and chunk.state in UNFINISHED else decision


def reading_is_skipped(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """Events of a chunk that is being read are taken to be in it, whatever its snapshot sees."""
    if fence is None and chunk.state in UNFINISHED:
        return Decision.ALREADY_LOADED
    return sound_decide(xid, fence, chunk)


def done_is_skipped(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """Events of a finished chunk are taken to be in it, whatever its snapshot sees."""
    if fence is None and chunk.state is ChunkState.DONE:
        return Decision.ALREADY_LOADED
    return sound_decide(xid, fence, chunk)


def again_is_applied(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """A chunk that waits to be read again does not hold its events."""
    if fence is None and chunk.state is ChunkState.AGAIN:
        return Decision.APPLY
    return sound_decide(xid, fence, chunk)


def fence_inverted(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """What a key's fence sees is applied, and what it does not see is skipped."""
    if fence is None:
        return sound_decide(xid, None, chunk)
    return Decision.APPLY if fence.sees(xid) else Decision.ALREADY_LOADED


def fence_ignored(xid: int, fence: Snapshot | None, chunk: Chunk) -> Decision:
    """Keys have no fences."""
    return sound_decide(xid, None, chunk)


def fold_creates_with_gaps(old: Action | None, change: Change, *, old_copy: bool) -> Action:
    """A create whose values did not travel (a key move) keeps what the target has."""
    if change.op == "c" and change.missing and not old_copy and change.row is not None:
        return Upsert(change.row, change.missing)
    return sound_fold(old, change, old_copy=old_copy)


def fold_replaces_resync(old: Action | None, change: Change, *, old_copy: bool) -> Action:
    """A later event of the slice, perhaps a zombie's older one, takes the place of a resync."""
    return sound_fold(None if isinstance(old, Resync) else old, change, old_copy=old_copy)


def fold_forgets_carried(old: Action | None, change: Change, *, old_copy: bool) -> Action:
    """A value that an earlier event of the slice brought is not carried forward."""
    if isinstance(old, Upsert) and change.op == "u" and change.row is not None and not old_copy:
        return Upsert(change.row, change.missing)
    return sound_fold(old, change, old_copy=old_copy)


def fold_writes_placeholders(old: Action | None, change: Change, *, old_copy: bool) -> Action:
    """A value that did not travel is written as it came."""
    if change.row is not None and not old_copy:
        return Upsert(change.row)
    return sound_fold(old, change, old_copy=old_copy)


def fold_applies_old_copies(old: Action | None, change: Change, *, old_copy: bool) -> Action:
    """An event below the high water is applied like any other."""
    return sound_fold(old, change, old_copy=False)


def below_needs_commit(sequence: Sequence2 | None, high_water: Sequence2) -> bool:
    """An event whose commit is unknown counts as new."""
    return sequence is not None and sequence[0] >= 0 and sequence < high_water


def below_by_event_alone(sequence: Sequence2 | None, high_water: Sequence2) -> bool:
    """Sequences are compared by the event's own place in the log, which is not the order of commits."""
    return sequence is not None and sequence[0] >= 0 and sequence[1] < high_water[1]


def never_wait(xids: Iterable[int], source: Snapshot) -> bool:
    """The stream does not wait until its events are visible at the source."""
    return False


def start_at_once(snapshot: Snapshot, noted_xid: int) -> bool:
    """The source is read although transactions from before the noted offsets are still open."""
    return True


def resync_anything(chunk: Chunk) -> bool:
    """A key is read again beside its chunk's read."""
    return True


def expire_to_pending(state: ChunkState) -> ChunkState:
    """A chunk that was being read again is taken to be new."""
    return ChunkState.PENDING


def claim_as_new(state: ChunkState) -> ChunkState | None:
    """A finished chunk is read again as if it had never been."""
    return ChunkState.READING if state in (ChunkState.PENDING, ChunkState.AGAIN) else None


def claim_done(state: ChunkState) -> ChunkState | None:
    """A finished chunk may be claimed unasked."""
    return None if state in UNFINISHED else ChunkState.REREADING


def finish_anyhow(state: ChunkState, attempt: int, mine: int) -> bool:
    """A worker finishes its chunk although the claim expired."""
    return True


def finish_any_attempt(state: ChunkState, attempt: int, mine: int) -> bool:
    """A worker finishes a chunk that somebody else has claimed since."""
    return state in UNFINISHED


def settled_too_early(chunks: Iterable[Chunk], fences: int, fences_end: int | None = None) -> int | None:
    """Settled from the lowest snapshot on instead of the highest."""
    every = list(chunks)
    if sound_settled_from(every, fences, fences_end) is None:
        return None
    return min(chunk.snapshot.xmax for chunk in every if chunk.snapshot is not None)


def settled_from_xmin(chunks: Iterable[Chunk], fences: int, fences_end: int | None = None) -> int | None:
    """Settled from where the snapshots begin to see less, not from where they end."""
    every = list(chunks)
    if sound_settled_from(every, fences, fences_end) is None:
        return None
    return max(chunk.snapshot.xmin for chunk in every if chunk.snapshot is not None)


def settled_despite_fences(chunks: Iterable[Chunk], fences: int, fences_end: int | None = None) -> int | None:
    """Settled although keys are fenced."""
    return sound_settled_from(chunks, 0, 0)


def settled_while_reading(chunks: Iterable[Chunk], fences: int, fences_end: int | None = None) -> int | None:
    """Settled although chunks are unfinished."""
    done = [chunk for chunk in chunks if chunk.state is ChunkState.DONE]
    return sound_settled_from(done, fences, fences_end)


def widen_by_era(xid32: int, reference: int) -> int:
    """The reference's upper half is put before every id, also across a wrap."""
    return reference // XID_SPAN * XID_SPAN + xid32


def sees_below_end(snapshot: Snapshot, xid: int) -> bool:
    """Transactions that were running are taken to be seen."""
    return xid < snapshot.xmax


def sees_below_begin(snapshot: Snapshot, xid: int) -> bool:
    """Only what is older than every running transaction is taken to be seen."""
    return xid < snapshot.xmin


def plan_past_held(changes: Sequence[Change], view: View, high_water: Sequence2) -> SlicePlan:
    """What must be held is passed over."""
    plan = sound_plan_slice(changes, view, high_water)
    if not plan.held:
        return plan
    passed = len(changes) - plan.taken
    return replace(plan, taken=len(changes), already_loaded=plan.already_loaded + passed, held=False)


def plan_miscounts(changes: Sequence[Change], view: View, high_water: Sequence2) -> SlicePlan:
    """Events that a later one replaced are not counted."""
    return replace(sound_plan_slice(changes, view, high_water), superseded=0)


def plan_keeps_high_water(changes: Sequence[Change], view: View, high_water: Sequence2) -> SlicePlan:
    """The high water stays where it was."""
    return replace(sound_plan_slice(changes, view, high_water), high_water=high_water)


def plan_loses_parked(changes: Sequence[Change], view: View, high_water: Sequence2) -> SlicePlan:
    """Events behind an open dead letter are not counted."""
    return replace(sound_plan_slice(changes, view, high_water), parked={})


def past_any_barrier(chunks: Iterable[Chunk], before: Snapshot) -> bool:
    """Fences are dropped although a chunk was read again after the barrier began."""
    return True


def reached_at_once(positions: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Nobody waits until the events before the sentinel are applied."""
    return True


def drop_every_fence(fences: Iterable[Snapshot], before: Snapshot) -> list[Snapshot]:
    """Fences that were set after the barrier began go too."""
    return list(fences)


decide_truncate = handover.decide_truncate


def truncate_passed_over(xid: int, chunks: Iterable[Chunk], fences: Iterable[Snapshot]) -> Decision:
    """A truncate does nothing, whatever the chunks were read at."""
    return Decision.ALREADY_LOADED


def truncate_despite_fences(xid: int, chunks: Iterable[Chunk], fences: Iterable[Snapshot]) -> Decision:
    """Rows that were read by themselves before the truncate stay."""
    return decide_truncate(xid, chunks, ())


def truncate_beside_a_read(xid: int, chunks: Iterable[Chunk], fences: Iterable[Snapshot]) -> Decision:
    """A chunk that is being read is taken for one that has seen the truncate."""
    done = [chunk for chunk in chunks if chunk.state in (ChunkState.DONE, ChunkState.PENDING)]
    return decide_truncate(xid, done, fences)


DECISIONS = (
    Ablation("barrier ignores chunks", {"past_barrier": past_any_barrier}, most=TRUNCATED, first=17_000),
    Ablation("barrier is not awaited", {"reached": reached_at_once}, most=FENCES),
    Ablation("barrier drops new fences", {"droppable": drop_every_fence}, most=FENCES),
    Ablation("pending is applied", {"decide": pending_is_applied}),
    Ablation("reading is applied", {"decide": reading_is_applied}),
    Ablation("reading is skipped", {"decide": reading_is_skipped}),
    Ablation("done is skipped", {"decide": done_is_skipped}),
    Ablation("again is applied", {"decide": again_is_applied}, most=REREADS),
    Ablation("fence inverted", {"decide": fence_inverted}),
    Ablation("fence ignored", {"decide": fence_ignored}),
    Ablation("create with gaps", {"fold": fold_creates_with_gaps}, most=CALM),
    Ablation("resync replaced by a later event", {"fold": fold_replaces_resync}, most=COPIES),
    Ablation("nothing carried forward", {"fold": fold_forgets_carried}, most=CALM),
    Ablation("placeholders written", {"fold": fold_writes_placeholders}),
    Ablation("old copies applied", {"fold": fold_applies_old_copies}, most=COPIES),
    Ablation("unknown commit is new", {"below": below_needs_commit}, most=COPIES),
    Ablation("ordered by event place", {"below": below_by_event_alone}, most=COPIES),
    Ablation("no waiting for visibility", {"must_wait_for": never_wait}),
    Ablation("no waiting at the start", {"may_start": start_at_once}),
    Ablation("resync beside a read", {"may_resync": resync_anything}),
    Ablation("rereading expires to pending", {"expired": expire_to_pending}),
    Ablation("again is claimed as new", {"claimed": claim_as_new}),
    Ablation("done is claimed", {"claimed": claim_done}),
    Ablation("finish without a claim", {"may_finish": finish_anyhow}),
    Ablation("finish another's attempt", {"may_finish": finish_any_attempt}),
    Ablation("settled too early", {"settled_from": settled_too_early}, most=CALM),
    Ablation("settled from xmin", {"settled_from": settled_from_xmin}, most=CALM),
    Ablation("settled despite fences", {"settled_from": settled_despite_fences}),
    Ablation("settled while reading", {"settled_from": settled_while_reading}),
    Ablation("widened by era", {"widen": widen_by_era}),
    Ablation("sees the running", {"sees": sees_below_end}, where=Snapshot),
    Ablation("sees only below xmin", {"sees": sees_below_begin}, where=Snapshot),
    Ablation("held is passed over", {"plan_slice": plan_past_held}),
    Ablation("ledger miscounted", {"plan_slice": plan_miscounts}),
    Ablation("parked is not counted", {"plan_slice": plan_loses_parked}, most=LETTERS),
    Ablation("truncate is passed over", {"decide_truncate": truncate_passed_over}),
    Ablation("truncate despite fences", {"decide_truncate": truncate_despite_fences}),
    Ablation("truncate applied beside a read", {"decide_truncate": truncate_beside_a_read}),
    Ablation("high water stays", {"plan_slice": plan_keeps_high_water}, most=STRAYS),
)

DISCIPLINES = (
    Ablation("view before position", discipline=Discipline(position_before_view=False)),
    Ablation("no compare-and-set", discipline=Discipline(compare_and_set=False)),
    Ablation("chunk takes fenced keys", discipline=Discipline(chunk_leaves_fenced_keys=False)),
    Ablation("snapshot before claim", discipline=Discipline(claim_before_snapshot=False)),
    Ablation("no table lock", discipline=Discipline(table_lock_before_snapshot=False)),
    Ablation("resync without locks", discipline=Discipline(resync_locks_positions=False)),
    Ablation("resync without a fence", discipline=Discipline(resync_sets_fence=False)),
    Ablation("letter closed unread", discipline=Discipline(letter_is_closed_by_a_resync=False), most=LETTERS),
    Ablation("again without locks", discipline=Discipline(again_locks_positions=False), most=REREADS),
    Ablation("truncate resets nothing", discipline=Discipline(truncate_resets_chunks=False)),
    Ablation(
        "barrier leaves high water", discipline=Discipline(barrier_raises_high_water=False), most=BARRIERS, first=31_000
    ),
    Ablation("high water starts too low", discipline=Discipline(first_high_water=(-1, 0)), most=STRAYS),
)
