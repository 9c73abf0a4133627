"""Key fences: the snapshot at which a key was last read from the source, beside the stream."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from connectors.control.dialects import among, engine_of, snapshot_end, upsert
from connectors.control.schema import key_fence
from connectors.control.tables import TableStates
from connectors.snapshot import Snapshot


class KeyFences:
    """Reads and writes of one pipeline's key fences. Keys are in their JSON text form."""

    def __init__(self, name: str, tables: TableStates) -> None:
        self.name = name
        self._tables = tables

    def get(self, connection: Connection, table: str, keys: Collection[str] | None = None) -> dict[str, Snapshot]:
        """Key -> fence, of the given keys or of all of the table."""
        query = select(key_fence.c.key, key_fence.c.snapshot).where(self._of(table))
        if keys is not None:
            query = query.where(among(engine_of(connection), key_fence.c.key, keys))
        return {row.key: Snapshot.parse(row.snapshot) for row in connection.execute(query)}

    def end(self, connection: Connection, table: str) -> int:
        """The highest xmax of the table's key fences: no event from there on is decided by one. 0 without fences."""
        newest = select(func.max(snapshot_end(key_fence.c.snapshot))).where(self._of(table))
        return connection.execute(newest).scalar() or 0

    def keys(self, connection: Connection, table: str) -> list[str]:
        """Every key of the table that has a fence."""
        return [row.key for row in connection.execute(select(key_fence.c.key).where(self._of(table)))]

    def put(self, connection: Connection, table: str, keys: Collection[str], snapshot: Snapshot) -> None:
        """Fence these keys at `snapshot`: events that it sees are already in what was written for them."""
        rows = [{"pipeline": self.name, "table_name": table, "key": key, "snapshot": str(snapshot)} for key in keys]
        if rows:
            connection.execute(upsert(engine_of(connection), key_fence, "snapshot"), rows)
            self._tables.bump(connection, table)

    def snapshots(self, connection: Connection, table: str) -> list[Snapshot]:
        """The snapshots that the table's fences were read at, each once."""
        query = select(key_fence.c.snapshot).where(self._of(table)).distinct()
        return [Snapshot.parse(text) for text in connection.execute(query).scalars()]

    def drop_read_at(self, connection: Connection, table: str, snapshots: Collection[Snapshot]) -> int:
        """Forget the table's fences that were read at these snapshots; returns how many."""
        texts = [str(snapshot) for snapshot in snapshots]
        old = among(engine_of(connection), key_fence.c.snapshot, texts)
        dropped = connection.execute(delete(key_fence).where(self._of(table), old))
        if dropped.rowcount:
            self._tables.bump(connection, table)
        return dropped.rowcount

    def drop(self, connection: Connection, table: str) -> None:
        """Forget every fence of the table."""
        connection.execute(delete(key_fence).where(self._of(table)))
        self._tables.bump(connection, table)

    def _of(self, table: str) -> ColumnElement[bool]:
        return and_(key_fence.c.pipeline == self.name, key_fence.c.table_name == table)
