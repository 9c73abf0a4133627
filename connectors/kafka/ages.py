"""Whether an event is from before the source's catalogue was read, or from before its table was altered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.kafka.decode_place import transaction_of
from connectors.snapshot import Snapshot, widen


@dataclass(frozen=True, slots=True)
class Ages:
    """What had been committed before the catalogue was read, and what may have been before the table was altered."""

    read_after: Snapshot | None = None
    altered: Snapshot | None = None

    def before_catalogue(self, event: Any) -> bool:
        """Whether the event may have columns that the catalogue has not any more."""
        return _sees(self.read_after, event)

    def before_alter(self, event: Any) -> bool:
        """Whether the event may be of another shape altogether."""
        return _sees(self.altered, event)


def _sees(snapshot: Snapshot | None, event: Any) -> bool:
    source = event.get("source") if isinstance(event, dict) else None
    xid = transaction_of(source) if isinstance(source, dict) else None
    return snapshot is not None and isinstance(xid, int) and snapshot.sees(widen(xid, snapshot.xmax))
