"""Who asked for what: every change that somebody makes to a running pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from connectors.control.schema import audit


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit. detail: names and numbers, never a key or a value of a row."""

    id: int
    at: datetime
    who: str
    action: str
    detail: str


class Audit:
    """Writes and reads of one pipeline's audit, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, connection: Connection, who: str, action: str, detail: str = "") -> None:
        """Write one line, which commits with the caller's transaction."""
        connection.execute(insert(audit).values(pipeline=self.name, who=who, action=action, detail=detail))

    def newest(self, connection: Connection, action: str) -> AuditRow | None:
        """The last line of this action; None where there is none."""
        query = select(audit).where(audit.c.pipeline == self.name, audit.c.action == action)
        row = connection.execute(query.order_by(audit.c.id.desc()).limit(1)).one_or_none()
        return AuditRow(row.id, row.at, row.who, row.action, row.detail) if row else None
