"""What sweeps have compared, so that they can be resumed and have an age."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from connectors.chunks import Bound
from connectors.control.dialects import clock
from connectors.control.findings import Findings
from connectors.control.schema import verification


class Purpose(StrEnum):
    """What a sweep is made for; one of each may be under way."""

    COMMAND = "command"
    CONTINUOUS = "continuous"
    SUSPICION = "suspicion"


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice of an entry in a sweep. lower, upper: as a chunk's."""

    number: int
    lower: Bound | None
    upper: Bound | None
    done: bool = False
    differences: int = 0


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What the comparison of a slice came to. differences: those that were left after a repair."""

    number: int
    rows: int
    differences: int
    unsettled: int


@dataclass(frozen=True, slots=True)
class SweepRow:
    """An entry in one sweep. began: of its oldest slice. age_s: seconds since then, by the target's clock."""

    entry: str
    sweep: int
    done: bool
    began: datetime
    age_s: float
    rows: int
    differences: int
    unsettled: int


class Verifications:
    """Reads and writes of one pipeline's sweeps, by its name."""

    def __init__(self, name: str, findings: Findings) -> None:
        self.name = name
        self.findings = findings

    def begin(self, connection: Connection, purpose: Purpose, slices: Mapping[str, Sequence[SliceRow]]) -> int:
        """Write a new sweep's slices, by entry; returns the sweep's number. Older unfinished ones of the purpose go."""
        self._forget_unfinished(connection, purpose)
        newest = select(func.max(verification.c.sweep)).where(verification.c.pipeline == self.name)
        sweep = (connection.execute(newest).scalar() or 0) + 1
        rows = [
            {
                "pipeline": self.name,
                "entry": entry,
                "sweep": sweep,
                "slice": row.number,
                "purpose": purpose.value,
                "lower": _dump(row.lower),
                "upper": _dump(row.upper),
            }
            for entry, mine in slices.items()
            for row in mine
        ]
        connection.execute(insert(verification), rows)
        return sweep

    def unfinished(
        self, connection: Connection, purpose: Purpose, since: datetime | None
    ) -> tuple[int, dict[str, list[SliceRow]]] | None:
        """The newest sweep of the purpose that has slices left, with all its slices; None where there is none.

        since: only one that was begun after this moment.
        """
        newest = select(func.max(verification.c.sweep)).where(self._unfinished(purpose))
        if since is not None:
            newest = newest.where(verification.c.began_at > since)
        sweep = connection.execute(newest).scalar()
        if sweep is None:
            return None
        query = select(verification).where(verification.c.pipeline == self.name, verification.c.sweep == sweep)
        slices: dict[str, list[SliceRow]] = {}
        for row in connection.execute(query.order_by(verification.c.entry, verification.c.slice)):
            made = SliceRow(row.slice, _load(row.lower), _load(row.upper), row.done_at is not None, row.differences)
            slices.setdefault(row.entry, []).append(made)
        return sweep, slices

    def done(self, connection: Connection, sweep: int, entry: str, results: Iterable[SliceResult]) -> None:
        """These slices have been compared."""
        for result in results:
            mine = self._of(entry, sweep) & (verification.c.slice == result.number)
            values = {"rows": result.rows, "differences": result.differences, "unsettled": result.unsettled}
            connection.execute(update(verification).where(mine).values(**values, done_at=clock()))

    def finish(self, connection: Connection, sweep: int, entry: str) -> None:
        """The entry's slices are all done: older sweeps of it are forgotten, and what was not found again is gone."""
        began = connection.execute(select(func.min(verification.c.began_at)).where(self._of(entry, sweep))).scalar()
        if began is not None:
            self.findings.gone(connection, entry, began)
        older = and_(
            verification.c.pipeline == self.name,
            verification.c.entry == entry,
            verification.c.sweep < sweep,
            verification.c.done_at.is_not(None),
        )
        left = set(connection.execute(select(verification.c.sweep).where(self._left(entry)).distinct()).scalars())
        connection.execute(delete(verification).where(older, verification.c.sweep.not_in(sorted(left))))

    def sweeps(self, connection: Connection) -> list[SweepRow]:
        """Every entry in every sweep that is kept, the newest sweep first."""
        began = func.min(verification.c.began_at)
        query = select(
            verification.c.entry,
            verification.c.sweep,
            (func.count() == func.count(verification.c.done_at)).label("done"),
            began.label("began"),
            clock().label("now"),
            func.sum(verification.c.rows).label("rows"),
            func.sum(verification.c.differences).label("differences"),
            func.sum(verification.c.unsettled).label("unsettled"),
        ).where(verification.c.pipeline == self.name)
        rows = connection.execute(
            query.group_by(verification.c.entry, verification.c.sweep).order_by(verification.c.sweep.desc())
        )
        return [_sweep(row) for row in rows]

    def _forget_unfinished(self, connection: Connection, purpose: Purpose) -> None:
        unfinished = select(verification.c.sweep).where(self._unfinished(purpose)).distinct()
        sweeps = sorted(connection.execute(unfinished).scalars())
        mine = and_(verification.c.pipeline == self.name, verification.c.sweep.in_(sweeps))
        connection.execute(delete(verification).where(mine))

    def _of(self, entry: str, sweep: int) -> ColumnElement[bool]:
        return and_(verification.c.pipeline == self.name, verification.c.entry == entry, verification.c.sweep == sweep)

    def _left(self, entry: str) -> ColumnElement[bool]:
        return and_(
            verification.c.pipeline == self.name, verification.c.entry == entry, verification.c.done_at.is_(None)
        )

    def _unfinished(self, purpose: Purpose) -> ColumnElement[bool]:
        left = (
            select(verification.c.sweep)
            .where(
                verification.c.pipeline == self.name,
                verification.c.purpose == purpose.value,
                verification.c.done_at.is_(None),
            )
            .scalar_subquery()
        )
        return and_(verification.c.pipeline == self.name, verification.c.sweep.in_(left))


def _sweep(row: Any) -> SweepRow:
    return SweepRow(
        row.entry, row.sweep, bool(row.done), row.began, (row.now - row.began).total_seconds(), int(row.rows),
        int(row.differences), int(row.unsettled),
    )  # fmt: skip


def _dump(bound: Bound | None) -> str | None:
    return None if bound is None else json.dumps(bound, ensure_ascii=False)


def _load(bound: str | None) -> Bound | None:
    return None if bound is None else tuple(json.loads(bound))
