"""How rows get from one source snapshot into one target's staging table, whatever engines the two are.

Two PostgreSQL servers pass the bytes of one COPY into another; every other pair goes by batches of text rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.chunks import Bound, Range
from connectors.postgresql import chunk_copy
from connectors.postgresql.reading import PostgresReading
from connectors.postgresql.stage import PostgresStage
from connectors.postgresql.transaction import PostgresTransaction
from connectors.seams import Passed, Pushdown, Reading, TargetTransaction
from connectors.sql.stage import Stage
from connectors.tables import MappedTable
from mappers.mapping import Entry

BATCH_ROWS = 1_000


def load(
    reading: Reading,
    transaction: TargetTransaction,
    mapped: MappedTable,
    part: Range,
    fenced: Sequence[Bound],
    pushdown: Pushdown,
    passed: Passed,
) -> int:
    """Write one chunk's rows into the target tables: plain inserts, in the caller's transaction. Returns source rows.

    fenced: keys that were fenced when the chunk was claimed, in text form: theirs to leave alone.
    """
    if pushdown.possible and isinstance(reading, PostgresReading) and isinstance(transaction, PostgresTransaction):
        return chunk_copy.copy_projected(reading.connection, transaction, mapped, part, fenced, pushdown, passed)
    rows = copy_text(reading, transaction, mapped, part, fenced, passed)
    transaction.insert_staged(mapped)
    return rows


def statements(mapped: MappedTable, entry: Entry, part: Range, pushdown: Pushdown, stage: Stage) -> dict[str, str]:
    """What brings one entry's part of a range, at both ends, to be shown; empty where it is no statement."""
    if pushdown.possible:
        out, into = chunk_copy.copies(mapped, entry, part, (), pushdown)
    elif isinstance(stage, PostgresStage):
        out, into = chunk_copy.text_copies(mapped, part, (), stage.text_name)
    else:
        return {}
    return {"source": out, "target": into}


def copy_text(
    reading: Reading,
    transaction: TargetTransaction,
    mapped: MappedTable,
    part: Range,
    fenced: Sequence[Bound],
    passed: Passed,
) -> int:
    """Bring a range's rows into the target's text staging table, with ordinals from 0. Returns how many."""
    if isinstance(reading, PostgresReading) and isinstance(transaction, PostgresTransaction) and mapped.plain:
        return chunk_copy.copy_text(reading.connection, transaction, mapped, part, fenced, passed)
    return transaction.stage_texts(mapped, reading.texts(mapped, part, fenced, BATCH_ROWS), passed)
