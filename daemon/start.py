"""Rule 1: how tables join a pipeline. Topics' ends are noted, then a transaction id, and only then is the source read.

Before that the connector has proved that it delivers: a message written to the log came back as a committed position.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from connectors.chunks import Position
from connectors.control.pipeline import PipelineRow
from connectors.control.shapes import Stored
from connectors.control.store import ControlStore
from connectors.source_database import SourceDatabase
from connectors.source_log import LogState, SourceLog
from connectors.sql.target import SqlTarget
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from daemon.barrier import Barrier
from daemon.decided import Decided, Ends, altered, refuse_kept
from daemon.prepare import Topic, fingerprint_problems
from mappers.errors import ConfigError, FatalError, NotReadyError, Problem

log = logging.getLogger(__name__)
START_WATER = (0, 0)
"""The high water of a partition in which nothing was seen yet: an event whose last commit is unknown is below it."""


class Start:
    """Brings the control state of a pipeline up to its configuration. Idempotent; replicas may start together."""

    def __init__(
        self,
        source: SourceDatabase,
        log: SourceLog,
        target: SqlTarget,
        control: ControlStore,
        barrier: Barrier,
        ends: Ends,
        chunk_rows: int,
    ) -> None:
        self._source = source
        self._log = log
        self._target = target
        self._control = control
        self._barrier = barrier
        self._ends = ends
        self._chunk_rows = chunk_rows
        self._decided = Decided(log, target, control, barrier, ends)

    def run(
        self,
        tables: Mapping[str, MappedTable],
        topics: Mapping[str, Topic],
        messages: Topic,
        *,
        rebackfill: Sequence[str] = (),
        accept: Sequence[str] = (),
        anew: bool = False,
    ) -> None:
        """Create or upgrade the control schema, check what is stored against what is there, and start new tables."""
        with self._target.begin() as transaction:
            self._control.ensure(transaction.control)
            if anew:
                self._forget(transaction, tables)
        self._decided.take(tables, topics, rebackfill, accept)
        with self._target.begin(reading=True) as transaction:
            new = self._check(transaction, tables, topics, messages)
        if new:
            self._start(tables, topics, messages)

    def check(self, tables: Mapping[str, MappedTable], topics: Mapping[str, Topic], messages: Topic) -> list[str]:
        """What `run` checks, for a pipeline that runs already, without changing anything; returns the new tables."""
        with self._target.begin(reading=True) as transaction:
            if not self._control.exists(transaction.control):
                raise NotReadyError("the pipeline has not been started", hint="run `changeover run` once")
            new = self._check(transaction, tables, topics, messages)
            self._refuse_rows(transaction, {name: tables[name] for name in new})
        self._check_published({name: tables[name] for name in new})
        return new

    def close(self) -> None:
        """Close the connections to the source."""
        self._source.close()
        self._log.close()
        self._barrier.close()

    def _check_published(self, new: Mapping[str, MappedTable]) -> None:
        """A table that joins must be in the stream by then, or its changes would be nowhere."""
        tables = [(mapped.table.schema, mapped.table.name) for mapped in new.values()]
        if missing := self._log.unread(tables):
            what = f"the stream does not have the changes of {', '.join(missing)}"
            raise FatalError(what, where="source", hint="run `changeover connector apply`")

    def _check(
        self,
        transaction: SqlTransaction,
        tables: Mapping[str, MappedTable],
        topics: Mapping[str, Topic],
        messages: Topic,
    ) -> list[str]:
        row = self._control.pipeline.get(transaction.control)
        if row is not None and row.source_id != self._log.identity():
            raise FatalError(
                "the source is another database than the one this pipeline was started on",
                where=f"pipeline {self._control.name}",
                hint="after a restore or a rebuild start it over: `run --anew`",
            )
        if row is not None:
            self._check_stream(row)
        problems = altered(tables, self._control.shapes.all(transaction.control))
        said = {problem.path for problem in problems}
        stored = self._control.pipeline.fingerprints(transaction.control)
        problems += [p for p in fingerprint_problems(tables, stored) if (*p.path, "from") not in said]
        if problems:
            raise ConfigError(problems)
        check_topics(self._control.positions.all(transaction.control), [*topics.values(), messages])
        return sorted(tables.keys() - self._control.tables.versions(transaction.control).keys())

    def _check_stream(self, row: PipelineRow) -> None:
        """A log that is gone, or was made anew with its connector, has missed changes that nobody can bring back."""
        check_log(self._log.state(), self._log.where)
        if row.stream_id not in ("", self._log.stream_id()):
            what = "the connector was deleted since this pipeline started"
            raise FatalError(
                f"{what}: changes were lost that the stream has not seen", where=self._log.where, hint=OVER
            )

    def _start(self, tables: Mapping[str, MappedTable], topics: Mapping[str, Topic], messages: Topic) -> None:
        self._barrier.delivered(self._barrier.sentinel())
        with self._target.begin() as transaction:
            self._control.pipeline.lock_start(transaction.control)
            known = self._control.tables.versions(transaction.control)
            new = {name: mapped for name, mapped in tables.items() if name not in known}
            if not new:
                return
            self._refuse_rows(transaction, new)
            first = self._control.pipeline.get(transaction.control) is None
            named = {name: topics[name] for name in new} | ({"": messages} if first else {})
            self._note(transaction, named)
            for name, mapped in new.items():
                self._plan_chunks(transaction, mapped)
                log.info("table joins the pipeline", extra={"table": name})

    def _note(self, transaction: SqlTransaction, topics: Mapping[str, Topic]) -> None:
        """The topics' ends first, the transaction id after them."""
        ends = self._ends([topic.name for topic in topics.values()])
        names = {topic.name: name or None for name, topic in topics.items()}
        ids = {topic.name: topic.topic_id for topic in topics.values()}
        self._control.positions.add(
            transaction.control,
            [Position(t, p, names[t], end, START_WATER, ids[t]) for (t, p), end in sorted(ends.items())],
        )
        self._control.pipeline.put(
            transaction.control,
            PipelineRow(
                self._log.identity(),
                self._log.stream_id(),
                self._log.noted(),
                sealed=False,
                phase="backfilling",
            ),
        )

    def _plan_chunks(self, transaction: SqlTransaction, mapped: MappedTable) -> None:
        bounds = self._source.bounds(mapped.table, mapped.form.columns, self._chunk_rows)
        expected = self._source.rows_estimate(mapped.table)
        self._control.tables.add(transaction.control, mapped.name, expected)
        self._control.chunks.plan(transaction.control, mapped.name, bounds)
        for entry in mapped.entries:
            self._control.pipeline.put_fingerprint(transaction.control, entry.name, entry.fingerprint)
        self._control.shapes.put(transaction.control, mapped.name, Stored(mapped.shape))

    def _refuse_rows(self, transaction: SqlTransaction, tables: Mapping[str, MappedTable]) -> None:
        problems = [
            Problem(
                ("tables", entry.index, "to"),
                f"the target table {entry.target.full_name} has rows",
                "empty it, or say `if_not_empty: keep` when they belong beside the migrated ones",
            )
            for mapped in tables.values()
            for entry in mapped.entries
            if entry.not_empty == "refuse" and transaction.has_rows(entry.target)
        ]
        if problems:
            raise ConfigError(problems)

    def _forget(self, transaction: SqlTransaction, tables: Mapping[str, MappedTable]) -> None:
        """As if the pipeline had never been: its rows and its state go."""
        self._control.pipeline.lock_start(transaction.control)
        for mapped in tables.values():
            self._empty(transaction, mapped)
        self._control.forget(transaction.control)
        log.warning("the pipeline starts over: its target tables were emptied")

    def _empty(self, transaction: SqlTransaction, mapped: MappedTable) -> None:
        refuse_kept(mapped)
        self._control.positions.lock_table(transaction.control, mapped.name)
        transaction.truncate(mapped)


def check_log(state: LogState, where: str) -> None:
    """Raise FatalError where the log is gone that the connector needs."""
    if state.lost:
        what = f"the {state.name} {state.lost}: changes were lost that the stream has not seen"
        raise FatalError(what, where=where, hint=OVER)


def check_topics(positions: Sequence[Position], topics: Sequence[Topic]) -> None:
    """Raise FatalError where a topic was recreated, or its number of partitions changed: keys moved between them."""
    facts = {topic.name: topic for topic in topics}
    for name in {position.topic for position in positions} & facts.keys():
        mine = [position for position in positions if position.topic == name]
        if any(position.topic_id != facts[name].topic_id for position in mine):
            raise FatalError("the topic was deleted and created again", where=name, hint=ANEW)
        if len(mine) != facts[name].partitions:
            what = f"the topic has {facts[name].partitions} partitions, this pipeline began with {len(mine)}"
            raise FatalError(what, where=name, hint=ANEW)


ANEW = "its events cannot be put in order any more: start over with `run --anew`"
OVER = "run `connector delete`, `connector apply` and `run --anew`: the tables are read from the beginning"
