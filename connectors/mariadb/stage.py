"""MariaDB's and MySQL's staging tables (`connectors.sql.stage`): filled by LOAD DATA LOCAL, or by long statements.

Both shapes hold the same (`forms.py`). In MariaDB they are Aria tables without a log: they hold wide rows that InnoDB
refuses, and are emptied at once. A rollback does not empty them, so that whoever fills one empties it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pymysql.converters import escape_string

from connectors.mariadb import forms
from connectors.mariadb.infile import Connection
from connectors.mariadb.types import TEXTUAL, read
from connectors.mariadb.warnings import checked
from connectors.seams import Staged, StagedText
from connectors.sql.dialect import GONE, GROUP, NUMBER, key_text
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.errors import RecordError
from mappers.projection import quote

COLUMNS_MAX = 1500
"""Aria's tables have room for so many columns of text, and some to spare."""
STATEMENT_BYTES = 1 << 20
"""How long a statement of many rows grows, where one row does not need more."""
_HEAD = "n int NOT NULL, gone tinyint NOT NULL, m smallint NOT NULL"
_LOAD = (
    "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {name} CHARACTER SET binary"
    r" FIELDS TERMINATED BY '\t' ENCLOSED BY '' ESCAPED BY '\\' LINES STARTING BY '' TERMINATED BY '\n'"
)
"""In character set binary every byte is taken as it is; texts are checked to be UTF-8 all the same."""
_NULL = b"\\N"
Fields = Sequence[forms.Field | None]


@dataclass(frozen=True)
class MariadbStage:
    """The temporary tables of one source table. types: source column -> its staged type. key: where its key's columns
    are. options: what follows the columns of a temporary table. raw: None where only the SQL is wanted.
    """

    number: int
    columns: tuple[WireColumn, ...]
    types: Mapping[str, str]
    key: tuple[int, ...]
    options: str
    raw: Connection | None = None
    where: str = ""
    emptied_on_commit = False

    @property
    def wire_name(self) -> str:
        """The temporary table for rows of the stream."""
        return f"changeover_stage_{self.number}"

    @property
    def text_name(self) -> str:
        """The temporary table for rows in the source's text form."""
        return f"changeover_stage_text_{self.number}"

    def ddl(self) -> Sequence[str]:
        """Creates both tables; they live as long as the session. Creating a temporary table commits nothing."""
        columns = ", ".join([_HEAD, *(f"c{i} {forms.storage(column)}" for i, column in enumerate(self.columns))])
        texts = "".join(f", t{i} longtext" for i in self._kept)
        return [
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.wire_name} ({columns}) {self.options}",
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.text_name} ({columns}{texts}) {self.options}",
        ]

    @cached_property
    def _kept(self) -> tuple[int, ...]:
        """The columns whose own text the text table has beside them."""
        return tuple(i for i, column in enumerate(self.columns) if not forms.keeps_text(column))

    def typed(self, name: str) -> str:
        """The relation the mapping selects from: the source's columns by name, as values of the staged types."""
        parts = [f"{forms.value(f'c{i}', c, self.types[c.name])} AS {quote(c.name)}" for i, c in self._numbered]
        if name == self.text_name:
            parts += [f"{self.text_of(index)} AS {key_text(index)}" for index in self.key]
        return f"(SELECT n AS {NUMBER}, gone AS {GONE}, m AS {GROUP}, {', '.join(parts)} FROM {name})"

    def text_of(self, index: int) -> str:
        """The source's own text of a column, in the text table."""
        return f"t{index}" if index in self._kept else forms.text_of(f"c{index}", self.columns[index])

    def empty(self) -> str:
        """The same relation without rows and without the staging tables; over `shape`, which has the exact types."""
        casts = ", ".join(self._nothing(i, column) for i, column in self._numbered)
        return f"(SELECT {casts} FROM {self.shape_name} WHERE false)"

    @property
    def shape_name(self) -> str:
        """The temporary table that `empty` selects from."""
        return f"changeover_shape_{self.number}"

    def shape(self) -> str:
        """Creates it: a column of the staged type for each that no cast makes; texts are cast, as they may be long."""
        plain = [f"c{i} {self.types[column.name]}" for i, column in self._numbered if not self._is_text(column)]
        columns = ", ".join(["n int", *plain])
        return f"CREATE TEMPORARY TABLE {self.shape_name} ({columns}) {self.options}"

    def _nothing(self, index: int, column: WireColumn) -> str:
        if not self._is_text(column):
            return f"c{index} AS {quote(column.name)}"
        kind = read(self.types[column.name])
        length = f"({kind.numbers[0]})" if kind.name in ("char", "varchar") and kind.numbers else ""
        return f"CAST(NULL AS CHAR{length}) AS {quote(column.name)}"

    def _is_text(self, column: WireColumn) -> bool:
        kind = read(self.types[column.name])
        return kind.family in TEXTUAL and kind.name not in ("enum", "set")

    @property
    def _numbered(self) -> Iterable[tuple[int, WireColumn]]:
        return enumerate(self.columns)

    def load(self, rows: Iterable[Staged]) -> None:
        """Add rows of the stream to the wire table."""
        convert = self._from_wire
        self._fill(self.wire_name, ((n, gone, m, _converted(row, convert)) for n, gone, m, row in rows))

    def load_text(self, rows: Iterable[StagedText]) -> None:
        """Add rows in the source's text form to the text table."""
        convert, kept = self._from_text, self._kept
        texts = ((n, gone, 0, [*_converted(row, convert), *(row[i] for i in kept)]) for n, gone, row in rows)
        self._fill(self.text_name, texts)

    @cached_property
    def _from_wire(self) -> tuple[forms.Convert | None, ...]:
        return tuple(map(forms.from_wire, self.columns))

    @cached_property
    def _from_text(self) -> tuple[forms.Convert | None, ...]:
        return tuple(map(forms.from_text, self.columns))

    def _fill(self, name: str, rows: Iterator[tuple[int, bool, int, Fields]]) -> None:
        assert self.raw is not None
        if self.raw.can_load:
            self.raw.load(_LOAD.format(name=name), (_line(*row) for row in rows))
            checked(self.raw, self.where)
            return
        for statement in _inserts(name, rows, self.raw.packet_max, self.where):
            self.raw.query(statement)
            checked(self.raw, self.where)


