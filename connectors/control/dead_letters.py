"""Dead letters: rows that the target refuses, one open letter a key, and how each was settled.

While a key's letter is open, later events of the key are parked behind it (counted, not stored): whoever settles it
reads the row from the source again, which is newer than any of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, delete, func, insert, select, update

from connectors.control.dialects import ago, now
from connectors.control.schema import dead_letter
from connectors.control.tables import TableStates

OPEN, RETRIED, SKIPPED, RELOADED = "open", "retried", "skipped", "reloaded"


@dataclass(frozen=True, slots=True)
class NewLetter:
    """A row to set aside. key: the source key's JSON text form. topic, partition, event_offset: of the key's last event
    in the batch, or `chunk`: the chunk that was being loaded. event: JSON of the row as it came, masked.
    """

    table_name: str
    key: str
    reason: str
    error: str
    event: str
    topic: str | None = None
    partition: int | None = None
    event_offset: int | None = None
    chunk: int | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is kept. parked: later events of the key that were held behind it."""

    id: int
    table_name: str
    key: str
    topic: str | None
    partition: int | None
    event_offset: int | None
    chunk: int | None
    reason: str
    error: str
    event: str | None
    created_at: datetime
    state: str
    parked: int
    closed_at: datetime | None
    closed_by: str | None
    note: str | None

    @property
    def place(self) -> str:
        """Where it comes from: topic[partition] offset, or its chunk."""
        if self.topic is None:
            return f"chunk {self.chunk}"
        return f"{self.topic}[{self.partition}] offset {self.event_offset}"


class DeadLetters:
    """Reads and writes of one pipeline's dead letters. Keys are in their JSON text form."""

    def __init__(self, name: str, tables: TableStates) -> None:
        self.name = name
        self._tables = tables

    def add(self, connection: Connection, letters: Sequence[NewLetter]) -> None:
        """Open these letters; from this transaction's commit on, the stream parks later events of their keys."""
        if letters:
            connection.execute(insert(dead_letter), [{"pipeline": self.name, **asdict(letter)} for letter in letters])
            for table in {letter.table_name for letter in letters}:
                self._tables.bump(connection, table)

    def keys(self, connection: Connection, table: str) -> frozenset[str]:
        """The keys of the table that have an open letter."""
        query = select(dead_letter.c.key).where(self._open(table))
        return frozenset(row.key for row in connection.execute(query))

    def count(self, connection: Connection) -> tuple[int, int]:
        """Open letters: (all of the pipeline, those made within the last minute)."""
        recent = func.count(case((dead_letter.c.created_at > ago(60.0), 1)))
        row = connection.execute(select(func.count(), recent).where(self._mine(), dead_letter.c.state == OPEN)).one()
        return int(row[0]), int(row[1])

    def counts(self, connection: Connection) -> dict[tuple[str, str], int]:
        """(table, reason) -> open letters."""
        query = select(dead_letter.c.table_name, dead_letter.c.reason, func.count()).where(
            self._mine(), dead_letter.c.state == OPEN
        )
        rows = connection.execute(query.group_by(dead_letter.c.table_name, dead_letter.c.reason))
        return {(row[0], row[1]): row[2] for row in rows}

    def park(self, connection: Connection, table: str, parked: Mapping[str, int]) -> None:
        """Add to the number of events that were held behind the open letters of these keys."""
        statement = (
            update(dead_letter)
            .where(self._open(table), dead_letter.c.key == bindparam("b_key"))
            .values(parked=dead_letter.c.parked + bindparam("b_parked"))
        )
        if parked:
            connection.execute(statement, [{"b_key": key, "b_parked": count} for key, count in parked.items()])

    def close(
        self, connection: Connection, table: str, keys: Collection[str], state: str, *, who: str = "", note: str = ""
    ) -> int:
        """Settle the open letters of these keys; returns how many. The caller locked the table's positions."""
        mine = and_(self._open(table), dead_letter.c.key.in_(list(keys)))
        return self._close(connection, table, mine, state, who, note)

    def close_table(self, connection: Connection, table: str) -> int:
        """The table is read from the beginning: every row comes again."""
        return self._close(connection, table, self._open(table), RELOADED, "", "the table is read again")

    def _close(
        self, connection: Connection, table: str, mine: ColumnElement[bool], state: str, who: str, note: str
    ) -> int:
        values = {"state": state, "closed_at": now(), "closed_by": who or None, "note": note or None}
        closed = connection.execute(update(dead_letter).where(mine).values(**values)).rowcount
        if closed:
            self._tables.bump(connection, table)
        return closed

    def annotate(self, connection: Connection, letter: int, who: str, note: str) -> None:
        """Say who settled a letter, and why."""
        mine = update(dead_letter).where(self._mine(), dead_letter.c.id == letter)
        connection.execute(mine.values(closed_by=who, note=note or None))

    def failed_again(self, connection: Connection, letter: int, error: str) -> None:
        """A retry was refused too: remember what for."""
        connection.execute(update(dead_letter).where(self._mine(), dead_letter.c.id == letter).values(error=error))

    def list(
        self,
        connection: Connection,
        *,
        ids: Iterable[int] = (),
        table: str = "",
        key: str = "",
        everything: bool = False,
    ) -> list[Letter]:
        """Letters, oldest first: the open ones, or all; of one table, of one key; or just these."""
        query = select(dead_letter).where(self._mine()).order_by(dead_letter.c.id)
        if wanted := list(ids):
            query = query.where(dead_letter.c.id.in_(wanted))
        elif not everything:
            query = query.where(dead_letter.c.state == OPEN)
        if table:
            query = query.where(dead_letter.c.table_name == table)
        if key:
            query = query.where(dead_letter.c.key == key)
        return [
            Letter(**{name: value for name, value in row._mapping.items() if name != "pipeline"})
            for row in connection.execute(query)
        ]

    def trim(self, connection: Connection, hours: float) -> int:
        """Forget letters that were settled longer ago than this. Returns how many."""
        old = dead_letter.c.closed_at < ago(hours * 3600.0)
        return connection.execute(delete(dead_letter).where(self._mine(), old)).rowcount

    def _mine(self) -> ColumnElement[bool]:
        return dead_letter.c.pipeline == self.name

    def _open(self, table: str) -> ColumnElement[bool]:
        return and_(self._mine(), dead_letter.c.table_name == table, dead_letter.c.state == OPEN)
