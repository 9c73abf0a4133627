"""What is kept of a source table as a whole; its version tells whether a copy of its chunks and fences is current."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, insert, select, update

from connectors.control.dialects import by_key
from connectors.control.schema import pipeline, table_state
from mappers.errors import FencedError


@dataclass(frozen=True, slots=True)
class TableState:
    """version: of the table's chunks and fences. paused: its events stay in Kafka and its chunks are not claimed."""

    version: int
    paused: bool


class TableStates:
    """Reads and writes of one pipeline's tables, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        columns = (table_state.c.table_name, table_state.c.version, table_state.c.paused, pipeline.c.sealed)
        query = select(*columns).join_from(table_state, pipeline, table_state.c.pipeline == pipeline.c.pipeline)
        self._states = query.where(table_state.c.pipeline == name)

    def add(self, connection: Connection, table: str, rows_expected: int) -> None:
        """A table joins the pipeline."""
        row = insert(table_state).values(pipeline=self.name, table_name=table, rows_expected=rows_expected)
        connection.execute(row)

    def states(self, connection: Connection) -> dict[str, TableState]:
        """Table -> its state; a cached copy of its chunks and fences with the same version is current.

        Raises FencedError when the pipeline is sealed: then nobody may write any more.
        """
        rows = connection.execute(self._states).all()
        if any(row.sealed for row in rows):
            raise FencedError("the pipeline is sealed", where=f"pipeline {self.name}", hint="its cutover has been made")
        return {row.table_name: TableState(row.version, row.paused) for row in rows}

    def versions(self, connection: Connection) -> dict[str, int]:
        """Table -> its version alone, as `states`."""
        return {name: state.version for name, state in self.states(connection).items()}

    def paused(self, connection: Connection) -> frozenset[str]:
        """The tables that are paused."""
        query = select(table_state.c.table_name).where(table_state.c.pipeline == self.name, table_state.c.paused)
        return frozenset(connection.execute(query).scalars())

    def set_paused(self, connection: Connection, tables: Collection[str], paused: bool) -> list[str]:
        """Pause these tables or let them go on; returns those for which that was a change."""
        mine = and_(table_state.c.pipeline == self.name, table_state.c.table_name.in_(sorted(tables)))
        other = select(table_state.c.table_name).where(mine, table_state.c.paused != paused).with_for_update()
        changed = sorted(connection.execute(by_key(other, table_state)).scalars())
        connection.execute(update(table_state).where(mine).values(paused=paused))
        return changed

    def rows_expected(self, connection: Connection) -> dict[str, int]:
        """Table -> the source's row count as estimated when its chunks were made."""
        query = select(table_state.c.table_name, table_state.c.rows_expected)
        rows = connection.execute(query.where(table_state.c.pipeline == self.name))
        return {row.table_name: row.rows_expected for row in rows}

    def bump(self, connection: Connection, table: str) -> None:
        """Make every cached copy of this table's chunks and fences stale, from this transaction's commit on."""
        mine = and_(table_state.c.pipeline == self.name, table_state.c.table_name == table)
        connection.execute(update(table_state).where(mine).values(version=table_state.c.version + 1))
