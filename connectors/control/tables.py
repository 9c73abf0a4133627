"""What is kept of a source table as a whole; its version tells whether a copy of its chunks and fences is current."""

from __future__ import annotations

from sqlalchemy import Connection, and_, insert, select, update

from connectors.control.schema import pipeline, table_state
from mappers.errors import FencedError


class TableStates:
    """Reads and writes of one pipeline's tables, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        query = select(table_state.c.table_name, table_state.c.version, pipeline.c.sealed)
        query = query.join_from(table_state, pipeline, table_state.c.pipeline == pipeline.c.pipeline)
        self._versions = query.where(table_state.c.pipeline == name)

    def add(self, connection: Connection, table: str, rows_expected: int) -> None:
        """A table joins the pipeline."""
        row = insert(table_state).values(pipeline=self.name, table_name=table, rows_expected=rows_expected)
        connection.execute(row)

    def versions(self, connection: Connection) -> dict[str, int]:
        """Table -> the version of its chunks and fences; a cached copy with the same version is current.

        Raises FencedError when the pipeline is sealed: then nobody may write any more.
        """
        rows = connection.execute(self._versions).all()
        if any(row.sealed for row in rows):
            raise FencedError("the pipeline is sealed", where=f"pipeline {self.name}", hint="its cutover has been made")
        return {row.table_name: row.version for row in rows}

    def rows_expected(self, connection: Connection) -> dict[str, int]:
        """Table -> the source's row count as estimated when its chunks were made."""
        query = select(table_state.c.table_name, table_state.c.rows_expected)
        rows = connection.execute(query.where(table_state.c.pipeline == self.name))
        return {row.table_name: row.rows_expected for row in rows}

    def bump(self, connection: Connection, table: str) -> None:
        """Make every cached copy of this table's chunks and fences stale, from this transaction's commit on."""
        mine = and_(table_state.c.pipeline == self.name, table_state.c.table_name == table)
        connection.execute(update(table_state).where(mine).values(version=table_state.c.version + 1))
