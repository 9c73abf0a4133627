"""What is told of events adds up to what the rules decided about them together, and never guesses."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.change import Change, Slice
from connectors.chunks import ChunkState
from connectors.control.dead_letters import Letter
from connectors.control.journal import NOT_CONSUMED, Applied
from connectors.snapshot import Snapshot
from daemon.explain.key_history import KeyState, Outcome, Seen, filtered, tell
from daemon.handover import Chunk, View, plan_slice
from daemon.plan.batch import decided

WHERE = ("t", 0)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE = Chunk(ChunkState.DONE, Snapshot(100, 100))


def change(offset: int, xid: int = 200, op: str = "u", key: int = 1, lsn: int = 0) -> Change:
    row = None if op in "dt" else (key, offset)
    return Change(op, () if op == "t" else (key,), row, frozenset(), xid, (lsn or offset + 1, 1), offset, 0)


def seen(offset: int, xid: int = 200, op: str = "u") -> Seen:
    return Seen("t", 0, change(offset, xid, op))


def letter(offset: int | None, state: str = "open") -> Letter:
    closed = None if state == "open" else NOW
    where = (None, None, None, 3) if offset is None else ("t", 0, offset, None)
    return Letter(7, "public.t", "[1]", *where, "type", "it is refused", None, NOW, state, 0, closed, None, None)


def state(
    journal: list[tuple[int, int]] | None = None,
    position: int = 100,
    chunk: Chunk = DONE,
    fence: Snapshot | None = None,
    first: int | None = 0,
    letters: tuple[Letter, ...] = (),
) -> KeyState:
    rows = [] if first is None else [Applied(NOT_CONSUMED, first, NOW)]
    rows += [Applied(start, end, NOW) for start, end in journal or []]
    return KeyState(chunk, 3, 1, fence, 1000, {WHERE: position}, {WHERE: rows}, letters)


def outcomes(events: list[Seen], of: KeyState) -> list[Outcome]:
    return [one.outcome for one in tell(events, of)]


def test_events_of_one_transaction_supersede_each_other_and_no_others() -> None:
    told = tell([seen(1), seen(2), seen(5), seen(7)], state([(0, 4), (4, 6), (6, 100)]))
    assert [one.outcome for one in told] == ["superseded", "applied", "applied", "applied"]
    assert "offset 2" in told[0].detail
    assert told[3].together == Applied(6, 100, NOW)


def test_a_journal_that_does_not_reach_back_says_so() -> None:
    told = tell([seen(1), seen(2), seen(50), seen(51)], state([(50, 100)]))
    assert [one.outcome for one in told] == ["consumed", "applied", "superseded", "applied"]
    assert "does not reach back" in told[0].detail
    assert told[1].together is None, "nothing is after it in its own transaction, whichever that was"


@pytest.mark.parametrize(
    ("event", "of", "outcome"),
    [
        (seen(1, xid=50), state(), "already loaded"),
        (seen(1, xid=50), state(chunk=Chunk(ChunkState.PENDING)), "already loaded"),
        (seen(1, xid=150), state(fence=Snapshot(151, 151)), "read again"),
        (seen(1, xid=160), state(fence=Snapshot(151, 151)), "applied"),
        (seen(1), state(first=2), "before the start"),
        (seen(1), state(first=None), "applied"),
        (seen(100), state(), "not consumed yet"),
        (seen(101), state(chunk=Chunk(ChunkState.READING)), "held"),
        (seen(1), state(chunk=Chunk(ChunkState.AGAIN)), "consumed"),
        (seen(1), state(letters=(letter(1),)), "dead-lettered"),
        (seen(2), state(letters=(letter(1),)), "parked"),
        (seen(2), state(letters=(letter(None),)), "parked"),
        (seen(2), state(letters=(letter(1, "skipped"),)), "applied"),
        (seen(2), state([(0, 9)], letters=(letter(1, "skipped"),)), "parked"),
        (seen(2, xid=50), state(letters=(letter(1),)), "already loaded"),
        (seen(1, op="t"), state(), "control"),
    ],
)
def test_each_outcome(event: Seen, of: KeyState, outcome: str) -> None:
    assert outcomes([event], of) == [outcome]


def test_before_the_table_joined() -> None:
    of = KeyState(None, 0, 0, None, 1000, {})
    assert outcomes([seen(1)], of) == ["not consumed yet"]


def test_only_applied_events_can_be_filtered() -> None:
    told = tell([seen(1), seen(2)], state([(0, 100)]))
    assert [one.outcome for one in filtered(told, {("t", 0, 1), ("t", 0, 2)})] == ["superseded", "filtered"]


EVENTS = st.lists(st.tuples(st.integers(1, 3), st.integers(40, 260), st.sampled_from("cudum")), max_size=30)


@given(EVENTS, st.sampled_from(list(ChunkState)), st.booleans())
def test_what_is_told_of_a_slice_adds_up_to_its_plan(
    events: list[tuple[int, int, str]], chunk_state: ChunkState, fenced: bool
) -> None:
    changes = [change(n, xid, op, key) for n, (key, xid, op) in enumerate(events)]
    chunk = Chunk(chunk_state, None if chunk_state is ChunkState.PENDING else Snapshot(100, 100))
    view = View(
        lambda key: chunk, {(1,): Snapshot(150, 150)} if fenced else {}, parked=frozenset({(2,)}), reference=1000
    )
    plan = plan_slice(changes, view, (0, 0))
    told = Counter(one.outcome for one in decided(Slice("t", 0, "public.t", 0, len(changes), changes), view, (0, 0)))
    assert told[Outcome.APPLIED] == plan.applied
    assert told[Outcome.SUPERSEDED] == plan.superseded
    assert told[Outcome.ALREADY_LOADED] == plan.already_loaded
    assert told[Outcome.CONTROL] == plan.control
    assert told[Outcome.PARKED] == sum(plan.parked.values())
    assert told[Outcome.HELD] == len(changes) - plan.taken


@given(st.lists(st.integers(40, 260), max_size=30), st.sets(st.integers(1, 29)))
def test_what_is_told_of_a_key_is_what_its_batches_decided(xids: list[int], cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(xids)), len(xids)]
    batches = [(a, b) for a, b in pairwise(edges) if a < b]
    events = [seen(n, xid) for n, xid in enumerate(xids)]
    told = Counter(outcomes(events, state(batches, position=len(xids))))
    view = View(lambda key: DONE, {}, reference=1000)
    plans = [plan_slice([event.change for event in events[a:b]], view, (0, 0)) for a, b in batches]
    assert told[Outcome.APPLIED] == sum(plan.applied for plan in plans)
    assert told[Outcome.SUPERSEDED] == sum(plan.superseded for plan in plans)
    assert told[Outcome.ALREADY_LOADED] == sum(plan.already_loaded for plan in plans)
