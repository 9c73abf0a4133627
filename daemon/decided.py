"""What a person decided about rows that were made by another mapping, or of a table that was altered since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from connectors.control.shapes import Stored
from connectors.control.store import ControlStore
from connectors.source_log import SourceLog
from connectors.sql.target import SqlTarget
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from daemon.barrier import Barrier
from daemon.drift import differences
from daemon.prepare import Topic
from daemon.stream.guard import mend
from mappers.errors import ConfigError, FatalError, Problem

Ends = Callable[[Iterable[str]], Mapping[tuple[str, int], int]]
"""Topics -> the high watermark of each of their partitions."""


def altered(tables: Mapping[str, MappedTable], stored: Mapping[str, Stored]) -> list[Problem]:
    """What became of the source's tables since their rows were made, where a person must decide. Pure."""
    return [
        Problem(("tables", entry.index, "from"), f"source table {name}: {drift.what}", mend(mapped, drift))
        for name, mapped in tables.items()
        if name in stored
        for drift in differences(stored[name].shape, mapped.shape, mapped.columns).stops[:1]
        for entry in mapped.entries
    ]


class Decided:
    """Makes the rows anew, or keeps them. ends: asked once the connector has delivered what was before."""

    def __init__(self, log: SourceLog, target: SqlTarget, control: ControlStore, barrier: Barrier, ends: Ends) -> None:
        self._log = log
        self._target = target
        self._control = control
        self._barrier = barrier
        self._ends = ends

    def take(
        self,
        tables: Mapping[str, MappedTable],
        topics: Mapping[str, Topic],
        rebackfill: Sequence[str],
        accept: Sequence[str],
    ) -> None:
        """What the user decided about changed mappings and altered tables: make the rows anew, or keep them."""
        known = {entry.target.full_name for mapped in tables.values() for entry in mapped.entries}
        for name in (*rebackfill, *accept):
            if name not in known:
                raise FatalError(f"no target table {name} in the mapping", hint=f"one of {', '.join(sorted(known))}")
        for mapped in tables.values():
            mine = {entry.target.full_name: entry for entry in mapped.entries}
            if mine.keys() & set(rebackfill):
                self._rebackfill(mapped)
            elif mine.keys() <= set(accept):
                self._keep_rows(mapped, topics[mapped.name])
            with self._target.begin() as transaction:
                for name in mine.keys() & {*rebackfill, *accept}:
                    self._control.pipeline.put_fingerprint(transaction.control, mine[name].name, mine[name].fingerprint)

    def _rebackfill(self, mapped: MappedTable) -> None:
        """As a truncate would: empty the targets and read every chunk again. No batch of the table is in flight.

        The noted transaction is a new one: the table may have joined the publication only now, beside transactions that
        had written to it before.
        """
        with self._target.begin() as transaction:
            reload(self._control, transaction, mapped)
            if (row := self._control.pipeline.get(transaction.control)) is not None:
                row = replace(row, noted_xid=self._log.noted())
                self._control.pipeline.put(transaction.control, row)

    def _keep_rows(self, mapped: MappedTable, topic: Topic) -> None:
        """The rows stay. Of what the stream has from before the table was altered, only the keys are used."""
        with self._target.begin() as transaction:
            stored = self._control.shapes.all(transaction.control).get(mapped.name)
        if stored is None or stored.shape == mapped.shape:
            return
        self._barrier.delivered(self._barrier.sentinel())
        ends = {partition: end for (_, partition), end in self._ends([topic.name]).items()}
        kept = Stored(mapped.shape, stored.ignored, mapped.read_after, ends)
        with self._target.begin() as transaction:
            self._control.shapes.put(transaction.control, mapped.name, kept)


def reload(control: ControlStore, transaction: SqlTransaction, mapped: MappedTable) -> None:
    """Rule 10 by request: empty what the table feeds, and have every chunk of it read again. Raises ConfigError.

    The chunks first: a worker that is about to finish one either has, and its rows are emptied too, or it cannot.
    """
    refuse_kept(mapped)
    control.positions.lock_table(transaction.control, mapped.name)
    control.restart_table(transaction.control, mapped.name)
    control.shapes.put(transaction.control, mapped.name, Stored(mapped.shape, altered=mapped.read_after))
    transaction.truncate(mapped)


def refuse_kept(mapped: MappedTable) -> None:
    """Raise ConfigError where a target of the table has rows of others: then it cannot be emptied."""
    problems = [
        Problem(
            ("tables", entry.index, "if_not_empty"),
            f"{entry.target.full_name} keeps rows that are not this pipeline's, so it cannot be emptied",
            "delete the pipeline's own rows by hand, and start it under another name",
        )
        for entry in mapped.entries
        if entry.not_empty == "keep"
    ]
    if problems:
        raise ConfigError(problems)
