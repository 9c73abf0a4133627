"""What verification found, without values: open until it is mended, or not found again."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from connectors.control.dialects import among, clock, engine_of, now
from connectors.control.schema import finding


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
class OpenFinding:
    """One that waits to be mended. Keys in their JSON text form; source_key None where it cannot be told.

    kind: missing, extra or different.
    """

    id: int
    entry: str
    source_key: str | None
    target_key: str
    kind: str


class Findings:
    """Reads and writes of one pipeline's findings, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def put(self, connection: Connection, entry: str, findings: Sequence[FindingRow]) -> None:
        """Write findings of one entry; open ones of the same target keys are replaced."""
        keys = [row.target_key for row in findings]
        same = among(engine_of(connection), finding.c.target_key, keys)
        connection.execute(delete(finding).where(self._open(), finding.c.entry == entry, same))
        for repaired in (False, True):
            closed = {"state": "repaired", "closed_at": now()} if repaired else {"state": "open"}
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

    def open(self, connection: Connection, entries: Collection[str], after: int, limit: int) -> list[OpenFinding]:
        """Up to `limit` open findings of these entries whose id is above `after`, in the order they were found."""
        mine = (self._open(), finding.c.entry.in_(sorted(entries)), finding.c.id > after)
        query = select(finding).where(*mine).order_by(finding.c.id).limit(limit)
        return [
            OpenFinding(row.id, row.entry, row.source_key, row.target_key, row.kind)
            for row in connection.execute(query)
        ]

    def open_counts(self, connection: Connection) -> dict[str, int]:
        """Entry -> its open findings."""
        query = select(finding.c.entry, func.count()).where(self._open()).group_by(finding.c.entry)
        return {row[0]: row[1] for row in connection.execute(query)}

    def repaired(self, connection: Connection, ids: Collection[int]) -> None:
        """These were mended: close them."""
        closed = update(finding).where(finding.c.pipeline == self.name, finding.c.id.in_(sorted(ids)))
        connection.execute(closed.values(state="repaired", closed_at=now()))

    def gone(self, connection: Connection, entry: str, began: datetime) -> None:
        """Open ones of the entry that were found before a sweep began, and not again by it: close them."""
        stale = and_(self._open(), finding.c.entry == entry, finding.c.found_at < began)
        connection.execute(update(finding).where(stale).values(state="gone", closed_at=clock()))

    def _open(self) -> ColumnElement[bool]:
        return and_(finding.c.pipeline == self.name, finding.c.state == "open")
