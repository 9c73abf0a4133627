"""A verification from its first question to its report: what may be compared, sweeps begun or resumed, results kept."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from connectors.chunks import ChunkRow, ChunkState, Position
from connectors.control.findings import FindingRow
from connectors.control.store import ControlStore
from connectors.control.verification import Purpose, SliceResult, SliceRow
from connectors.keys import name_of
from connectors.seams import Pushdown
from connectors.sql.compare import aligned
from connectors.sql.dialect import Dialect
from connectors.sql.sides import Reader, Shape
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from daemon.barrier import Barrier
from daemon.prepare import fingerprint_problems
from daemon.verify.mask import Mask
from daemon.verify.repair import Repairer
from daemon.verify.report import Report, differing_columns
from daemon.verify.slices import BUCKETS_OF_A_RANGE, unfinished
from daemon.verify.suspects import Difference
from daemon.verify.sweep import Hooks, Job, Manner, Sweep, Tally, planned, sampled
from mappers.errors import ConfigError, FatalError, NotReadyError

log = logging.getLogger(__name__)
Progress = Callable[[], tuple[list[Position], list[ChunkRow]]]


@dataclass(frozen=True, slots=True)
class Around:
    """What a verification needs of its process. ends: the high watermarks of all topics of these source tables.

    progress: positions and chunks, as they stand.
    """

    target: SqlTarget
    control: ControlStore
    make_reader: Callable[[], Reader]
    barrier: Barrier
    ends: Callable[[Collection[str]], Mapping[tuple[str, int], int]]
    progress: Progress
    repairer: Callable[[], Repairer]
    mask: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be verified and how. tables: source or target names; all where there are none.

    since: a sweep that began before this moment is not gone on with.
    """

    purpose: Purpose
    tables: Sequence[str] = ()
    resume: bool = False
    since: datetime | None = None
    sample: float | None = None
    repair: bool = False


