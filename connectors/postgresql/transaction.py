"""A transaction of a PostgreSQL target: how its driver runs what `connectors.sql.transaction` says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
from sqlalchemy import Connection

from connectors.chunks import Bound
from connectors.postgresql import key_space
from connectors.postgresql.dialect import POSTGRESQL
from connectors.postgresql.session import target_errors
from connectors.postgresql.stage import PostgresStage, stage_of
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from mappers.mapping import Table

CURSOR = "changeover_rows"
FOR_VERIFICATION = "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0"
"""A slice is too short for a compiler, and its pace is the daemon's to choose, not the planner's."""


class PostgresTransaction(SqlTransaction):
    """raw: the driver's connection underneath, the same transaction."""

    dialect = POSTGRESQL

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__(connection)
        self._url = url
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self.raw: psycopg.Connection = raw

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query: as bytes, so that the driver looks for no parameters in it."""
        return self.raw.execute(query.encode()).fetchall()

    def run(self, statement: str) -> int:
        """Run a statement; returns how many rows it wrote."""
        return self.raw.execute(statement.encode()).rowcount

    def batches(self, query: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, by a cursor of the server."""
        with self.raw.cursor(CURSOR) as cursor:
            cursor.itersize = size
            cursor.execute(query.encode())
            while rows := cursor.fetchmany(size):
                yield rows

    def stage_of(self, mapped: MappedTable) -> PostgresStage:
        """The staging tables of a mapped table."""
        return stage_of(mapped, self.raw)

    def clear(self, name: str) -> None:
        """Empty a staging table."""
        self.run(f"TRUNCATE {name}")

    def clear_stages(self, numbers: Collection[int]) -> None:
        """Empty the staging tables of the source tables with these numbers."""
        for number in sorted(numbers):
            self.run(f"TRUNCATE pg_temp.stage_{number}, pg_temp.stage_text_{number}")

    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""
        return target_errors(self._url)

    def prepare(self) -> None:
        """Set what suits a verification."""
        self.run(FOR_VERIFICATION)

    def prepare_search(self) -> None:
        """Set what suits an anti-join of a whole table."""
        self.run("SET LOCAL enable_hashjoin = on")

    def bounds(self, table: Table, key: Sequence[str], rows: int, sample_above: int) -> list[Bound]:
        """Where to cut the target table's key space so that a part has about so many rows."""
        return key_space.bounds(self.raw, table, key, rows, sample_above)
