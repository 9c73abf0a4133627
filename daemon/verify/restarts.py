"""What tells that the connector restarted, what is suspected then, and when the suspicion is over. No input or output
but the writing of a suspicion.

A connector that restarts in the midst of events which share a position in the log may lose some of them without a word.
Every restart shows at the source: another session reads from the slot. One that lost its offsets shows in the stream
too: the events of its first transaction do not know the commit before them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from connectors.change import Change
from connectors.control.store import ControlStore
from connectors.control.verification import SweepRow
from connectors.source_log import Session


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why the rows must be verified before the pipeline is ready. since: ISO 8601, by the target's clock.

    safe_xid: transactions before it had been delivered for certain; None where that is not known.
    """

    since: str
    reason: str
    safe_xid: int | None = None

    @property
    def moment(self) -> datetime:
        """When it was noticed."""
        return datetime.fromisoformat(self.since)

    def dump(self) -> str:
        """As the control schema keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Suspicion:
        """From the control schema."""
        return cls(**json.loads(text))

    def renewed(self, other: Suspicion) -> Suspicion:
        """This one after one more restart: everything since the first is suspected, from the last notice on."""
        known = [xid for xid in (self.safe_xid, other.safe_xid) if xid is not None]
        return replace(other, safe_xid=min(known) if len(known) == 2 else None)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the connector's session. safe_xid: transactions before it have been delivered and confirmed.

    position, oldest_xid: a look at the log that the connector has not confirmed yet; 0 where there is none.
    """

    session: str
    safe_xid: int | None = None
    position: int = 0
    oldest_xid: int = 0

    def dump(self) -> str:
        """As the control schema keeps it."""
        return json.dumps({"session": self.session, "safe_xid": self.safe_xid})

    @classmethod
    def load(cls, text: str | None) -> Known | None:
        """From the control schema."""
        return None if text is None else cls(**json.loads(text))


def seen(known: Known | None, now: Session | None) -> tuple[Known | None, bool]:
    """What is known after a look at the slot, and whether the connector restarted since the one before.

    A transaction that had ended when the log stood at a position which the connector has confirmed by now has been
    delivered; no other has been for certain.
    """
    if now is None:
        return known, False
    if known is None:
        return Known(now.session, None, now.position, now.oldest_xid), False
    if known.session != now.session:
        return Known(now.session, known.safe_xid, now.position, now.oldest_xid), True
    if known.position and now.confirmed >= known.position:
        return Known(now.session, known.oldest_xid, now.position, now.oldest_xid), False
    return (known if known.position else replace(known, position=now.position, oldest_xid=now.oldest_xid)), False


def lost_offsets(changes: Iterable[Change]) -> bool:
    """Whether an event does not know the commit before it: the first transaction of a connector without offsets.

    The very first one is never consumed: the pipeline's positions are noted after it has been delivered.
    """
    return any(change.sequence is not None and change.sequence[0] < 0 for change in changes)


def suspect(control: ControlStore, connection: Connection, reason: str, safe_xid: int | None) -> None:
    """Write a suspicion down, in the caller's transaction; one that is there already is renewed."""
    while True:
        was = control.pipeline.suspicion(connection)
        made = Suspicion(control.pipeline.clock(connection), reason, safe_xid)
        made = Suspicion.load(was).renewed(made) if was else made
        if control.pipeline.suspect(connection, made.dump(), was):
            return


def cleared(
    suspicion: Suspicion, entries: Collection[str], sweeps: Iterable[SweepRow], findings: Mapping[str, int]
) -> bool:
    """Whether every entry has been swept since the notice, from the first slice to the last, and is clean."""
    clean: dict[str, bool] = {}
    for row in sweeps:  # the newest first
        if row.done and row.began > suspicion.moment:
            clean.setdefault(row.entry, row.differences == 0)
    return all(clean.get(entry, False) and not findings.get(entry) for entry in entries)
