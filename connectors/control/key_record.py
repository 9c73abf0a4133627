"""What the control state says about one key, beside its fence and its dead letters. Only read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from connectors.control.schema import chunk, finding


@dataclass(frozen=True, slots=True)
class FindingFact:
    """An open finding of a verification about the key."""

    id: int
    entry: str
    kind: str
    columns: tuple[str, ...]
    found_at: datetime


class KeyRecord:
    """Reads of one pipeline's control state, by its name. Keys are in their JSON text form."""

    def __init__(self, name: str) -> None:
        self.name = name

    def findings(self, connection: Connection, table: str, key: str) -> list[FindingFact]:
        """The open findings about the key."""
        f = finding.c
        query = select(f.id, f.entry, f.kind, f.columns, f.found_at).order_by(f.id)
        mine = (f.pipeline == self.name, f.table_name == table, f.source_key == key, f.state == "open")
        return [
            FindingFact(row.id, row.entry, row.kind, tuple(json.loads(row.columns)), row.found_at)
            for row in connection.execute(query.where(*mine))
        ]

    def chunk_times(self, connection: Connection, table: str, number: int) -> Sequence[datetime | None]:
        """When the chunk was claimed last, and when it was done."""
        mine = (chunk.c.pipeline == self.name, chunk.c.table_name == table, chunk.c.number == number)
        row = connection.execute(select(chunk.c.claimed_at, chunk.c.done_at).where(*mine)).one_or_none()
        return tuple(row) if row is not None else (None, None)
