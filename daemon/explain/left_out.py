"""Which applied events made no row, because the mapping's `where` leaves theirs out: asked of the target's engine."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.seams import Staged
from connectors.sql.preview import passing_any
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from daemon.explain.key_history import Outcome, Told

Place = tuple[str, int, int]
"""(topic, partition, offset)."""


def left_out(transaction: SqlTransaction, mapped: MappedTable, told: Sequence[Told]) -> set[Place]:
    """The places of those events of one table. A row whose filter cannot be computed from the event is not among them.

    Stages rows: the transaction is to be rolled back.
    """
    if any(entry.where is None for entry in mapped.entries):
        return set()
    rows, places = _staged(mapped, told)
    if not rows:
        return set()
    taken = passing_any(transaction, mapped, rows)
    return {place for number, place in enumerate(places) if number not in taken}


def _staged(mapped: MappedTable, told: Sequence[Told]) -> tuple[list[Staged], list[Place]]:
    needed = frozenset[str]().union(*(entry.where.inputs for entry in mapped.entries if entry.where))
    rows: list[Staged] = []
    places: list[Place] = []
    for one in told:
        change = one.seen.change
        absent = {mapped.columns[index] for index in change.missing}
        if one.outcome is Outcome.APPLIED and change.row is not None and needed.isdisjoint(absent):
            rows.append((len(places), False, 0, change.row))
            places.append((one.seen.topic, one.seen.partition, change.offset))
    return rows, places
