"""What sweeps have compared, so that they can be resumed and have an age; and what they found, without values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    extract,
    func,
    insert,
    select,
    update,
)

from connectors.chunks import Bound
from connectors.control.schema import finding, verification
from connectors.seams import TextRow


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
class FindingRow:
    """A difference without its values. Keys are JSON lists of text; source_key is None where it is not known."""

    entry: str
    table: str
    source_key: str | None
    target_key: str
    kind: str
    columns: tuple[str, ...]
    repaired: bool = False


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
    """Reads and writes of one pipeline's sweeps and findings, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def begin(self, connection: Connection, purpose: Purpose, slices: Mapping[str, Sequence[SliceRow]]) -> int:
        """Write a new sweep's slices, by entry; returns the sweep's number. Older unfinished ones of the purpose go."""
        connection.execute(delete(verification).where(self._unfinished(purpose)))
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
            connection.execute(update(verification).where(mine).values(**values, done_at=func.clock_timestamp()))

    def find(self, connection: Connection, entry: str, findings: Sequence[FindingRow]) -> None:
        """Write findings of one entry; open ones of the same target keys are replaced."""
        keys = [row.target_key for row in findings]
        connection.execute(delete(finding).where(self._open(entry), finding.c.target_key == func.any(_texts(keys))))
        for repaired in (False, True):
            closed = {"state": "repaired", "closed_at": func.now()} if repaired else {"state": "open"}
            rows = [self._values(row) for row in findings if row.repaired is repaired]
            if rows:
                connection.execute(insert(finding).values(**closed), rows)

    def _values(self, row: FindingRow) -> dict[str, Any]:
        return {
            "pipeline": self.name,
            "entry": row.entry,
            "table_name": row.table,
            "source_key": row.source_key,
            "target_key": row.target_key,
            "kind": row.kind,
            "columns": json.dumps(row.columns),
        }

    def finish(self, connection: Connection, sweep: int, entry: str) -> None:
        """The entry's slices are all done: older sweeps of it are forgotten, and what was not found again is gone."""
        began = select(func.min(verification.c.began_at)).where(self._of(entry, sweep)).scalar_subquery()
        stale = self._open(entry) & (finding.c.found_at < began)
        connection.execute(update(finding).where(stale).values(state="gone", closed_at=func.clock_timestamp()))
        older = and_(
            verification.c.pipeline == self.name,
            verification.c.entry == entry,
            verification.c.sweep < sweep,
            verification.c.done_at.is_not(None),
        )
        finished = select(verification.c.sweep).where(self._left(entry)).distinct()
        connection.execute(delete(verification).where(older, verification.c.sweep.not_in(finished)))

    def sweeps(self, connection: Connection) -> list[SweepRow]:
        """Every entry in every sweep that is kept, the newest sweep first."""
        began = func.min(verification.c.began_at)
        query = select(
            verification.c.entry,
            verification.c.sweep,
            func.bool_and(verification.c.done_at.is_not(None)).label("done"),
            began.label("began"),
            extract("epoch", func.clock_timestamp() - began).label("age_s"),
            func.sum(verification.c.rows).label("rows"),
            func.sum(verification.c.differences).label("differences"),
            func.sum(verification.c.unsettled).label("unsettled"),
        ).where(verification.c.pipeline == self.name)
        rows = connection.execute(
            query.group_by(verification.c.entry, verification.c.sweep).order_by(verification.c.sweep.desc())
        )
        return [_sweep(row) for row in rows]

    def open(self, connection: Connection, entry: str | None = None) -> list[FindingRow]:
        """Findings that nobody has mended, the oldest first."""
        mine = self._open(entry) if entry is not None else self._open_ones()
        rows = connection.execute(select(finding).where(mine).order_by(finding.c.id))
        return [
            FindingRow(r.entry, r.table_name, r.source_key, r.target_key, r.kind, tuple(json.loads(r.columns)))
            for r in rows
        ]

    def open_counts(self, connection: Connection) -> dict[str, int]:
        """Entry -> its open findings."""
        query = select(finding.c.entry, func.count()).where(self._open_ones()).group_by(finding.c.entry)
        return {row[0]: row[1] for row in connection.execute(query)}

    def close(self, connection: Connection, entry: str, target_keys: Collection[str], state: str) -> None:
        """These findings are `repaired` or `gone`."""
        mine = self._open(entry) & (finding.c.target_key == func.any(_texts(target_keys)))
        connection.execute(update(finding).where(mine).values(state=state, closed_at=func.clock_timestamp()))

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

    def _open_ones(self) -> ColumnElement[bool]:
        return and_(finding.c.pipeline == self.name, finding.c.state == "open")

    def _open(self, entry: str) -> ColumnElement[bool]:
        return and_(self._open_ones(), finding.c.entry == entry)


def key_text(key: TextRow) -> str:
    """A key as the findings have it."""
    return json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))


def _texts(values: Collection[str]) -> BindParameter[list[str]]:
    return bindparam("wanted", list(values))


def _sweep(row: Any) -> SweepRow:
    return SweepRow(
        row.entry, row.sweep, row.done, row.began, float(row.age_s), int(row.rows), int(row.differences),
        int(row.unsettled),
    )  # fmt: skip


def _dump(bound: Bound | None) -> str | None:
    return None if bound is None else json.dumps(bound, ensure_ascii=False)


def _load(bound: str | None) -> Bound | None:
    return None if bound is None else tuple(json.loads(bound))
