"""The chunks of every table: made once, claimed by any number of workers, finished by compare-and-set."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from itertools import pairwise

from sqlalchemy import Connection, Row, Update, insert, select, update

from connectors.chunks import Bound, ChunkRow, ChunkState
from connectors.control.dialects import by_key, now, session_gone, session_name
from connectors.control.schema import chunk
from connectors.control.tables import TableStates
from connectors.snapshot import Snapshot


class Chunks:
    """Reads and writes of one pipeline's chunks. tables: told of every change, for the copies that readers keep.

    A claim names the database session that made it. The same session writes the chunk's rows, so that one that has
    ended cannot write them any more, and its claim may go to another.
    """

    def __init__(self, name: str, tables: TableStates) -> None:
        self.name = name
        self._tables = tables

    def plan(self, connection: Connection, table: str, bounds: Sequence[Bound]) -> None:
        """Write a table's chunks: the whole key space, cut at `bounds`, both outer ends open."""
        edges: list[Bound | None] = [None, *bounds, None]
        rows = [
            {
                "pipeline": self.name,
                "table_name": table,
                "number": number,
                "lower": _dump(lower),
                "upper": _dump(upper),
                "state": ChunkState.PENDING.value,
            }
            for number, (lower, upper) in enumerate(pairwise(edges))
        ]
        connection.execute(insert(chunk), rows)

    def all(self, connection: Connection, table: str | None = None) -> list[ChunkRow]:
        """The chunks of one table, or of all, in key order."""
        query = select(chunk).where(chunk.c.pipeline == self.name)
        if table is not None:
            query = query.where(chunk.c.table_name == table)
        return [_chunk(row) for row in connection.execute(query.order_by(chunk.c.table_name, chunk.c.number))]

    def share(self, connection: Connection, table: str, numbers: Collection[int] | None = None) -> list[ChunkRow]:
        """Share-lock these chunks' rows, or all of the table, and read them.

        Until the transaction ends none of them is claimed, and none that is being read becomes done.
        """
        query = select(chunk).where(chunk.c.pipeline == self.name, chunk.c.table_name == table)
        if numbers is not None:
            query = query.where(chunk.c.number.in_(sorted(numbers)))
        locked = by_key(query.order_by(chunk.c.number), chunk).with_for_update(read=True)
        return [_chunk(row) for row in connection.execute(locked)]

    def next(self, connection: Connection, tables: Collection[str], states: Collection[ChunkState]) -> ChunkRow | None:
        """Lock and read one chunk of these tables and states that nobody else holds; None where there is none.

        A paused table has none.
        """
        query = select(chunk).where(chunk.c.pipeline == self.name, chunk.c.state.in_([s.value for s in states]))
        query = query.where(chunk.c.table_name.in_(sorted(set(tables) - self._tables.paused(connection))))
        query = query.order_by(chunk.c.table_name, chunk.c.number).limit(1)
        found = connection.execute(by_key(query, chunk).with_for_update(skip_locked=True)).one_or_none()
        return _chunk(found) if found else None

    def move(
        self,
        connection: Connection,
        row: ChunkRow,
        state: ChunkState,
        *,
        attempt: int,
        snapshot: Snapshot | None = None,
        rows: int = 0,
        size_bytes: int = 0,
        claim: bool = False,
    ) -> bool:
        """Move a chunk by compare-and-set on the state and attempt in `row`; False where another moved it first."""
        values: dict[str, object] = {
            "state": state.value,
            "attempt": attempt,
            "snapshot": str(snapshot) if snapshot else None,
            "rows": rows,
            "bytes": size_bytes,
        }
        if claim:
            values |= {"session": session_name(), "claimed_at": now()}
        if state is ChunkState.DONE:
            values |= {"done_at": now()}
        mine = self._one_chunk(row).where(chunk.c.state == row.state.value, chunk.c.attempt == row.attempt)
        moved = connection.execute(mine.values(**values)).rowcount == 1
        if moved:
            self._tables.bump(connection, row.table)
        return moved

    def abandoned(self, connection: Connection) -> list[ChunkRow]:
        """Lock the chunks that are claimed by a session that has ended."""
        claimed = [ChunkState.READING.value, ChunkState.REREADING.value]
        query = select(chunk).where(chunk.c.pipeline == self.name, chunk.c.state.in_(claimed))
        query = query.where(session_gone(chunk.c.session)).order_by(chunk.c.table_name, chunk.c.number)
        return [_chunk(row) for row in connection.execute(query.with_for_update(skip_locked=True))]

    def reset(self, connection: Connection, table: str) -> None:
        """Every chunk of the table is to be read as if it never had been."""
        mine = update(chunk).where(chunk.c.pipeline == self.name, chunk.c.table_name == table)
        connection.execute(mine.values(state=ChunkState.PENDING.value, snapshot=None, rows=0, bytes=0))
        self._tables.bump(connection, table)

    def _one_chunk(self, row: ChunkRow) -> Update:
        where = (chunk.c.pipeline == self.name, chunk.c.table_name == row.table, chunk.c.number == row.number)
        return update(chunk).where(*where)


def _dump(bound: Bound | None) -> str | None:
    return None if bound is None else json.dumps(bound, ensure_ascii=False)


def _load(bound: str | None) -> Bound | None:
    return None if bound is None else tuple(json.loads(bound))


def _chunk(row: Row[tuple[object, ...]]) -> ChunkRow:
    return ChunkRow(
        row.table_name,
        row.number,
        _load(row.lower),
        _load(row.upper),
        ChunkState(row.state),
        row.attempt,
        Snapshot.parse(row.snapshot) if row.snapshot else None,
        row.rows,
        row.bytes,
    )
