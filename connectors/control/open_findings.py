"""Findings of the verification that wait to be mended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from connectors.control.schema import finding


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """One difference. Keys in their JSON text form; source_key None where it cannot be told.

    kind: missing, extra or different.
    """

    id: int
    entry: str
    source_key: str | None
    target_key: str
    kind: str


class OpenFindings:
    """Reads and closes one pipeline's open findings, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def of(self, connection: Connection, entries: Collection[str], after: int, limit: int) -> list[OpenFinding]:
        """Up to `limit` open findings of these entries whose id is above `after`, in the order they were found."""
        mine = (finding.c.pipeline == self.name, finding.c.entry.in_(sorted(entries)), finding.c.state == "open")
        query = select(finding).where(*mine, finding.c.id > after).order_by(finding.c.id).limit(limit)
        return [
            OpenFinding(row.id, row.entry, row.source_key, row.target_key, row.kind)
            for row in connection.execute(query)
        ]

    def repaired(self, connection: Connection, ids: Collection[int]) -> None:
        """These were mended: close them."""
        closed = update(finding).where(finding.c.pipeline == self.name, finding.c.id.in_(sorted(ids)))
        connection.execute(closed.values(state="repaired", closed_at=func.now()))
