"""PostgreSQL's staging tables (`connectors.sql.stage`).

The wire shape takes a stream's neutral values by binary COPY, which carries no type oids, so that integers go straight
into timestamps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from connectors.change import Row
from connectors.seams import Staged, StagedText
from connectors.sql.dialect import GONE, GROUP, NUMBER, key_text
from connectors.tables import MappedTable
from connectors.wire import INFINITY_US, Wire, WireColumn
from mappers.projection import quote

PG_EPOCH_US = 946_684_800_000_000
PG_EPOCH_DAYS = 10_957
INT8_MAX = (1 << 63) - 1
INT4_MAX = (1 << 31) - 1

COLUMN_TYPES = {
    Wire.INT: ("int8", "int8"),
    Wire.FLOAT: ("float8", "float8"),
    Wire.BOOL: ("bool", "bool"),
    Wire.TEXT: ("text", "text"),
    Wire.BYTES: ("bytea", "bytea"),
    Wire.DATE: ("date", "int4"),
    Wire.TIME: ("time", "int8"),
    Wire.TIMESTAMP: ("timestamp", "int8"),
    Wire.ARRAY: ("text", "text"),
}
"""Wire kind -> (column type of the temporary table, type that the value is written as)."""


@dataclass(frozen=True, slots=True)
class PostgresStage:
    """The temporary tables of one source table. types: source column -> its type as the target knows it.

    key: where the source key's columns are. connection: None where only the SQL is wanted.
    """

    number: int
    columns: tuple[WireColumn, ...]
    types: Mapping[str, str]
    key: tuple[int, ...]
    connection: psycopg.Connection | None = None
    emptied_on_commit = True

    @property
    def wire_name(self) -> str:
        """The temporary table for rows of the stream."""
        return f"pg_temp.stage_{self.number}"

    @property
    def text_name(self) -> str:
        """The temporary table for rows in the source's text form."""
        return f"pg_temp.stage_text_{self.number}"

    def ddl(self) -> Sequence[str]:
        """Creates both tables; they live as long as the connection and are empty after every commit."""
        wires = ", ".join(f"c{i} {COLUMN_TYPES[column.kind][0]}" for i, column in enumerate(self.columns))
        texts = ", ".join(f"c{i} text" for i in range(len(self.columns)))
        head = "n int4 NOT NULL, gone bool NOT NULL, m int2 NOT NULL"
        return [
            f"CREATE TEMP TABLE IF NOT EXISTS {name.split('.')[1]} ({head}, {columns}) ON COMMIT DELETE ROWS"
            for name, columns in ((self.wire_name, wires), (self.text_name, texts))
        ]

    def typed(self, name: str) -> str:
        """The relation the mapping selects from: the source's columns by name, in the source's types."""
        casts = ", ".join(self._cast(i, column, name) for i, column in enumerate(self.columns))
        if name == self.text_name:
            casts += "".join(f", c{index} AS {key_text(index)}" for index in self.key)
        return f"(SELECT n AS {NUMBER}, gone AS {GONE}, m AS {GROUP}, {casts} FROM {name})"

    def empty(self) -> str:
        """The same relation without rows and without the temporary tables: for checking a projection."""
        casts = ", ".join(f"CAST(NULL AS {self.types[c.name]}) AS {quote(c.name)}" for c in self.columns)
        return f"(SELECT {casts} WHERE false)"

    def _cast(self, index: int, column: WireColumn, name: str) -> str:
        plain = name == self.wire_name and COLUMN_TYPES[column.kind][0] == self.types[column.name]
        value = f"c{index}" if plain else f"CAST(c{index} AS {self.types[column.name]})"
        return f"{value} AS {quote(column.name)}"

    def load(self, rows: Iterable[Staged]) -> None:
        """COPY rows of the stream into the wire table."""
        assert self.connection is not None
        convert = self._converter()
        types = ["int4", "bool", "int2", *(COLUMN_TYPES[column.kind][1] for column in self.columns)]
        statement = f"COPY {self.wire_name} FROM STDIN (FORMAT binary)"
        with self.connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types(types)
            write = copy.write_row
            for number, gone, group, values in rows:
                write((number, gone, group, *(convert(values) if convert else values)))

    def load_text(self, rows: Iterable[StagedText]) -> None:
        """COPY rows in the source's text form into the text table."""
        assert self.connection is not None
        with self.connection.cursor() as cursor, cursor.copy(f"COPY {self.text_name} FROM STDIN".encode()) as copy:
            for number, gone, values in rows:
                copy.write_row((number, gone, 0, *values))

    def _converter(self) -> Callable[[Row], Sequence[object]] | None:
        converters = [(i, CONVERT[c.kind]) for i, c in enumerate(self.columns) if c.kind in CONVERT]
        if not converters:
            return None

        def convert(row: Row) -> Sequence[object]:
            values = list(row)
            for index, function in converters:
                value = values[index]
                if value is not None:
                    values[index] = function(value)
            return values

        return convert


def _timestamp(value: int) -> int:
    if abs(value) >= INFINITY_US:
        return INT8_MAX if value > 0 else -INT8_MAX - 1
    return value - PG_EPOCH_US


def _date(value: int) -> int:
    if abs(value) >= INFINITY_US:
        return INT4_MAX if value > 0 else -INT4_MAX - 1
    return value - PG_EPOCH_DAYS


def array_literal(values: Sequence[object]) -> str:
    """PostgreSQL's text form of a one-dimensional array."""
    return "{" + ",".join(_element(value) for value in values) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


CONVERT: dict[Wire, Callable[..., object]] = {
    Wire.DATE: _date,
    Wire.TIMESTAMP: _timestamp,
    Wire.ARRAY: array_literal,
}


def stage_of(mapped: MappedTable, connection: psycopg.Connection | None = None) -> PostgresStage:
    """The staging tables of a mapped table."""
    return PostgresStage(mapped.number, mapped.staged, mapped.types, mapped.key_indices, connection)
