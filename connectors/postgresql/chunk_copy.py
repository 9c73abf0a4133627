"""How one chunk gets from the source's snapshot into the target: COPY to COPY, the projection pushed into the source.

Where the projection cannot be pushed down (a type or function that the source lacks, another locale) the source's own
text goes through the staging table, and the target runs the projection. Pure SQL makers, and the two ways to run them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from connectors.chunks import Bound, ChunkRow
from connectors.postgresql import merge
from connectors.postgresql.copy_pipe import pipe
from connectors.postgresql.stage import GONE
from connectors.postgresql.transaction import TargetTransaction
from connectors.tables import MappedTable
from mappers.mapping import Entry
from mappers.projection import qualified, quote

FIRST_USER_OID = 16_384
Passed = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pushdown:
    """Whether the source can run the mapping's projection. reason: why not, for `status`."""

    possible: bool
    binary: bool = False
    reason: str = ""


def probe(source: psycopg.Connection, mapped: MappedTable, *, same_locale: bool) -> Pushdown:
    """Find out on the source itself, with the statement that would run. The connection must be in autocommit."""
    if not same_locale and not all(_plain(entry) for entry in mapped.entries):
        return Pushdown(False, reason="source and target have different locales")
    binary = True
    for entry in mapped.entries:
        try:
            cursor = source.execute((select(mapped, entry, None, None, ()) + " LIMIT 0").encode())
        except psycopg.Error as error:
            return Pushdown(False, reason=str(error.diag.message_primary))
        result = cursor.pgresult
        assert result is not None
        binary = binary and all(result.ftype(i) < FIRST_USER_OID for i in range(result.nfields))
    return Pushdown(True, binary)


def load(
    source: psycopg.Connection,
    transaction: TargetTransaction,
    mapped: MappedTable,
    chunk: ChunkRow,
    fenced: Sequence[Bound],
    pushdown: Pushdown,
    passed: Passed,
) -> int:
    """Write one chunk's rows into the target tables: plain inserts, in the caller's transaction. Returns source rows.

    fenced: keys that were fenced when the chunk was claimed, in text form: theirs to leave alone. passed: told of the
    bytes that went through.
    """
    transaction.raw.execute("SELECT")  # COPY at libpq's level does not begin the transaction by itself
    if not pushdown.possible:
        rows = copy_text(source, transaction, mapped, chunk, fenced, passed)
        transaction.insert_staged(mapped)
        return rows
    pairs = [copies(mapped, entry, chunk, fenced, pushdown) for entry in mapped.entries]
    return max(pipe(source, out, transaction.raw, into, passed) for out, into in pairs)


def copies(
    mapped: MappedTable, entry: Entry, chunk: ChunkRow, fenced: Sequence[Bound], pushdown: Pushdown
) -> tuple[str, str]:
    """What the source runs and what the target runs for one entry's part of a chunk that is pushed down."""
    options = "(FORMAT binary)" if pushdown.binary else "(FORMAT text)"
    names = ", ".join(quote(column.name) for column in entry.columns)
    rows = select(mapped, entry, chunk.lower, chunk.upper, fenced)
    return f"COPY ({rows}) TO STDOUT {options}", f"COPY {qualified(entry.target)} ({names}) FROM STDIN {options}"


def copy_text(
    source: psycopg.Connection,
    transaction: TargetTransaction,
    mapped: MappedTable,
    chunk: ChunkRow,
    fenced: Sequence[Bound],
    passed: Passed,
) -> int:
    """Bring a chunk's rows into the target's text staging table, with ordinals from 0. Returns how many."""
    out, into = text_copies(mapped, chunk, fenced, transaction.prepare_text(mapped))
    return pipe(source, out, transaction.raw, into, passed)


def text_copies(mapped: MappedTable, chunk: ChunkRow, fenced: Sequence[Bound], name: str) -> tuple[str, str]:
    """What the source runs and what the target runs to bring a chunk's rows into the text staging table `name`."""
    columns = ", ".join(f"{quote(column)}::{kind}::text" for column, kind in mapped.text_columns)
    where = _range(mapped, chunk.lower, chunk.upper, fenced)
    rows = f"SELECT row_number() OVER () - 1, false, 0, {columns} FROM {qualified(mapped.table)} WHERE {where}"
    return f"COPY ({rows}) TO STDOUT", f"COPY {name} FROM STDIN"


def select(mapped: MappedTable, entry: Entry, lower: Bound | None, upper: Bound | None, fenced: Sequence[Bound]) -> str:
    """The entry's projection over the source table's rows of one chunk, typed as the target will see them."""
    columns = ", ".join(f"{quote(name)}::{kind} AS {quote(name)}" for name, kind in mapped.text_columns)
    where = _range(mapped, lower, upper, fenced)
    rows = f"(SELECT {columns}, false AS {GONE} FROM {qualified(mapped.table)} WHERE {where})"
    names = [column.name for column in entry.columns]
    return f"SELECT {merge.projected(entry, names)} FROM {rows} AS s WHERE {merge.passes(entry)}"


def _range(mapped: MappedTable, lower: Bound | None, upper: Bound | None, fenced: Sequence[Bound]) -> str:
    key = "(" + ", ".join(quote(name) for name in mapped.form.columns) + ")"
    parts = []
    if lower is not None:
        parts.append(f"{key} >= {_values(mapped, lower)}")
    if upper is not None:
        parts.append(f"{key} < {_values(mapped, upper)}")
    if fenced:
        parts.append(f"{key} NOT IN (VALUES {', '.join(_values(mapped, row) for row in fenced)})")
    return " AND ".join(parts) or "true"


def _values(mapped: MappedTable, values: Bound) -> str:
    literals = (
        f"{sql.Literal(value).as_string()}::{kind}" for value, kind in zip(values, mapped.form.types, strict=True)
    )
    return "(" + ", ".join(literals) + ")"


def _plain(entry: Entry) -> bool:
    """Whether the entry's expressions are columns and casts of columns only, whose result no locale decides."""
    sources = {f"s.{quote(column.name)}" for column in entry.source.columns}
    plain = [column.expression.sql for column in entry.columns]
    bare = [text.removeprefix("CAST(").split(" AS ")[0] for text in plain]
    return entry.where is None and all(text in sources for text in bare)
