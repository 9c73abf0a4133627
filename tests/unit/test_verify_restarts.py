"""Restarts of the connector: how they are told, what is suspected, and when that is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connectors.change import Change
from connectors.control.verification import SweepRow
from connectors.postgresql.slots import Session
from daemon.verify.age import Verified, verified
from daemon.verify.restarts import Known, Suspicion, cleared, lost_offsets, seen

NOTICED = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUSPICION = Suspicion(NOTICED.isoformat(), "the connector restarted", 700)
ENTRIES = ("a -> x", "a -> y", "b -> z")


def sweep(entry: str, number: int, began: datetime, *, done: bool = True, differences: int = 0) -> SweepRow:
    return SweepRow(entry, number, done, began, 60.0 - number, 10, differences, 1)


def change(sequence: tuple[int, int] | None) -> Change:
    return Change("u", (1,), (1,), frozenset(), 1, sequence, 1, 0)


def test_another_session_is_a_restart() -> None:
    known, restarted = seen(None, Session("7@1", 0, 100, 50))
    assert (known, restarted) == (Known("7@1", None, 100, 50), False)
    assert seen(known, Session("7@1", 90, 200, 60)) == (known, False)
    assert seen(known, None) == (known, False)
    assert seen(known, Session("8@2", 90, 300, 70)) == (Known("8@2", None, 300, 70), True)


def test_a_transaction_is_safe_once_the_log_has_been_confirmed_to_where_it_had_ended() -> None:
    known, _ = seen(Known("7@1", None, 100, 50), Session("7@1", 100, 200, 60))
    assert known == Known("7@1", 50, 200, 60)
    later, restarted = seen(known, Session("8@2", 180, 300, 70))
    assert restarted
    assert later is not None
    assert later.safe_xid == 50
    assert Known.load(later.dump()) == Known("8@2", 50)
    assert Known.load(None) is None
    assert seen(Known("8@2", 50), Session("8@2", 500, 600, 80)) == (Known("8@2", 50, 600, 80), False)


def test_an_event_without_the_commit_before_it_comes_of_lost_offsets() -> None:
    assert lost_offsets([change((5, 6)), change((-1, 7))])
    assert not lost_offsets([change((5, 6)), change(None), change((0, 0))])


def test_a_suspicion_is_kept_and_renewed() -> None:
    assert Suspicion.load(SUSPICION.dump()) == SUSPICION
    later = Suspicion("2026-01-01T13:00:00+00:00", "again", 900)
    assert SUSPICION.renewed(later) == Suspicion(later.since, "again", 700)
    assert SUSPICION.renewed(Suspicion(later.since, "again", None)).safe_xid is None


def test_it_is_over_once_every_entry_was_swept_since_and_is_clean() -> None:
    after, before = NOTICED + timedelta(seconds=1), NOTICED - timedelta(seconds=1)
    clean = [sweep(entry, 5, after) for entry in ENTRIES]
    assert cleared(SUSPICION, ENTRIES, clean, {})
    assert cleared(SUSPICION, ENTRIES, clean, {"b -> z": 0})
    assert not cleared(SUSPICION, ENTRIES, clean, {"b -> z": 1})
    assert not cleared(SUSPICION, ENTRIES, clean[:2], {})
    assert not cleared(SUSPICION, ENTRIES, [*clean[:2], sweep("b -> z", 5, before)], {})
    assert not cleared(SUSPICION, ENTRIES, [*clean[:2], sweep("b -> z", 5, after, done=False)], {})
    found = sweep("b -> z", 6, after, differences=2)
    assert not cleared(SUSPICION, ENTRIES, [found, *clean], {})
    assert cleared(SUSPICION, ENTRIES, [sweep("b -> z", 7, after), found, *clean], {})


def test_a_table_is_as_old_as_its_oldest_entry() -> None:
    rows = [
        sweep("b -> z", 4, NOTICED, done=False),
        sweep("a -> x", 3, NOTICED),
        sweep("a -> y", 2, NOTICED),
        sweep("a -> x", 1, NOTICED),
    ]
    assert verified(rows, {"a -> y": 3, "b -> z": 9}) == {"a": Verified(58.0, 2, 3, 2)}
