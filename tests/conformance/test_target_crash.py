"""The process dies after each step of a transaction, one after the other: afterwards all of it is there, or nothing.

A child does the work and kills itself; the parent looks at what is left, from outside of the product.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from connectors.control.store import ControlStore
from connectors.seams import Staged
from connectors.sql.target import SqlTarget
from tests.conformance.test_target import ITEMS, advance, item, row
from tests.support.processes import ended, forked
from tests.support.targets import Make, Rig, name_of, started

BEFORE = [item(1, code="a", big="1"), item(2, code="b"), item(3)]
AFTER = [item(1, "one", "a", 1, "1"), item(3, "three"), item(5, code="b"), item(6, code="r"), item(7)]
STEPS_MAX = 200


@dataclass
class Steps:
    """Counts what the child does; at step `last` it is gone, as if the power had failed."""

    last: int
    count: int = 0

    def step(self, *_: object) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, owner: Any, name: str) -> None:
        """A step after every call of a method."""
        real = getattr(owner, name)

        def stepping(*arguments: Any, **options: Any) -> Any:
            try:
                return real(*arguments, **options)
            finally:
                self.step()

        setattr(owner, name, stepping)

    def rows(self, rows: Iterable[Staged]) -> Iterator[Staged]:
        """A step between rows on their way."""
        for one in rows:
            self.step()
            yield one


def instrument(target: SqlTarget, steps: Steps, items: Rig) -> None:
    """Every statement, every row that is staged, begin and commit."""
    steps.after(target.engine.dialect, "do_commit")
    for moment in ("begin", "commit", "after_cursor_execute"):
        event.listen(target.engine, moment, steps.step)
    with target.begin() as transaction:
        kind: Any = type(transaction)
        stage: Any = type(transaction.stage_of(items.mapped))
    for name in ("run", "rows"):
        steps.after(kind, name)
    for name in ("load", "load_text"):
        real = getattr(stage, name)
        setattr(stage, name, lambda self, rows, real=real: real(self, steps.rows(rows)))


def work(target: SqlTarget, items: Rig, control: ControlStore) -> None:
    """A batch as the stream applies it: events of every kind, a row read again, the position."""
    with target.begin() as transaction:
        control.positions.lock(transaction.control, {("t", 0): 10})
        control.tables.states(transaction.control)
        live = items.staged(item(3, "three"), item(5, code="b"), gone=[{"id": 2}])
        partly: Staged = (9, False, 1, items.wire({**item(1, "one", "a", 1), "big": None}))
        transaction.absent(items.mapped, [partly], [frozenset({"big"})])
        transaction.merge(items.mapped, [*live, partly], [frozenset({"big"})])
        with transaction.savepoint():
            transaction.merge_text(items.mapped, items.staged_text(item(6, code="r")), replace=True)
        transaction.stage_texts(items.mapped, [[items.text(item(7))]], lambda size: None)
        transaction.insert_staged(items.mapped)
        control.positions.advance(transaction.control, [advance(10, 20)])


def child(target: SqlTarget, items: Rig, control: ControlStore, last: int) -> bool:
    """The work in a process that dies at that step; True where it came to its end before. target: without sessions."""

    def act() -> int:
        steps = Steps(1 << 30)
        instrument(target, steps, items)
        steps.count, steps.last = 0, last
        work(target, items, control)
        return 0

    code = ended(forked(act))
    assert code in (0, -signal.SIGKILL), f"the child ended with {code} at step {last}"
    return code == 0


def test_a_crash_at_every_step(rig: Make) -> None:
    items = rig(ITEMS, unique=["code"])
    control = started(items.target, name_of("p"), "public.t")
    items.put(*BEFORE)
    target = items.place.open()
    work(target, items, control)  # statements are compiled once, and not in every child
    target.close()
    restore(items, control)
    before, after = ([row(i) for i in rows] for rows in (BEFORE, AFTER))
    seen: list[int] = []
    for last in range(1, STEPS_MAX):
        ended = child(target, items, control, last)
        with items.target.begin() as transaction:  # waits for what the dead process held
            (position,) = control.positions.lock_table(transaction.control, "public.t")
        state = (items.content(), position.next_offset, position.ledger.applied)
        assert state in ((before, 10, 0), (after, 20, 10)), f"half of it after step {last}"
        seen.append(state[1])
        if ended:
            print(f"{last} steps")
            break
        if state[1] == 20:
            restore(items, control)
    assert ended, "there are more steps"
    assert seen == sorted(seen), "from one step on it is all there"
    assert set(seen) == {10, 20}
    assert last > 25, "every statement is a step"


def restore(items: Rig, control: ControlStore) -> None:
    """As before the work."""
    with items.target.begin() as transaction:
        control.forget(transaction.control)
        transaction.truncate(items.mapped)
    started(items.target, control.name, "public.t")
    items.put(*BEFORE)
