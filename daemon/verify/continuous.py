"""Verification in the running daemon: sweeps at a pace, for ever, and at full speed after the connector restarted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from connectors.change import Batch
from connectors.chunks import ChunkState
from connectors.control.store import ControlStore
from connectors.control.verification import Purpose, SweepRow
from connectors.source_log import SourceLog
from connectors.sql.target import SqlTarget
from daemon.config.sections import VerifySection
from daemon.http.health import Health
from daemon.metrics import Metrics
from daemon.verify.age import table_of, verified
from daemon.verify.restarts import Known, Suspicion, cleared, lost_offsets, seen, suspect
from daemon.verify.verifier import Verifier, Wish
from mappers.errors import ChangeoverError

log = logging.getLogger(__name__)
TICK_S = 0.5
LOOK_S = 2.0
KEEP_S = 30.0
"""How often what is known of the connector is written down while it does not restart."""
RETRY_S = 5.0
BLOCKER = "verification"
RESTARTED = "the connector restarted"
LOST = "the connector restarted without its offsets"


@dataclass(frozen=True, slots=True)
class Duties:
    """What the thread needs of its process.

    make_verifier: for a pace (None: no limit) and a question whether to stop. owner: whether this process is the one
    that verifies. entries: names of all entries. log: the connector's.
    """

    make_verifier: Callable[[int | None, Callable[[], bool]], Verifier]
    owner: Callable[[], bool]
    entries: Collection[str]
    log: SourceLog
    target: SqlTarget
    control: ControlStore
    section: VerifySection
    metrics: Metrics
    health: Health


class Continuous(threading.Thread):
    """Sweeps while `owner` says so; in every process it says whether the rows are under suspicion."""

    def __init__(self, duties: Duties) -> None:
        super().__init__(name="verification", daemon=True)
        self._duties = duties
        self._stopping = threading.Event()
        self._suspicion: Suspicion | None = None
        self._known: Known | None = None
        self._said = ""
        self._tried: Suspicion | None = None
        self._looked = self._kept = self._swept = self._checked = float("-inf")

    def stop(self) -> None:
        """End after the slice in hand."""
        self._stopping.set()

    def notice(self, batch: Batch) -> None:
        """Called before a batch is applied: one that shows a connector without offsets is written down first."""
        if any(lost_offsets(part.changes) for part in batch.slices):
            self._suspect(LOST, None)

    def run(self) -> None:
        """The thread's body. An error ends what was in hand; it is tried again."""
        while not self._stopping.wait(TICK_S):
            try:
                self._tick()
            except ChangeoverError as error:
                self._recover(error)
            except Exception:
                log.exception("verification failed; it is tried again")
                self._stopping.wait(RETRY_S)
        self._duties.log.close()

    def _recover(self, error: ChangeoverError) -> None:
        self._duties.log.close()
        if not self._stopping.is_set():
            if str(error) != self._said:
                log.warning("verification: trying again: %s", error)
            self._said = str(error)
            self._stopping.wait(RETRY_S)

    def _tick(self) -> None:
        self._look()
        if not self._duties.owner() or not self._backfilled():
            return
        now, section = time.monotonic(), self._duties.section
        if self._suspicion is not None:
            if self._suspicion != self._tried or now - self._checked >= section.continuous.interval_s:
                self._check(self._suspicion)
                self._checked = now
        elif section.continuous.enabled and now - self._swept >= section.continuous.interval_s:
            self._run(Wish(purpose=Purpose.CONTINUOUS, resume=True), section.continuous.rows_per_second)
            self._swept = now

    def _check(self, suspicion: Suspicion) -> None:
        """What was written about the time of the break first, then everything, as fast as it goes.

        What could not be mended then is a person's to mend: it is looked for again at the usual pace.
        """
        section, first = self._duties.section, suspicion != self._tried
        repair = section.repair_after_restart
        if first and suspicion.safe_xid is not None:
            with closing(self._duties.make_verifier(None, self._interrupted(suspicion))) as verifier:
                verifier.recent(suspicion.safe_xid, repair=repair)
        wish = Wish(purpose=Purpose.SUSPICION, resume=True, since=suspicion.moment, repair=repair)
        self._run(wish, None if first else section.continuous.rows_per_second)
        self._tried = suspicion

    def _run(self, wish: Wish, rows_per_second: int | None) -> None:
        with closing(self._duties.make_verifier(rows_per_second, self._interrupted(self._suspicion))) as verifier:
            report = verifier.run(wish)
        said = {"sweep": report.sweep, "rows": report.rows, "differences": report.differences}
        level = logging.DEBUG if wish.purpose is Purpose.CONTINUOUS and not report.differences else logging.INFO
        log.log(level, "verification swept", extra={**said, "seconds": round(report.seconds, 1)})
        self._said = ""
        self._look(now=True)

    def _interrupted(self, suspicion: Suspicion | None) -> Callable[[], bool]:
        """Whether a sweep must end early: the process stops, another one verifies, or there is a new suspicion."""

        def interrupted() -> bool:
            if self._stopping.is_set() or not self._duties.owner():
                return True
            self._look()
            return self._suspicion != suspicion

        return interrupted

    def _backfilled(self) -> bool:
        duties = self._duties
        with duties.target.begin(reading=True) as transaction:
            chunks = duties.control.chunks.all(transaction.control)
        mine = [chunk for chunk in chunks if chunk.table in {table_of(entry) for entry in duties.entries}]
        return bool(mine) and all(chunk.state is ChunkState.DONE for chunk in mine)

    # -- what is known -------------------------------------------------------------------------------------------------

    def _look(self, *, now: bool = False) -> None:
        """Look at the connector's session and at the control state, not too often."""
        if not now and time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        if self._duties.owner():
            self._look_at_connector()
        else:
            self._known = None  # another process keeps it
        self._read()

    def _look_at_connector(self) -> None:
        duties = self._duties
        session = duties.log.session()
        if self._known is None:
            with duties.target.begin(reading=True) as transaction:
                self._known = Known.load(duties.control.pipeline.connector_session(transaction.control))
        before = self._known
        known, restarted = seen(before, session)
        if restarted:
            self._suspect(RESTARTED, before.safe_xid if before else None)
        if known is not None and (restarted or before is None or self._looked - self._kept > KEEP_S):
            with duties.target.begin() as transaction:
                duties.control.pipeline.see_connector(transaction.control, known.dump())
            self._kept = self._looked
        self._known = known

    def _suspect(self, reason: str, safe_xid: int | None) -> None:
        """Write a suspicion down; one that is there already is renewed."""
        duties = self._duties
        with duties.target.begin() as transaction:
            suspect(duties.control, transaction.control, reason, safe_xid)
        log.warning("%s: not ready until its rows are verified", reason)
        duties.health.block(BLOCKER, f"{reason}: its rows are verified")

    def _read(self) -> None:
        """The suspicion, which may be over by now, and what the metrics show."""
        duties = self._duties
        with duties.target.begin() as transaction:
            text = duties.control.pipeline.suspicion(transaction.control)
            sweeps = duties.control.verifications.sweeps(transaction.control)
            findings = duties.control.findings.open_counts(transaction.control)
            suspicion = Suspicion.load(text) if text else None
            if suspicion is not None and cleared(suspicion, duties.entries, sweeps, findings):
                if duties.control.pipeline.suspect(transaction.control, None, text):
                    log.info("every row has been verified since then: %s", suspicion.reason)
                suspicion = None
        self._suspicion = suspicion
        if suspicion is None:
            duties.health.unblock(BLOCKER)
        else:
            duties.health.block(BLOCKER, f"{suspicion.reason}: its rows are verified")
        self._show(sweeps, findings)

    def _show(self, sweeps: Sequence[SweepRow], findings: Mapping[str, int]) -> None:
        metrics, now = self._duties.metrics, time.time()
        metrics.verification_suspicion.set(self._suspicion is not None)
        ages = verified(sweeps, findings)
        for table in {table_of(entry) for entry in self._duties.entries}:
            found, age = sum(n for entry, n in findings.items() if table_of(entry) == table), ages.get(table)
            began_s = now - age.age_s if age else None
            metrics.show_verification(table, began_s=began_s, differences=found, unsettled=age.unsettled if age else 0)
