"""The judge of the integration tests: says in hand-written SQL over the source what the target must contain.

It shares nothing with the product: no code, no mapping, no SQL, no table of types. Each side is one query that makes
text of every value; all rows of both are compared, as they are.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql
from pymysql.converters import escape_bool

Mariadb = pymysql.connections.Connection
Reader = psycopg.Connection | sqlite3.Connection | Mariadb
_ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})
SHOWN = 6
_PINNED = "-c timezone=UTC -c datestyle=ISO -c client_encoding=UTF8 -c extra_float_digits=1"


class ContentDiffers(AssertionError):
    """The target does not contain what the source says it must."""


@dataclass(frozen=True)
class Question:
    """One target table: what the source says must be in it, and what is in it. Same number of columns, any order."""

    table: str
    expected: str
    actual: str


@dataclass(frozen=True)
class Answer:
    """How both sides of one table compare. `missing` and `extra` are whole rows; a changed row is one of each."""

    table: str
    rows: int
    missing: Sequence[bytes]
    extra: Sequence[bytes]

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows, each as often."""
        return not self.missing and not self.extra

    def __str__(self) -> str:
        lines = [f"{self.table}: {self.rows} rows, {len(self.missing)} missing, {len(self.extra)} that must not be"]
        lines += [f"  missing {_short(row)}" for row in self.missing[:SHOWN]]
        lines += [f"  extra   {_short(row)}" for row in self.extra[:SHOWN]]
        return "\n".join(lines)


def compare(source_url: str, target_url: str, questions: Sequence[Question]) -> list[Answer]:
    """Compare every table, each side in one snapshot. The source must be at rest."""
    with _reader(source_url) as source, _reader(target_url) as target:
        return [_compare(question, source, target) for question in questions]


def assert_equal(source_url: str, target_url: str, questions: Sequence[Question], context: str = "") -> int:
    """Raise ContentDiffers, with examples, unless all tables are equal. Returns how many rows were compared."""
    answers = compare(source_url, target_url, questions)
    wrong = [str(answer) for answer in answers if not answer.equal]
    if wrong:
        raise ContentDiffers("\n".join([*wrong, *([context] if context else [])]))
    return sum(answer.rows for answer in answers)


def answer(url: str, query: str) -> list[list[str]]:
    """The rows of a query in its order, as the engine writes them; NULL for what is not there."""
    with _reader(url) as reader:
        lines = _lines(reader, query)
    return [["NULL" if cell == "\\N" else cell for cell in line.decode().split("\t")] for line in lines]


def _reader(url: str) -> AbstractContextManager[Reader]:
    if url.startswith("sqlite:"):
        return closing(_file(url))
    return closing(_mariadb(url)) if url.startswith("mariadb:") else _server(url)


def _mariadb(url: str) -> Mariadb:
    """Values as the server's own text; bytes where a column is binary."""
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname or "", port=parts.port or 3306, user=parts.username or "",
        password=unquote(parts.password or ""), database=parts.path.strip("/"), charset="utf8mb4",
        conv={bool: escape_bool},
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES', time_zone = '+00:00'")
    return connection


def _file(url: str) -> sqlite3.Connection:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
    connection.execute("BEGIN")
    return connection


def _server(url: str) -> psycopg.Connection:
    connection = psycopg.connect(url, options=_PINNED, connect_timeout=10)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def _compare(question: Question, source: Reader, target: Reader) -> Answer:
    expected, actual = _rows(source, question.expected), _rows(target, question.actual)
    missing, extra = expected - actual, actual - expected
    return Answer(question.table, actual.total(), sorted(missing.elements()), sorted(extra.elements()))


def _copied(value: object) -> str:
    """A value of another engine as COPY would write it."""
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return f"\\\\x{value.hex()}"
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return text.translate(_ESCAPES)


def _rows(connection: Reader, query: str) -> Counter[bytes]:
    """How often each row of a query is there."""
    return Counter(_lines(connection, query))


def _lines(connection: Reader, query: str) -> list[bytes]:
    """The rows of a query in COPY's text form, which tells NULL from every text."""
    if isinstance(connection, sqlite3.Connection):
        return ["\t".join(map(_copied, row)).encode() for row in connection.execute(query)]
    if isinstance(connection, Mariadb):
        with connection.cursor() as plain:
            plain.execute(query)
            return ["\t".join(map(_copied, row)).encode() for row in plain.fetchall()]
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
        data = b"".join(copy)
    return data.split(b"\n")[:-1]


def _short(row: bytes) -> str:
    text = row.decode(errors="replace")
    return text if len(text) <= 160 else f"{text[:110]}…({len(text)})…{text[-30:]}"
