"""SQLite's staging tables (`connectors.sql.stage`): temporary tables, filled by one statement for all rows.

Their columns have no type, so that every value stays what `values.py` made of it. What it could not make anything of
is of another storage class, and refused by whoever reads it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from connectors.seams import Staged, StagedText
from connectors.sql.dialect import GONE, GROUP, NUMBER, key_text
from connectors.sqlite.functions import UNFIT
from connectors.sqlite.values import Convert, from_text, from_wire, storage
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.dialects.sqlite.affinity import Affinity, affinity
from mappers.projection import quote

COLUMNS_MAX = 1990
"""SQLite has tables of up to 2000 columns, and a staged row has some of its own."""
_HEAD = "n, gone, m"


@dataclass(frozen=True)
class SqliteStage:
    """The temporary tables of one source table. types: source column -> its staged type. key: where its key's columns
    are. raw: None where only the SQL is wanted.

    The text table keeps the source's own text of what it converts in one more column, as a JSON array.
    """

    number: int
    columns: tuple[WireColumn, ...]
    types: Mapping[str, str]
    key: tuple[int, ...]
    raw: sqlite3.Connection | None = None
    emptied_on_commit = False

    @property
    def wire_name(self) -> str:
        """The temporary table for rows of the stream."""
        return f"temp.stage_{self.number}"

    @property
    def text_name(self) -> str:
        """The temporary table for rows in the source's text form."""
        return f"temp.stage_text_{self.number}"

    @cached_property
    def _from_text(self) -> tuple[Convert | None, ...]:
        return tuple(map(from_text, self.columns))

    @cached_property
    def _from_wire(self) -> tuple[Convert | None, ...]:
        return tuple(map(from_wire, self.columns))

    @cached_property
    def _places(self) -> dict[int, int]:
        """Column -> its place in the array of source texts, for those that are converted."""
        converted = [i for i, convert in enumerate(self._from_text) if convert]
        return {index: place for place, index in enumerate(converted)}

    def ddl(self) -> Sequence[str]:
        """Creates both tables; they live as long as the connection."""
        names = ", ".join([_HEAD, *(f"c{i}" for i in range(len(self.columns)))])
        return [
            f"CREATE TABLE IF NOT EXISTS {self.wire_name} ({names})",
            f"CREATE TABLE IF NOT EXISTS {self.text_name} ({names}, texts)",
        ]

    def typed(self, name: str) -> str:
        """The relation the mapping selects from: the source's columns by name."""
        converts = self._from_wire if name == self.wire_name else self._from_text
        parts = [f"{_checked(i, c, converts[i])} AS {quote(c.name)}" for i, c in enumerate(self.columns)]
        if name == self.text_name:
            parts += [f"{self.text_of(index)} AS {key_text(index)}" for index in self.key]
        return f"(SELECT n AS {NUMBER}, gone AS {GONE}, m AS {GROUP}, {', '.join(parts)} FROM {name})"

    def text_of(self, index: int) -> str:
        """The source's own text of a column, in the text table."""
        return f"json_extract(texts, '$[{self._places[index]}]')" if index in self._places else f"c{index}"

    def empty(self) -> str:
        """The same relation without rows and without the temporary tables: for checking a projection."""
        parts = ", ".join(f"{_nothing(self.types[c.name])} AS {quote(c.name)}" for c in self.columns)
        return f"(SELECT {parts} WHERE false)"

    def load(self, rows: Iterable[Staged]) -> None:
        """Add rows of the stream to the wire table."""
        assert self.raw is not None
        convert = _converter(self._from_wire)
        marks = ", ".join("?" * (3 + len(self.columns)))
        values = ((number, gone, group, *convert(row)) for number, gone, group, row in rows)
        self.raw.executemany(f"INSERT INTO {self.wire_name} VALUES ({marks})", values)

    def load_text(self, rows: Iterable[StagedText]) -> None:
        """Add rows in the source's text form to the text table."""
        assert self.raw is not None
        marks = ", ".join("?" * (4 + len(self.columns)))
        self.raw.executemany(f"INSERT INTO {self.text_name} VALUES ({marks})", self._text_rows(rows))

    def _text_rows(self, rows: Iterable[StagedText]) -> Iterator[tuple[Any, ...]]:
        convert, places = _converter(self._from_text), list(self._places)
        dump = msgspec.json.Encoder().encode
        for number, gone, row in rows:
            yield (number, gone, 0, *convert(row), dump([row[i] for i in places]).decode() if places else None)


def stage_of(mapped: MappedTable, raw: sqlite3.Connection | None = None) -> SqliteStage:
    """The staging tables of a mapped table."""
    return SqliteStage(mapped.number, mapped.staged, mapped.types, mapped.key_indices, raw)


def _checked(index: int, column: WireColumn, convert: Convert | None) -> str:
    """The staged value; one of another class than its column's fails."""
    if convert is None:
        return f"c{index}"
    name = column.name.replace("'", "''")
    fits = f"typeof(c{index}) IN ('{storage(column)}', 'null')"
    return f"CASE WHEN {fits} THEN c{index} ELSE {UNFIT}('{name}', c{index}) END"


def _nothing(staged: str) -> str:
    kind = affinity(staged)
    return "NULL" if kind is Affinity.NONE else f"CAST(NULL AS {kind.value})"


def _converter(converts: Sequence[Convert | None]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    wanted = [(index, convert) for index, convert in enumerate(converts) if convert]
    if not wanted:
        return lambda row: row

    def made(row: Sequence[Any]) -> Sequence[Any]:
        values = list(row)
        for index, convert in wanted:
            value = values[index]
            if value is not None:
                values[index] = convert(value)
        return values

    return made
