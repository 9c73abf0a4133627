"""Reads and tries what a plan is made of. The target is only written to within transactions that are rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.chunks import ChunkRow
from connectors.control.store import ControlStore
from connectors.seams import Pushdown
from connectors.source_database import SourceDatabase
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from daemon.plan import sample as plan_sample
from daemon.plan.document import TableFacts

COUNTED_MAX = 100_000
"""Rows that are counted where the catalogue has no estimate, because nothing has analysed the table yet."""


@dataclass(frozen=True)
class Bench:
    """Where a plan is tried. partitions: source table -> partitions of its topic, or to be."""

    source: SourceDatabase
    target: SqlTarget
    control: ControlStore
    partitions: Mapping[str, int]


def facts(bench: Bench, tables: Mapping[str, tuple[MappedTable, Pushdown]], rows: int) -> list[TableFacts]:
    """What is known of each table, and a sample of `rows` of its rows tried for real.

    Raises TransientError while source or target cannot be reached.
    """
    chunks = _chunks(bench)
    return [_facts(bench, *tables[name], chunks.get(name, []), rows) for name in sorted(tables)]


def _facts(bench: Bench, mapped: MappedTable, pushdown: Pushdown, chunks: list[ChunkRow], rows: int) -> TableFacts:
    count, exact = _rows(bench.source, mapped)
    started = bool(chunks)
    return TableFacts(
        mapped,
        pushdown,
        bench.target.dialect,
        bench.target.stage_of(mapped.parts[0]),
        count,
        exact,
        chunks,
        bench.partitions.get(mapped.name, 1),
        [] if started else _not_empty(bench.target, mapped),
        plan_sample.take(bench.source, bench.target, mapped, pushdown, rows, loaded=started),
    )


def _rows(source: SourceDatabase, mapped: MappedTable) -> tuple[int, bool]:
    """(rows, whether that is exact): the catalogue's estimate, or counted where it has none."""
    if mapped.table.rows_estimate > 0:
        return mapped.table.rows_estimate, False
    count = source.count_up_to(mapped, COUNTED_MAX)
    return count, count < COUNTED_MAX


def _not_empty(target: SqlTarget, mapped: MappedTable) -> list[str]:
    with target.begin(reading=True) as transaction:
        entries = [entry for entry in mapped.entries if entry.not_empty == "refuse"]
        return [entry.target.full_name for entry in entries if transaction.has_rows(entry.target)]


def _chunks(bench: Bench) -> dict[str, list[ChunkRow]]:
    with bench.target.begin(reading=True) as transaction:
        if not bench.control.exists(transaction.control):
            return {}
        found: dict[str, list[ChunkRow]] = {}
        for row in bench.control.chunks.all(transaction.control):
            found.setdefault(row.table, []).append(row)
        return found
