"""One sweep: entry by entry and slice by slice, hashed by several workers, suspects confirmed and results recorded.

A slice counts as done only once its suspects are settled, so that a sweep that is interrupted goes on without a gap.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

from connectors.chunks import EVERYTHING, Range
from connectors.control.verification import SliceResult, SliceRow
from connectors.sql.compare import PARTS
from connectors.sql.sides import Reader, Shape
from daemon.backfill.pace import Pace
from daemon.verify.confirm import Confirmer, Ranges
from daemon.verify.hashing import Compared, Whole, compare_range
from daemon.verify.slices import buckets_for, ranges, sample
from daemon.verify.suspects import Difference, Kind, Suspect

FLUSH_SUSPECTS = 1_000
RECENT_MAX = 20_000
FLUSH_S = 3.0
"""Suspects of several slices share their barriers: so many at a time, or those of so many seconds."""
SNAPSHOT_S = 300.0
"""A whole entry is read faster than its pace says rather than holding its snapshots longer than this."""


@dataclass(frozen=True, slots=True)
class Job:
    """An entry to be compared. slices: of the sweep, done ones too; a single one without bounds for a whole entry.

    parts: how many of `compare.PARTS` parts of a whole entry's keys.
    """

    shape: Shape
    slices: tuple[SliceRow, ...]
    parts: int = PARTS

    @property
    def name(self) -> str:
        """The entry's."""
        return self.shape.entry.name


@dataclass
class Tally:
    """What the comparison of one entry came to. shown: the first differences, with their values.

    kinds: what is left of each kind, after a repair where one was asked for.
    """

    job: Job
    rows: int = 0
    suspects: int = 0
    unsettled: int = 0
    repaired: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    shown: list[Difference] = field(default_factory=list)

    @property
    def earlier(self) -> int:
        """Differences in slices that had been done before the sweep was resumed."""
        return sum(row.differences for row in self.job.slices if row.done)


