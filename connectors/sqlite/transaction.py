"""A transaction of a SQLite target: how its driver runs what `connectors.sql.transaction` says."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection

from connectors.chunks import Bound
from connectors.seams import TextRow
from connectors.sql.transaction import SqlTransaction
from connectors.sqlite.dialect import SQLITE
from connectors.sqlite.errors import translate
from connectors.sqlite.functions import Faults
from connectors.sqlite.session import server_of, target_errors
from connectors.sqlite.stage import SqliteStage, stage_of
from connectors.tables import MappedTable
from mappers.errors import FatalError, RecordError
from mappers.mapping import Table
from mappers.projection import qualified, quote

FAULTS = "changeover_faults"
"""Where a pooled connection has its `Faults`."""
_WRITTEN = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "((?:[^"]|"")+)"\."((?:[^"]|"")+)"')


class SqliteTransaction(SqlTransaction):
    """raw: the driver's connection underneath, the same transaction."""

    dialect = SQLITE

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__(connection)
        self._url = url
        self._where = f"target {server_of(url)}"
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self.raw = raw
        self._faults: Faults = connection.info[FAULTS]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._told(query):
            return self.raw.execute(query).fetchall()

    def run(self, statement: str) -> int:
        """Run a statement; returns how many rows it wrote. One that selects is a check: a row of it is a fault."""
        with self._told(statement):
            cursor = self.raw.execute(statement)
            if cursor.description is None:
                return max(cursor.rowcount, 0)
            if cursor.fetchone() is None:
                return 0
        what, hint = "two source rows of one batch became one target row", "make the key expressions injective"
        raise FatalError(what, where=self._where, hint=hint)

    def batches(self, query: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, read up to `size` at a time."""
        with self._told(query):
            cursor = self.raw.execute(query)
            while rows := cursor.fetchmany(size):
                yield rows

    def stage_of(self, mapped: MappedTable) -> SqliteStage:
        """The staging tables of a mapped table."""
        return stage_of(mapped, self.raw)

    def clear_stages(self, numbers: Collection[int]) -> None:
        """Empty the staging tables of the source tables with these numbers."""
        for number in sorted(numbers):
            self.clear(f"temp.stage_{number}")
            self.clear(f"temp.stage_text_{number}")

    def staged_text(self, mapped: MappedTable, number: int) -> TextRow:
        """One row of the text table, as it came."""
        stage = self.stage_of(mapped.parts[0])
        columns = ", ".join(map(stage.text_of, range(len(mapped.columns))))
        return tuple(self.rows(f"SELECT {columns} FROM {stage.text_name} WHERE n = {int(number)} LIMIT 1")[0])

    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""
        return target_errors(self._url)

    def prepare(self) -> None:
        """Nothing suits a verification better."""

    def prepare_search(self) -> None:
        """SQLite makes an index for an anti-join by itself."""

    def bounds(self, table: Table, key: Sequence[str], rows: int, sample_above: int) -> list[Bound]:
        """Where to cut the target table's key space: a walk over the key's index."""
        columns = ", ".join(map(quote, key))
        texts = ", ".join(self.dialect.values.text(f"t.{quote(name)}", table.column(name).type) for name in key)
        place = '"changeover.place"'
        query = (
            f"SELECT {texts} FROM (SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS {place}"
            f" FROM {qualified(table)}) AS t WHERE {place} % {int(rows)} = 1 AND {place} > 1 ORDER BY {place}"
        )
        return [tuple(row) for row in self.rows(query)]

    @contextmanager
    def _told(self, statement: str) -> Iterator[None]:
        """Errors with what only this side knows: the function that failed, the table that was written."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise translate(error, self._where, table=_written(statement)) from error
        except sqlite3.OperationalError as error:
            said = self._faults.take()
            if not said:
                raise
            hint = "change the value at the source, or map the column's text"
            raise RecordError(said, where=self._where, hint=hint, reason="type") from error


def _written(statement: str) -> str:
    """schema.name of the table that a statement writes; empty where it is not one of the dialect's."""
    found = _WRITTEN.match(statement)
    return ".".join(part.replace('""', '"') for part in found.groups()) if found else ""
