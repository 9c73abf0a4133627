"""Which rows are set aside, how many, and what a letter shows of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.stream.dead_letters import SHOWN_MAX, DeadLetterPolicy, excess, shown
from daemon.stream.isolate import isolate
from mappers.errors import ConflictError, RecordError


@given(st.sets(st.integers(0, 99)), st.integers(0, 100))
def test_exactly_the_bad_are_refused_and_all_others_attempted_once(bad: set[int], count: int) -> None:
    done: list[int] = []
    refused: list[int] = []

    def attempt(items: Sequence[int]) -> None:
        if bad.intersection(items):
            raise RecordError("bad")
        done.extend(items)

    isolate(range(count), attempt, lambda item, error: refused.append(item))
    assert done == [item for item in range(count) if item not in bad]
    assert refused == [item for item in range(count) if item in bad]


def test_one_bad_row_among_many_costs_few_attempts() -> None:
    attempts: list[int] = []

    def attempt(items: Sequence[int]) -> None:
        attempts.append(len(items))
        if 777 in items:
            raise RecordError("bad")

    isolate(range(10_000), attempt, lambda item, error: None)
    assert len(attempts) <= 2 * 14 + 1


def test_a_conflict_and_a_refusal_that_ends_it_go_through() -> None:
    def conflict(items: Sequence[int]) -> None:
        raise ConflictError("taken", table="app.t")

    with pytest.raises(ConflictError):
        isolate([1, 2], conflict, lambda item, error: None)

    def bad(items: Sequence[int]) -> None:
        raise RecordError("bad")

    def too_many(item: int, error: RecordError) -> None:
        raise error

    with pytest.raises(RecordError):
        isolate([1, 2], bad, too_many)


@pytest.mark.parametrize(
    ("opened", "recent", "more", "why"),
    [
        (0, 0, 1, ""),
        (9, 0, 1, ""),
        (10, 0, 1, "dead_letters.max is 10"),
        (0, 5, 1, "per_minute_max is 5"),
        (0, 0, 6, "per_minute_max is 5"),
        (0, 4, 1, ""),
    ],
)
def test_the_budget(opened: int, recent: int, more: int, why: str) -> None:
    found = excess(DeadLetterPolicy(10, 5), opened, recent, more)
    assert why in found
    assert bool(found) == bool(why)


def test_a_budget_of_none_says_so() -> None:
    assert "turned off" in excess(DeadLetterPolicy(0, 5), 0, 0, 1)


def test_what_a_letter_shows() -> None:
    row: dict[str, object] = {"id": 7, "email": "a@b.c", "photo": b"\x01\x02", "note": "x" * 3000, "gone": None}
    plain = json.loads(shown(row, ("id",), frozenset()))
    assert plain["id"] == 7
    assert plain["photo"] == "\\x0102"
    assert plain["note"].startswith("x" * SHOWN_MAX + "…")
    assert json.loads(shown(row, ("id",), frozenset({"email"}))) == plain | {"email": "***"}
    everything = json.loads(shown(row, ("id",), frozenset({"all"})))
    assert everything == {"id": 7} | dict.fromkeys(["email", "photo", "note", "gone"], "***")
