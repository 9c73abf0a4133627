"""What happens after a transaction whose outcome is unknown, and what is retried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors.change import Batch, Change, Slice
from connectors.chunks import Advance, Ledger, Position
from daemon.retry import Backoff
from daemon.stream.apply import Applied
from daemon.stream.writer import CONFLICTS_MAX, Writer, before, realign
from mappers.errors import ConflictError, FatalError, FencedError, RecordError, TransientError


def change(offset: int) -> Change:
    return Change("u", (offset,), (offset,), frozenset(), 1, None, offset, 0)


def batch(start: int, end: int) -> Batch:
    return Batch((Slice("t", 0, "public.t", start, end, [change(o) for o in range(start, end)]),))


def position(offset: int) -> Position:
    return Position("t", 0, "public.t", offset, (-1, 0), "id")


class Script:
    """A stream that does what it is told, call by call, and remembers what it was given."""

    def __init__(self, outcomes: Sequence[Exception | None]) -> None:
        self.outcomes = list(outcomes)
        self.given: list[Batch] = []
        self.isolated: list[bool] = []

    def apply(self, given: Batch, *, isolate: bool) -> Applied:
        self.given.append(given)
        self.isolated.append(isolate)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        (only,) = given.slices
        return Applied([Advance("t", 0, only.start, only.end, (0, 0), Ledger(), 0)], [])


def writer(script: Script, positions: Sequence[Position] = (), *, stop: bool = False) -> tuple[Writer, list[str]]:
    resolved: list[str] = []
    backoff = lambda: Backoff(lambda: iter([0.0] * 100), lambda s: None, lambda: stop)  # noqa: E731
    made = Writer(
        script,  # type: ignore[arg-type]
        lambda: list(positions),
        lambda given, error, stubborn: resolved.append(error.table),
        backoff,
        lambda error: None,
    )
    return made, resolved


def test_a_lost_commit_that_went_through_is_not_applied_again() -> None:
    script = Script([TransientError("gone")])
    made, _ = writer(script, [position(5)])
    applied = made.write(batch(0, 5))
    assert applied is not None
    assert applied.advances == []
    assert len(script.given) == 1


def test_a_lost_commit_that_did_not_is_applied_again() -> None:
    script = Script([TransientError("gone")])
    made, _ = writer(script, [position(0)])
    assert made.write(batch(0, 5)) is not None
    assert [g.slices[0].start for g in script.given] == [0, 0]


def test_part_of_a_batch_that_was_committed_is_cut_off() -> None:
    cut = realign(batch(0, 5), {("t", 0): 3})
    assert cut is not None
    (rest,) = cut.slices
    assert (rest.start, rest.end, [c.offset for c in rest.changes]) == (3, 5, [3, 4])


@pytest.mark.parametrize("stored", [None, 7, -1])
def test_a_position_outside_the_batch_means_another_owner(stored: int | None) -> None:
    positions = {} if stored is None else {("t", 0): stored}
    with pytest.raises(FencedError):
        realign(batch(0, 5), positions)


def test_conflicts_are_resolved_by_reading_again_but_not_for_ever() -> None:
    conflict = ConflictError("duplicate", table="app.t")
    script = Script([conflict, conflict])
    made, resolved = writer(script)
    assert made.write(batch(0, 1)) is not None
    assert resolved == ["app.t", "app.t"]
    made, _ = writer(Script([conflict] * (CONFLICTS_MAX + 1)))
    with pytest.raises(FatalError):
        made.write(batch(0, 1))


def test_a_stopping_process_gives_the_batch_up() -> None:
    made, _ = writer(Script([TransientError("gone")]), [position(0)], stop=True)
    assert made.write(batch(0, 5)) is None


def test_a_refused_row_is_looked_for_and_set_aside() -> None:
    script = Script([RecordError("no")])
    made, _ = writer(script)
    assert made.write(batch(0, 5)) is not None
    assert script.isolated == [False, True]


def test_where_nothing_may_be_set_aside_everything_before_it_is_applied() -> None:
    script = Script([RecordError("no"), RecordError("no", at=("t", 0, 3))])
    made, _ = writer(script)
    with pytest.raises(RecordError):
        made.write(batch(0, 5))
    assert [(g.slices[0].start, g.slices[0].end) for g in script.given] == [(0, 5), (0, 5), (0, 3)]


def test_an_event_at_fault_that_is_the_first_leaves_nothing_to_apply() -> None:
    with pytest.raises(RecordError):
        before(batch(3, 5), RecordError("no", at=("t", 0, 3)))