def stage_of(mapped: MappedTable, options: str, raw: Connection | None = None, where: str = "") -> MariadbStage:
    """The staging tables of a mapped table."""
    return MariadbStage(mapped.number, mapped.staged, mapped.types, mapped.key_indices, options, raw, where)


def _converted(row: Sequence[Any], converts: Sequence[forms.Convert | None]) -> list[forms.Field | None]:
    return [
        value if convert is None or value is None else convert(value)
        for value, convert in zip(row, converts, strict=True)
    ]


def _line(number: int, gone: bool, group: int, fields: Fields) -> bytes:
    """One row as LOAD DATA reads it."""
    head = b"%d\t%d\t%d" % (number, gone, group)
    return b"\t".join([head, *(map(_field, fields))]) + b"\n"


def _field(value: forms.Field | None) -> bytes:
    """Escapes are for what ends a field or a line, for what begins an escape, and for NUL."""
    if value is None:
        return _NULL
    data = value.encode() if isinstance(value, str) else value
    data = data.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")
    return data.replace(b"\0", b"\\0")


def _inserts(name: str, rows: Iterable[tuple[int, bool, int, Fields]], packet_max: int, where: str) -> Iterator[bytes]:
    """Statements of many rows, none longer than the server takes. Raises RecordError where one row is."""
    head = f"INSERT INTO {name} VALUES ".encode()
    limit = min(STATEMENT_BYTES, packet_max - 1)
    held: list[bytes] = []
    size = len(head)
    for number, gone, group, fields in rows:
        row = b"(%d,%d,%d,%s)" % (number, gone, group, b",".join(map(_constant, fields)))
        if held and size + len(row) + 1 > limit:
            yield head + b",".join(held)
            held, size = [], len(head)
        if len(head) + len(row) >= packet_max:
            what = f"a row takes {len(row)} bytes in a statement, and the server takes {packet_max}"
            raise RecordError(what, where=where, hint="raise max_allowed_packet of the server", reason="too_large")
        held.append(row)
        size += len(row) + 1
    if held:
        yield head + b",".join(held)


def _constant(value: forms.Field | None) -> bytes:
    if value is None:
        return b"NULL"
    if isinstance(value, bytes):
        return b"X'%s'" % value.hex().encode()
    return b"'%s'" % escape_string(value).encode()