Repair = Callable[[Confirmer, Shape, Sequence[Difference], Ranges], Sequence[Difference]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a sweep tells and asks, from its own thread.

    found: differences that are left in an entry, and those that were repaired. done: slices that have been compared.
    finished: all slices of the entry are done. repair: mends what it can; returns what is left. stopping: whether to
    end before the next slice.
    """

    found: Callable[[Job, Sequence[Difference], Sequence[Difference]], None]
    done: Callable[[Job, Sequence[SliceResult]], None]
    finished: Callable[[Job], None]
    repair: Repair | None
    stopping: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a sweep is run. rows_per_second: None for no limit. shown_max: differences kept with their values, an entry.

    wait: sleeps up to so many seconds.
    """

    workers: int
    slice_rows: int
    rows_per_second: int | None
    shown_max: int
    wait: Callable[[float], object]


class _Stopped(Exception):
    """The sweep was told to stop in the midst of a whole entry."""


class Sweep:
    """Compares jobs. One thread calls it; it makes its own workers."""

    def __init__(
        self, make_reader: Callable[[], Reader], barrier: Callable[[], None], manner: Manner, hooks: Hooks
    ) -> None:
        self._make_reader = make_reader
        self._barrier = barrier
        self._manner = manner
        self._hooks = hooks
        self._pace = self._paced(manner.rows_per_second)

    def run(self, jobs: Sequence[Job]) -> list[Tally] | None:
        """Compare them all; None where it was told to stop before the end.

        Raises NotReadyError where a barrier is not passed in time.
        """
        tallies = [Tally(job) for job in jobs]
        with _crew(self._make_reader, self._manner.workers) as crew:
            for tally in tallies:
                try:
                    self._entry(crew, tally)
                except _Stopped:
                    return None
                self._hooks.finished(tally.job)
        return tallies

    def recent(self, jobs: Sequence[Job], xid: int) -> list[Tally]:
        """Compare only rows that the source has written since this transaction, as far as they are not too many."""
        tallies = [Tally(job) for job in jobs]
        with _crew(self._make_reader, 1) as crew:
            for tally in tallies:
                keys = crew.first.recent(tally.job.shape, xid, RECENT_MAX)
                suspects = [Suspect(target, source) for target, source in keys]
                self._settle(crew, tally, suspects, lambda: [EVERYTHING])
        return tallies

    def _entry(self, crew: _Crew, tally: Tally) -> None:
        if all(row.done for row in tally.job.slices):
            return
        if tally.job.shape.aligned:
            self._sliced(crew, tally)
        else:
            self._whole(crew, tally)

    def _sliced(self, crew: _Crew, tally: Tally) -> None:
        """Workers hash slices ahead while suspects of earlier ones are confirmed."""
        left = deque(row for row in tally.job.slices if not row.done)
        ahead: deque[tuple[int, Future[Compared]]] = deque()
        held = _Held(time.monotonic())
        while left or ahead:
            while left and len(ahead) <= self._manner.workers and not self._hooks.stopping():
                row = left.popleft()
                ahead.append((row.number, crew.submit(tally.job.shape, Range(row.lower, row.upper))))
            if not ahead:
                break
            number, future = ahead.popleft()
            compared = future.result()
            held.add(number, compared)
            self._pace.spend(compared.rows)
            if held.full(time.monotonic()):
                self._flush(crew, tally, held)
                held = _Held(time.monotonic())
        self._flush(crew, tally, held)
        if left:
            raise _Stopped

    def _flush(self, crew: _Crew, tally: Tally, held: _Held) -> None:
        """Confirm the suspects of some slices and record these as done."""
        suspects = list(held.suspects)
        left, unsettled = self._settle(crew, tally, suspects, lambda: [EVERYTHING])
        slice_of = {suspect.target_key: number for suspect, number in held.suspects.items()}
        differences = Counter(slice_of[suspect.target_key] for suspect in left)
        open_ones = Counter(slice_of[suspect.target_key] for suspect in unsettled)
        tally.rows += sum(held.rows.values())
        results = [SliceResult(n, rows, differences[n], open_ones[n]) for n, rows in held.rows.items()]
        if results:
            self._hooks.done(tally.job, results)

    def _whole(self, crew: _Crew, tally: Tally) -> None:
        job, reader = tally.job, crew.readers[0]
        rows, rate = reader.rows_estimate(job.shape), self._manner.rows_per_second
        bounds = reader.bounds(job.shape, self._manner.slice_rows)
        source, target = ranges(bounds[0]), ranges(bounds[1])
        quick = max(rate, int(rows / SNAPSHOT_S)) if rate else None
        shape = replace(job.shape, buckets=buckets_for(rows), parts=job.parts, seed=_seed())
        whole = Whole(shape, source, target, [self._spending(quick), self._spending(quick)])
        left = unsettled = 0
        for suspects in whole.suspects(reader, crew.beside):
            some, open_ones = self._settle(crew, tally, suspects, lambda: source)
            left, unsettled = left + len(some), unsettled + len(open_ones)
        tally.rows += whole.rows
        self._hooks.done(job, [SliceResult(0, whole.rows, left, unsettled)])

    def _settle(
        self, crew: _Crew, tally: Tally, suspects: Sequence[Suspect], source: Ranges
    ) -> tuple[list[Suspect], list[Suspect]]:
        """Confirm, repair, record: the suspects that still differ, and those that cannot be settled."""
        tally.suspects += len(suspects)
        confirmer = Confirmer(crew.first, self._barrier)
        found = confirmer.confirm(tally.job.shape, suspects, source)
        left: Sequence[Difference] = found.differences
        if left and self._hooks.repair is not None:
            left = self._hooks.repair(confirmer, tally.job.shape, left, source)
        kept = {difference.suspect.target_key for difference in left}
        repaired = [d for d in found.differences if d.suspect.target_key not in kept]
        if found.differences:
            self._hooks.found(tally.job, left, repaired)
        tally.kinds.update(difference.kind for difference in left)
        tally.shown += left[: self._manner.shown_max - len(tally.shown)]
        tally.repaired += len(repaired)
        tally.unsettled += len(found.unsettled)
        return [difference.suspect for difference in left], found.unsettled

    def _paced(self, rows_per_second: int | None) -> Pace:
        return Pace(rows_per_second, time.monotonic, self._manner.wait)

    def _spending(self, rows_per_second: int | None) -> Callable[[int], None]:
        pace = self._paced(rows_per_second)

        def spend(rows: int) -> None:
            pace.spend(rows)
            if self._hooks.stopping():
                raise _Stopped

        return spend


class _Held:
    """Slices that have been hashed and are not recorded yet. rows: by slice."""

    def __init__(self, now: float) -> None:
        self.rows: dict[int, int] = {}
        self.suspects: dict[Suspect, int] = {}
        self._since = now

    def add(self, number: int, compared: Compared) -> None:
        self.rows[number] = compared.rows
        self.suspects |= dict.fromkeys(compared.suspects, number)

    def full(self, now: float) -> bool:
        return len(self.suspects) >= FLUSH_SUSPECTS or now - self._since >= FLUSH_S


class _Crew:
    """Worker threads with a reader each, as many again for the other side, and a reader of the sweep's own thread."""

    def __init__(self, make_reader: Callable[[], Reader], workers: int) -> None:
        self.first = make_reader()
        self.readers = [make_reader() for _ in range(workers)]
        self.beside = ThreadPoolExecutor(workers + 1, "verify-beside")
        self._workers = ThreadPoolExecutor(workers, "verify")
        self._free: SimpleQueue[Reader] = SimpleQueue()
        for reader in self.readers:
            self._free.put(reader)

    def submit(self, shape: Shape, part: Range) -> Future[Compared]:
        """Compare a range on a worker."""
        return self._workers.submit(self._compare, replace(shape, seed=_seed()), part)

    def _compare(self, shape: Shape, part: Range) -> Compared:
        reader = self._free.get()
        try:
            return compare_range(reader, self.beside, shape, part)
        finally:
            self._free.put(reader)

    def close(self) -> None:
        self._workers.shutdown(cancel_futures=True)
        self.beside.shutdown()
        for reader in [self.first, *self.readers]:
            reader.close()


@contextmanager
def _crew(make_reader: Callable[[], Reader], workers: int) -> Iterator[_Crew]:
    crew = _Crew(make_reader, workers)
    try:
        yield crew
    finally:
        crew.close()


def planned(reader: Reader, shape: Shape, slice_rows: int) -> list[SliceRow]:
    """The slices of an entry in a new sweep."""
    if not shape.aligned:
        return [SliceRow(0, None, None)]
    source, _ = reader.bounds(shape, slice_rows)
    return [SliceRow(number, part.lower, part.upper) for number, part in enumerate(ranges(source))]


def sampled(job: Job, percent: float, rng: random.Random) -> Job:
    """A part of the job: some of its slices, or some parts of the keys of a whole entry."""
    if not job.shape.aligned:
        return replace(job, parts=max(1, round(PARTS * percent / 100)))
    chosen = sample([row.number for row in job.slices], percent, rng)
    return replace(job, slices=tuple(job.slices[number] for number in chosen))


def _seed() -> int:
    return random.getrandbits(62)
