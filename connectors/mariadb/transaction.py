"""A transaction of a MariaDB or MySQL target: how its driver runs what `connectors.sql.transaction` says.

A statement that writes a target table must end without a warning, and rows are counted: what was staged is what was
found and what was inserted, neither more nor less.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pymysql
from pymysql.cursors import SSCursor
from sqlalchemy import Connection

from connectors.chunks import Bound
from connectors.mariadb import infile, key_space
from connectors.mariadb.dialect import MARIADB, MYSQL
from connectors.mariadb.errors import translate
from connectors.mariadb.session import is_mariadb, server_of, target_errors
from connectors.mariadb.stage import MariadbStage, stage_of
from connectors.mariadb.warnings import checked
from connectors.seams import TextRow
from connectors.sql import merge
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from mappers.errors import FatalError, RecordError
from mappers.mapping import Entry, Table
from mappers.projection import qualified, quote

_STAGED = re.compile(r"(?:`[^`]*`\.)?`changeover_stage(?:_text)?_(\d+)`\.`c(\d+)`")
_SIZED_CAST = re.compile(r"\bAS\s+(?:CHAR|BINARY)\s*\(", re.IGNORECASE)
MADE = "changeover_made"
"""Temporary table of the target keys that source rows make."""


class MariadbTransaction(SqlTransaction):
    """raw: the driver's connection underneath, the same transaction."""

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__(connection)
        self._url = url
        self._where = f"target {server_of(url)}"
        raw = connection.connection.driver_connection
        assert isinstance(raw, infile.Connection)
        self.raw = raw
        self.dialect = MARIADB if is_mariadb(raw) else MYSQL
        self._options = table_options(raw)
        self._columns: dict[int, Sequence[str]] = {}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.raw.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def run(self, statement: str) -> int:
        """Run a statement; returns how many rows it wrote."""
        return int(self.raw.query(statement) or 0)

    def write(self, entry: Entry, statement: str) -> int:
        """Run a statement that writes the entry's target table, without a warning; an UPDATE counts what it found.

        One that selects is a check: a row of it is a fault.
        """
        with self._naming(entry.target.full_name):
            if statement.startswith("SELECT"):
                if self.rows(statement):
                    raise self._folded(entry)
                return 0
            count = self.run(statement)
            checked(self.raw, self._where, entry.target.full_name, may_cut=not _cuts_key(entry))
        return count

    def _folded(self, entry: Entry) -> FatalError:
        what, hint = "two source rows of one batch became one target row", "make the key expressions injective"
        return FatalError(what, where=f"{self._where}, table {entry.target.full_name}", hint=hint)

    def upsert(self, entry: Entry, relation: str, *, sparing: bool = False) -> int:
        """Write rows, and count them: every staged row is one that was found or one that was inserted."""
        written = super().upsert(entry, relation, sparing=sparing)
        if not sparing and any(column.name not in entry.key for column in entry.columns):
            ((staged,),) = self.rows(f"SELECT count(*) FROM ({merge.whole(self.dialect, entry, relation)}) AS p")
            if written != staged:
                raise self._folded(entry)
        return written

    def batches(self, query: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, as the server sends them; nothing else may run on this transaction meanwhile."""
        with self.raw.cursor(SSCursor) as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(size):
                yield list(rows)

    def unmade(self, part: MappedTable, entry: Entry, rows: str, batch: int) -> Iterator[list[tuple[Any, ...]]]:
        """By a table of the keys, with an index: these engines would compare each row with each other."""
        d = self.dialect
        columns = entry.key if entry.key_is_derived else entry.carrier
        names = ", ".join(map(quote, columns))
        self.run(f"DROP TEMPORARY TABLE IF EXISTS {MADE}")
        held = f"SELECT {names} FROM {qualified(entry.target)} LIMIT 0"
        self.run(f"CREATE TEMPORARY TABLE {MADE} (KEY ({names})) {held}")
        made = ", ".join(merge.cast(d, entry, column) for column in columns)
        self.run(f"INSERT IGNORE INTO {MADE} SELECT {made} FROM {self.text_relation(part)} AS s")
        match = " AND ".join(d.values.match(f"m.{quote(c)}", f"t.{quote(c)}", entry.target.column(c)) for c in columns)
        yield from self.batches(f"{rows} LEFT JOIN {MADE} AS m ON {match} WHERE m.{quote(columns[0])} IS NULL", batch)

    def stage_of(self, mapped: MappedTable) -> MariadbStage:
        """The staging tables of a mapped table."""
        self._columns[mapped.number] = [wire.name for wire in mapped.staged]
        return stage_of(mapped, self._options, self.raw, self._where)

    def clear_stages(self, numbers: Collection[int]) -> None:
        """Empty the staging tables of the source tables with these numbers. TRUNCATE would commit."""
        for number in sorted(numbers):
            self.clear(f"changeover_stage_{number}")
            self.clear(f"changeover_stage_text_{number}")

    def staged_text(self, mapped: MappedTable, number: int) -> TextRow:
        """One row of the text table; arrays as JSON."""
        stage = self.stage_of(mapped.parts[0])
        columns = ", ".join(map(stage.text_of, range(len(mapped.columns))))
        return tuple(self.rows(f"SELECT {columns} FROM {stage.text_name} WHERE n = {int(number)} LIMIT 1")[0])

    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""
        return target_errors(self._url)

    def bounds(self, table: Table, key: Sequence[str], rows: int, sample_above: int) -> list[Bound]:
        """Where to cut the target table's key space so that a part has about so many rows."""
        return key_space.bounds(self.raw, self.dialect, table, key, rows, sample_above)

    def prepare(self) -> None:
        """Nothing suits a verification better."""

    def prepare_search(self) -> None:
        """Nothing suits a search better."""

    @contextmanager
    def _naming(self, table: str) -> Iterator[None]:
        """Errors that name the table being written, which the server does not; and columns as the source does."""
        try:
            yield
        except pymysql.Error as error:
            found = translate(error, self._where, table=table)
            found.what = _STAGED.sub(self._column, found.what)
            raise found from error
        except RecordError as error:
            error.what = _STAGED.sub(self._column, error.what)
            raise

    def _column(self, found: re.Match[str]) -> str:
        columns = self._columns.get(int(found[1]), ())
        return columns[int(found[2])] if int(found[2]) < len(columns) else found[0]


def _cuts_key(entry: Entry) -> bool:
    """Whether a cast of the key says how long its text is: a key that were cut would be another row's."""
    return any(_SIZED_CAST.search(entry.expression(name).sql) for name in entry.key)


def table_options(raw: infile.Connection) -> str:
    """What follows the columns of a temporary table."""
    if is_mariadb(raw):
        return "ENGINE = Aria TRANSACTIONAL = 0 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    return "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
