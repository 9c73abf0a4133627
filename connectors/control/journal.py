"""Which offsets were applied in one transaction, and when: what `explain` tells superseded from applied by.

A row is written in the statement that moves the position (`positions.py`), so that it costs no round trip. The first
row of a partition, with the start `NOT_CONSUMED`, ends where the pipeline began to read it; it is never trimmed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    and_,
    bindparam,
    delete,
    insert,
    literal,
    or_,
    select,
)

from connectors.chunks import Position
from connectors.control.dialects import POSTGRESQL, ago, now, upsert
from connectors.control.schema import PIPELINE, checkpoint, journal

NOT_CONSUMED = -1
"""The start of a partition's first row: what is before its end was there before the pipeline."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One transaction's part of one partition: the events at [start, end) were decided together."""

    start: int
    end: int
    committed_at: datetime


class Journal:
    """Reads and trims of one pipeline's journal."""

    def __init__(self, name: str) -> None:
        self.name = name

    def begin(self, connection: Connection, positions: Iterable[Position]) -> None:
        """Note where the pipeline begins to read these partitions."""
        rows = [
            {
                "pipeline": self.name,
                "topic": p.topic,
                "partition": p.partition,
                "start_offset": NOT_CONSUMED,
                "end_offset": p.next_offset,
            }
            for p in positions
            if p.table is not None
        ]
        if rows:
            connection.execute(insert(journal), rows)

    def of(self, connection: Connection, topic: str, partition: int, since: int) -> list[Applied]:
        """The partition's transactions that end beyond offset `since`, in order; its first row before them."""
        query = select(journal.c.start_offset, journal.c.end_offset, journal.c.committed_at)
        mine = (journal.c.pipeline == self.name, journal.c.topic == topic, journal.c.partition == partition)
        wanted = or_(journal.c.start_offset == NOT_CONSUMED, journal.c.end_offset > since)
        rows = connection.execute(query.where(*mine, wanted).order_by(journal.c.start_offset))
        return [Applied(row.start_offset, row.end_offset, row.committed_at) for row in rows]

    def trim(self, connection: Connection, topic: str, partition: int, *, hours: float, rows: int) -> int:
        """Delete what is older than `hours`, and all but the newest `rows`, of one partition. Returns how many."""
        mine = and_(
            journal.c.pipeline == self.name,
            journal.c.topic == topic,
            journal.c.partition == partition,
            journal.c.start_offset != NOT_CONSUMED,
        )
        newest = select(journal.c.start_offset).where(mine).order_by(journal.c.start_offset.desc()).limit(1)
        beyond = (newest.offset(rows), newest.where(journal.c.committed_at < ago(hours * 3600.0)))
        last = max((found for query in beyond if (found := connection.scalar(query)) is not None), default=None)
        if last is None:
            return 0
        return connection.execute(delete(journal).where(mine, journal.c.start_offset <= last)).rowcount


def logged(name: str, moved: CTE) -> CTE:
    """The part of an advance that writes the journal, for PostgreSQL. moved: (topic, partition, table_name,
    next_offset) as they are now; the bound parameter b_start is where the partition stood.
    """
    return _log(POSTGRESQL, name, moved).cte("logged")


def log_of(engine: str, name: str) -> Insert:
    """The same as a statement of its own, after the position has moved: b_topic and b_partition say which."""
    where = (checkpoint.c.topic == bindparam("b_topic"), checkpoint.c.partition == bindparam("b_partition"))
    return _log(engine, name, checkpoint, checkpoint.c.pipeline == name, *where)


def _log(engine: str, name: str, moved: FromClause, *where: ColumnElement[bool]) -> Insert:
    source: tuple[ColumnElement[Any], ...] = (
        literal(name, PIPELINE),
        moved.c.topic,
        moved.c.partition,
        bindparam("b_start"),
        moved.c.next_offset,
    )
    rows = select(*source).where(moved.c.table_name.is_not(None), *where)
    columns = ["pipeline", "topic", "partition", "start_offset", "end_offset"]
    return upsert(engine, journal, "end_offset", committed_at=now()).from_select(columns, rows)


MOVED = (checkpoint.c.topic, checkpoint.c.partition, checkpoint.c.table_name, checkpoint.c.next_offset)
