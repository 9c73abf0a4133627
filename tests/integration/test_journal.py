"""The journal on a real target: written with every advance, and kept within its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from connectors.chunks import Advance, Ledger, Position
from connectors.control.journal import NOT_CONSUMED
from connectors.control.store import ControlStore
from connectors.postgresql.target import PostgresTarget
from mappers.errors import FencedError
from tests.support.databases import Databases

TABLE = Position("t", 0, "public.t", 10, (0, 0), "id")
MESSAGES = replace(TABLE, topic="t.message", table=None)


@pytest.fixture
def target(databases: Databases) -> Iterator[PostgresTarget]:
    found = PostgresTarget(databases.target_url)
    yield found
    found.close()


def started(target: PostgresTarget) -> ControlStore:
    control = ControlStore("p")
    with target.begin() as transaction:
        control.ensure(transaction.control)
        control.positions.add(transaction.control, [TABLE, MESSAGES])
    return control


def advance(target: PostgresTarget, control: ControlStore, start: int, end: int, topic: str = "t") -> None:
    with target.begin() as transaction:
        control.positions.advance(transaction.control, [Advance(topic, 0, start, end, (1, end), Ledger(), 0)])


def rows(target: PostgresTarget, control: ControlStore, since: int = 0, topic: str = "t") -> list[tuple[int, int]]:
    with target.begin() as transaction:
        return [(row.start, row.end) for row in control.journal.of(transaction.control, topic, 0, since)]


def test_every_advance_of_a_table_is_in_the_journal(target: PostgresTarget) -> None:
    control = started(target)
    advance(target, control, 10, 15)
    advance(target, control, 15, 30)
    advance(target, control, 10, 40, "t.message")
    assert rows(target, control) == [(NOT_CONSUMED, 10), (10, 15), (15, 30)]
    assert rows(target, control, since=15) == [(NOT_CONSUMED, 10), (15, 30)]
    assert rows(target, control, topic="t.message") == []
    with pytest.raises(FencedError, match="moved meanwhile"):
        advance(target, control, 15, 31)
    assert rows(target, control, since=29) == [(NOT_CONSUMED, 10), (15, 30)]


def test_a_position_that_was_set_back_by_hand_is_no_error(target: PostgresTarget) -> None:
    control = started(target)
    advance(target, control, 10, 15)
    with target.begin() as transaction:
        transaction.control.execute(text("UPDATE changeover.checkpoint SET next_offset = 10 WHERE topic = 't'"))
    advance(target, control, 10, 20)
    assert rows(target, control) == [(NOT_CONSUMED, 10), (10, 20)]


def test_it_is_trimmed_by_number_and_by_age(target: PostgresTarget) -> None:
    control = started(target)
    for start in range(10, 30):
        advance(target, control, start, start + 1)
    with target.begin() as transaction:
        assert control.journal.trim(transaction.control, "t", 0, hours=1, rows=100) == 0
        assert control.journal.trim(transaction.control, "t", 0, hours=1, rows=5) == 15
    assert rows(target, control) == [(NOT_CONSUMED, 10), *((n, n + 1) for n in range(25, 30))]
    with target.begin() as transaction:
        old = "UPDATE changeover.journal SET committed_at = now() - interval '100 minutes' WHERE start_offset < 28"
        transaction.control.execute(text(old))
        assert control.journal.trim(transaction.control, "t", 0, hours=1.5, rows=5) == 3
    assert rows(target, control) == [(NOT_CONSUMED, 10), (28, 29), (29, 30)], "its first row is never trimmed"