class Verifier:
    """Runs verifications of one pipeline. One thread only.

    tables: source table -> how it is handled, and whether the source runs its projection. stopping: ends a sweep
    between two slices; it can be resumed. told: of each entry's rows compared.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[MappedTable, Pushdown]],
        around: Around,
        manner: Manner,
        stopping: Callable[[], bool],
        told: Callable[[str, int], None] = lambda table, rows: None,
    ) -> None:
        self._tables = tables
        self._around = around
        self._manner = manner
        self._stopping = stopping
        self._told = told

    def close(self) -> None:
        """Close the connection to the source."""
        self._around.barrier.close()

    def run(self, wish: Wish) -> Report:
        """Verify. Raises NotReadyError where that cannot be done now, saying why, or where it was stopped.

        Rows are hashed while the first barrier is still under way: what differs is looked at again after another one.
        """
        began = time.monotonic()
        shapes = self._shapes(wish.tables, wish.purpose)
        self.check(shapes)
        tables = [shape.mapped.name for shape in shapes]
        repairer = self._around.repairer() if wish.repair else None
        with ThreadPoolExecutor(1, "verify-barrier") as beside:
            passing = beside.submit(self._pass, tables)
            try:
                sweep, jobs = self._jobs(shapes, wish)
                tallies = self._sweep(sweep, repairer, tables, passing.result).run(jobs)
            finally:
                if repairer is not None:
                    repairer.close()
        if tallies is None:
            raise NotReadyError("the verification was stopped", hint="`changeover verify --resume` goes on with it")
        return Report(self._around.control.name, sweep, wish.sample, time.monotonic() - began, tallies)

    def recent(self, xid: int, *, repair: bool) -> list[Tally]:
        """Compare rows that the source has written since this transaction. Raises as `run` does."""
        shapes = self._shapes((), Purpose.SUSPICION)
        self.check(shapes)
        tables = [shape.mapped.name for shape in shapes]
        self._pass(tables)
        repairer = self._around.repairer() if repair else None
        try:
            return self._sweep(None, repairer, tables, lambda: None).recent([Job(shape, ()) for shape in shapes], xid)
        finally:
            if repairer is not None:
                repairer.close()

    def _shapes(self, names: Sequence[str], purpose: Purpose) -> list[Shape]:
        """The entries to compare. The daemon's own sweeps leave paused tables out; a command says that they are."""
        with self._around.target.begin(reading=True) as transaction:
            exists = self._around.control.exists(transaction.control)
            paused = self._around.control.tables.paused(transaction.control) if exists else frozenset()
        shapes = chosen(self._tables, names, self._around.target.dialect)
        if purpose is not Purpose.COMMAND:
            shapes = [shape for shape in shapes if shape.mapped.name not in paused]
            if not shapes:
                raise NotReadyError("every table is paused")
            return shapes
        if waiting := sorted({shape.mapped.name for shape in shapes} & paused):
            hint = "`changeover resume`, or name other tables with --table"
            raise NotReadyError(f"{', '.join(waiting)}: paused, so that the stream does not keep up", hint=hint)
        return shapes

    def check(self, shapes: Sequence[Shape]) -> None:
        """Whether these entries can be compared now. Raises NotReadyError or ConfigError, saying why not."""
        _, chunks = self._around.progress()
        with self._around.target.begin(reading=True) as transaction:
            row = self._around.control.pipeline.get(transaction.control) if chunks else None
            stored = self._around.control.pipeline.fingerprints(transaction.control) if chunks else {}
        if row is None:
            where = f"pipeline {self._around.control.name}"
            raise NotReadyError("the pipeline has not been started", where=where, hint="run `changeover run`")
        tables = {shape.mapped.name: shape.mapped for shape in shapes}
        if problems := fingerprint_problems(tables, stored):
            raise ConfigError(problems)
        states = {name: [chunk.state for chunk in chunks if chunk.table == name] for name in tables}
        done = {name: (mine.count(ChunkState.DONE), len(mine)) for name, mine in states.items()}
        if left := unfinished(done):
            what = f"the backfill has not finished: {', '.join(left)}"
            raise NotReadyError(what, hint="wait for it (`changeover wait --for backfill`), or name --table")

    def _pass(self, tables: Collection[str]) -> None:
        """Return when everything committed until now is applied to these tables."""
        around = self._around

        def look() -> tuple[list[Position], list[ChunkRow]]:
            positions, chunks = around.progress()
            return positions, [chunk for chunk in chunks if chunk.table in tables]

        try:
            around.barrier.delivered(around.barrier.sentinel())
            around.barrier.applied(around.ends(tables), look)
        except NotReadyError as error:
            hint = "a verification needs a running stream: see `changeover status`, start `changeover run`"
            raise NotReadyError(f"the stream does not keep up: {error.what}", where=error.where, hint=hint) from error

    def _jobs(self, shapes: Sequence[Shape], wish: Wish) -> tuple[int | None, list[Job]]:
        """The sweep's number, None for a sample, and its jobs: those of an unfinished sweep, or new ones."""
        verifications = self._around.control.verifications
        if wish.resume:
            with self._around.target.begin(reading=True) as transaction:
                found = verifications.unfinished(transaction.control, wish.purpose, wish.since)
            if found is not None:
                sweep, slices = found
                return sweep, [Job(s, tuple(slices[s.entry.name])) for s in shapes if s.entry.name in slices]
        slices = self._planned(shapes)
        jobs = [Job(shape, tuple(slices[shape.entry.name])) for shape in shapes]
        if wish.sample is not None:
            return None, [sampled(job, wish.sample, random.Random()) for job in jobs]
        with self._around.target.begin() as transaction:
            self._around.control.pipeline.get(transaction.control, lock=True)
            return verifications.begin(transaction.control, wish.purpose, slices), jobs

    def _planned(self, shapes: Sequence[Shape]) -> dict[str, list[SliceRow]]:
        reader = self._around.make_reader()
        try:
            return {shape.entry.name: planned(reader, shape, self._manner.slice_rows) for shape in shapes}
        finally:
            reader.close()

    def _sweep(
        self, sweep: int | None, repairer: Repairer | None, tables: Collection[str], passed: Callable[[], None]
    ) -> Sweep:
        """passed: returns once the stream has proved that it keeps up; before that nothing counts."""
        around = self._around

        def done(job: Job, results: Sequence[SliceResult]) -> None:
            passed()
            self._done(sweep, job, results)

        def barrier() -> None:
            passed()
            self._pass(tables)

        hooks = Hooks(
            found=self._found,
            done=done,
            finished=lambda job: self._finished(sweep, job),
            repair=repairer.repair if repairer is not None else None,
            stopping=self._stopping,
        )
        return Sweep(around.make_reader, barrier, self._manner, hooks)

    def _found(self, job: Job, left: Sequence[Difference], repaired: Sequence[Difference]) -> None:
        entry = job.shape.entry
        rows = [_row(job, d, repaired=False) for d in left] + [_row(job, d, repaired=True) for d in repaired]
        with self._around.target.begin() as transaction:
            self._around.control.findings.put(transaction.control, entry.name, rows)
        for difference, said in [*((d, "difference") for d in left), *((d, "difference repaired") for d in repaired)]:
            names = [entry.columns[i].name for i in differing_columns(job.shape, difference)]
            log.warning(
                said,
                extra={
                    "table": entry.target.full_name,
                    "key": self._around.mask.target_key(entry, difference.suspect.target_key),
                    "kind": difference.kind.value,
                    "columns": names if difference.kind == "different" else [],
                },
            )

    def _done(self, sweep: int | None, job: Job, results: Sequence[SliceResult]) -> None:
        self._told(job.shape.mapped.name, sum(result.rows for result in results))
        if sweep is not None:
            with self._around.target.begin() as transaction:
                self._around.control.verifications.done(transaction.control, sweep, job.name, results)

    def _finished(self, sweep: int | None, job: Job) -> None:
        if sweep is not None:
            with self._around.target.begin() as transaction:
                self._around.control.verifications.finish(transaction.control, sweep, job.name)


def chosen(tables: Mapping[str, tuple[MappedTable, Pushdown]], names: Sequence[str], dialect: Dialect) -> list[Shape]:
    """The entries that these names mean, by source or target table; all without names. Raises FatalError."""
    shapes = [
        Shape(part, entry, dialect, pushdown.possible, aligned(dialect, part, entry), 0, BUCKETS_OF_A_RANGE)
        for mapped, pushdown in tables.values()
        for part in mapped.parts
        for entry in part.entries
    ]
    known = {name for s in shapes for name in (s.entry.source.full_name, s.entry.target.full_name)}
    for name in names:
        if name not in known:
            raise FatalError(f"no table {name} in the mapping", hint=f"one of {', '.join(sorted(known))}")
    wanted = set(names) or known
    return [s for s in shapes if {s.entry.source.full_name, s.entry.target.full_name} & wanted]


def _row(job: Job, difference: Difference, *, repaired: bool) -> FindingRow:
    entry, suspect = job.shape.entry, difference.suspect
    names = [entry.columns[i].name for i in differing_columns(job.shape, difference)]
    return FindingRow(
        entry.name,
        job.shape.mapped.name,
        name_of(suspect.source_key) if suspect.source_key is not None else None,
        name_of(suspect.target_key),
        difference.kind.value,
        tuple(names) if difference.kind == "different" else (),
        repaired,
    )
