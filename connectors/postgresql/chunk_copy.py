"""How one chunk gets from the source's snapshot into the target: COPY to COPY, the projection pushed into the source.

Where the projection cannot be pushed down (a type or function that the source lacks, another locale) the source's own
text goes through the staging table, and the target runs the projection. Pure SQL makers, and the two ways to run them.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from connectors.chunks import EVERYTHING, Bound, Range
from connectors.postgresql.copy_pipe import pipe
from connectors.postgresql.dialect import POSTGRESQL
from connectors.postgresql.transaction import PostgresTransaction
from connectors.seams import Passed, Pushdown
from connectors.sql import merge
from connectors.sql.dialect import GONE
from connectors.tables import MappedTable
from mappers.mapping import Entry
from mappers.projection import qualified, quote

FIRST_USER_OID = 16_384


def probe(source: psycopg.Connection, mapped: MappedTable, *, same_locale: bool) -> Pushdown:
    """Find out on the source itself, with the statement that would run. The connection must be in autocommit."""
    if not same_locale and not all(_plain(entry) for entry in mapped.entries):
        return Pushdown(False, reason="source and target have different locales")
    binary = True
    for entry in mapped.entries:
        try:
            cursor = source.execute((select(mapped, entry, EVERYTHING, ()) + " LIMIT 0").encode())
        except psycopg.Error as error:
            return Pushdown(False, reason=str(error.diag.message_primary))
        result = cursor.pgresult
        assert result is not None
        binary = binary and all(result.ftype(i) < FIRST_USER_OID for i in range(result.nfields))
    return Pushdown(True, binary)


def copy_projected(
    source: psycopg.Connection,
    transaction: PostgresTransaction,
    mapped: MappedTable,
    part: Range,
    fenced: Sequence[Bound],
    pushdown: Pushdown,
    passed: Passed,
) -> int:
    """Write a range's rows into the target tables, projected by the source: plain inserts. Returns source rows."""
    begun(transaction)
    pairs = [copies(mapped, entry, part, fenced, pushdown) for entry in mapped.entries]
    return max(pipe(source, out, transaction.raw, into, passed) for out, into in pairs)


def begun(transaction: PostgresTransaction) -> None:
    """COPY at libpq's level does not begin the transaction by itself."""
    transaction.raw.execute("SELECT")


def copies(
    mapped: MappedTable, entry: Entry, part: Range, fenced: Sequence[Bound], pushdown: Pushdown
) -> tuple[str, str]:
    """What the source runs and what the target runs for one entry's part of a chunk that is pushed down."""
    options = "(FORMAT binary)" if pushdown.binary else "(FORMAT text)"
    names = ", ".join(quote(column.name) for column in entry.columns)
    rows = select(mapped, entry, part, fenced)
    return f"COPY ({rows}) TO STDOUT {options}", f"COPY {qualified(entry.target)} ({names}) FROM STDIN {options}"


def copy_text(
    source: psycopg.Connection,
    transaction: PostgresTransaction,
    mapped: MappedTable,
    part: Range,
    fenced: Sequence[Bound],
    passed: Passed,
) -> int:
    """Bring a range's rows into the target's text staging table, with ordinals from 0. Returns how many."""
    begun(transaction)
    (name,) = transaction.prepare_text(mapped)
    out, into = text_copies(mapped, part, fenced, name)
    return pipe(source, out, transaction.raw, into, passed)


def text_copies(mapped: MappedTable, part: Range, fenced: Sequence[Bound], name: str) -> tuple[str, str]:
    """What the source runs and what the target runs to bring a range's rows into the text staging table `name`."""
    columns = ", ".join(f"{quote(column)}::text" for column in mapped.columns)
    where = in_range(mapped, part, fenced)
    rows = f"SELECT row_number() OVER () - 1, false, 0, {columns} FROM {qualified(mapped.table)} WHERE {where}"
    return f"COPY ({rows}) TO STDOUT", f"COPY {name} FROM STDIN"


def select(mapped: MappedTable, entry: Entry, part: Range, fenced: Sequence[Bound]) -> str:
    """The entry's projection over the source table's rows of one range, typed as the target will see them."""
    columns = ", ".join(f"{quote(name)}::{kind} AS {quote(name)}" for name, kind in mapped.typed_columns)
    where = in_range(mapped, part, fenced)
    rows = f"(SELECT {columns}, false AS {GONE} FROM {qualified(mapped.table)} WHERE {where})"
    names = [column.name for column in entry.columns]
    return f"SELECT {merge.projected(POSTGRESQL, entry, names)} FROM {rows} AS s WHERE {merge.passes(entry)}"


def in_range(mapped: MappedTable, part: Range, fenced: Sequence[Bound]) -> str:
    """Whether a row of the source table is in the range and its key is not among the fenced ones."""
    columns = [quote(name) for name in mapped.form.columns]
    within = POSTGRESQL.keys.within(columns, mapped.form.types, part)
    if not fenced:
        return within
    return f"{within} AND NOT ({POSTGRESQL.keys.among(columns, mapped.form.types, fenced)})"


def _plain(entry: Entry) -> bool:
    """Whether the entry's expressions are columns and casts of columns only, whose result no locale decides."""
    sources = {f"s.{quote(column.name)}" for column in entry.source.columns}
    plain = [column.expression.sql for column in entry.columns]
    bare = [text.removeprefix("CAST(").split(" AS ")[0] for text in plain]
    return entry.where is None and all(text in sources for text in bare)
