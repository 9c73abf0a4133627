"""`changeover resync`: many keys of one table are read again, in batches, beside the running stream and backfill."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from connectors.control.findings import OpenFinding
from connectors.control.store import ControlStore
from connectors.seams import Target
from connectors.source_database import SourceDatabase
from connectors.tables import MappedTable
from daemon.resync.extras import Extras
from daemon.resync.fences import Fences
from daemon.resync.keys import Keys, Mended, Resyncer
from daemon.retry import Backoff
from mappers.errors import NotReadyError, RecordError, TransientError
from mappers.mapping import Entry, Expression

log = logging.getLogger(__name__)
VERSION = 1
FENCES_MAX = 50_000
"""Fences that a resync of a whole table leaves behind at most before it has them dropped."""
SAY_S = 5.0
EXTRA = "extra"


@dataclass
class Report:
    """What a resync did. keys: how many were read. missing: those without a source row.

    written, removed: target rows that were not as they should be. beside: rows that had to be read with them. extras:
    rows of the target that no source row makes, removed. refused: keys whose row could not be written; `error` is the
    first one's. fences_left: a reason, where fences of a whole table stay.
    """

    table: str
    keys: int = 0
    missing: int = 0
    filtered: int = 0
    written: int = 0
    removed: int = 0
    beside: int = 0
    extras: int = 0
    extras_kept: str = ""
    refused: int = 0
    error: str = ""
    findings: int = 0
    findings_left: int = 0
    fences_dropped: int = 0
    fences_left: str = ""

    def add(self, keys: int, mended: Mended) -> None:
        """Count one batch."""
        self.keys += keys
        self.missing += keys - mended.found
        self.filtered += mended.filtered
        self.written += mended.written
        self.removed += mended.removed
        self.beside += mended.beside

    def shown(self) -> dict[str, Any]:
        """For `--output json`."""
        return {"version": VERSION, **asdict(self)}

    def lines(self) -> list[str]:
        """For a terminal: what is not zero."""
        names = {name: value for name, value in asdict(self).items() if value or name in ("keys", "written", "removed")}
        width = max(map(len, names))
        return [f"{name.replace('_', ' '):{width}}  {_plain(value)}" for name, value in names.items()]


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


class TableResync:
    """Resyncs keys of one table. One thread only. batch: keys a transaction. clock: monotonic seconds.

    Raises TransientError when the process is to stop; what was done until then stays done.
    """

    def __init__(
        self,
        mapped: MappedTable,
        source: SourceDatabase,
        target: Target,
        control: ControlStore,
        resyncer: Resyncer,
        backoff: Callable[[], Backoff],
        clock: Callable[[], float],
        batch: int,
    ) -> None:
        self.report = Report(mapped.name)
        self._mapped = mapped
        self._source = source
        self._target = target
        self._control = control
        self._resyncer = resyncer
        self._backoff = backoff
        self._clock = clock
        self._batch = batch
        self._said = clock()

    def keys(self, keys: Keys) -> None:
        """These keys, in the form in which people write them. Raises RecordError for one that cannot be a key."""
        known = self._source.canonical(self._mapped.table, self._mapped.form, keys)
        self._batches([known[at : at + self._batch] for at in range(0, len(known), self._batch)])

    def rows(self, where: Expression | None) -> None:
        """The keys of the source rows for which `where` is true, or of all rows."""
        mapped = self._mapped
        with self._source.reading(mapped.table) as reading:
            self._batches(reading.keys(mapped.table, mapped.form, where, self._batch))

    def whole(self, extras: Extras, fences: Fences, limit_s: float) -> None:
        """Every row of the source, then the target rows that no source row makes. No fence of it is left.

        limit_s: how long a barrier may take; where the stream does not pass it, the fences stay, and that is said.
        """
        mapped = self._mapped
        fenced = 0
        with self._source.reading(mapped.table) as reading:
            for keys in reading.keys(mapped.table, mapped.form, None, self._batch):
                self._batches([keys])
                fenced += len(keys)
                if fenced >= FENCES_MAX and not self.report.fences_left:
                    self._drop(fences, limit_s)
                    fenced = 0
        for entry in mapped.entries:
            if entry.not_empty == "keep":
                self.report.extras_kept = f"{entry.target.full_name} keeps rows of others (if_not_empty: keep)"
            else:
                self.report.extras += extras.remove(mapped, entry)
        self._drop(fences, limit_s)

    def findings(self, extras: Extras) -> None:
        """What the verification found; each is closed as repaired once it is."""
        after = total = 0
        extra: list[OpenFinding] = []
        while found := self._found(after):
            after, total = found[-1].id, total + len(found)
            mended = self._named(found)
            extra += [finding for finding in found if finding.kind == EXTRA]
            self._close([finding for finding in mended if finding.kind != EXTRA])
        for entry in self._mapped.entries:
            self._extra(entry, [finding for finding in extra if finding.entry == entry.name], extras)
        self.report.findings_left = total - self.report.findings

    def _named(self, findings: Sequence[OpenFinding]) -> list[OpenFinding]:
        """Read the rows again that findings are about, where they say which; returns those that could be written."""
        keys = {finding.id: key for finding in findings if (key := self._source_key(finding)) is not None}
        refused = self._batches([list(dict.fromkeys(keys.values()))] if keys else [])
        return [finding for finding in findings if finding.id in keys and keys[finding.id] not in refused]

    def _source_key(self, finding: OpenFinding) -> tuple[str, ...] | None:
        """The source key that a finding names; None where it names none, or what an extra row says is no key at all."""
        if finding.source_key is None:
            return None
        try:
            texts = [tuple(json.loads(finding.source_key))]
            return self._source.canonical(self._mapped.table, self._mapped.form, texts)[0]
        except RecordError:
            return None

    def _extra(self, entry: Entry, findings: Sequence[OpenFinding], extras: Extras) -> None:
        """Extra rows: gone with the source row that they say they are of, or else if no source row makes them."""
        keys = [tuple(json.loads(finding.target_key)) for finding in findings]
        left = extras.there(entry, keys)
        if left and entry.not_empty != "keep":
            self.report.extras += extras.remove(self._mapped, entry, left)
            left = extras.there(entry, keys)
        self._close([finding for finding in findings if finding.target_key not in left])

    def _found(self, after: int) -> list[OpenFinding]:
        entries = [entry.name for entry in self._mapped.entries]
        with self._target.begin() as transaction:
            return self._control.findings.open(transaction.control, entries, after, self._batch)

    def _close(self, findings: Sequence[OpenFinding]) -> None:
        with self._target.begin() as transaction:
            self._control.findings.repaired(transaction.control, [finding.id for finding in findings])
        self.report.findings += len(findings)

    def _batches(self, batches: Iterable[Keys]) -> set[tuple[str, ...]]:
        """Mend batch after batch; returns the keys whose row the target refused."""
        refused: set[tuple[str, ...]] = set()
        for keys in batches:
            refused.update(self._mend(keys))
            if self._clock() - self._said >= SAY_S:
                self._said = self._clock()
                log.info("resync goes on", extra={"table": self._mapped.name, "keys": self.report.keys})
        return refused

    def _mend(self, keys: Keys) -> list[tuple[str, ...]]:
        """Mend these keys; a row that the target refuses is found by halves, and the others are mended."""
        try:
            mended = self._backoff().call(lambda: self._resyncer.mend(self._mapped, keys), _warn)
        except RecordError as error:
            if len(keys) > 1:
                middle = len(keys) // 2
                return self._mend(keys[:middle]) + self._mend(keys[middle:])
            self.report.keys += 1
            self.report.refused += 1
            self.report.error = self.report.error or str(error)
            return list(keys)
        self.report.add(len(keys), mended)
        return []

    def _drop(self, fences: Fences, limit_s: float) -> None:
        """Drop the table's fences; where that cannot be, they stay and do no harm."""
        try:
            self.report.fences_dropped += fences.drop(self._mapped, limit_s)
        except (NotReadyError, TransientError) as error:
            self.report.fences_left = f"{error.what}; they do no harm"


def _warn(error: TransientError) -> None:
    log.warning("trying again: %s", error)
