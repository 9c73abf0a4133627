"""The records of control state: chunks, positions, ledger. No database's words; `control.py` stores them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from connectors.change import Sequence2
from connectors.snapshot import Snapshot

Bound = tuple[str, ...]
"""A chunk's edge: the key's column values in the source's text form."""


@dataclass(frozen=True, slots=True)
class Range:
    """Keys from `lower` (included) to `upper` (excluded), in the text form of their columns; None is an open end."""

    lower: Bound | None = None
    upper: Bound | None = None


EVERYTHING = Range()


class ChunkState(StrEnum):
    """`again` and `rereading` are `pending` and `reading` of a chunk that had been finished before."""

    PENDING = "pending"
    READING = "reading"
    DONE = "done"
    AGAIN = "again"
    REREADING = "rereading"


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """One chunk: the keys from `lower` (included) to `upper` (excluded); None is an open end.

    attempt: how often it was claimed, the compare-and-set of its finish. snapshot: what its read sees, once known.
    rows, bytes: what went through when it was loaded.
    """

    table: str
    number: int
    lower: Bound | None
    upper: Bound | None
    state: ChunkState
    attempt: int = 0
    snapshot: Snapshot | None = None
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of every consumed event. `consumed` is counted where events are read, the rest where they end."""

    consumed: int = 0
    applied: int = 0
    superseded: int = 0
    already_loaded: int = 0
    filtered: int = 0
    control: int = 0
    held: int = 0
    dead_lettered: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every consumed event has exactly one outcome."""
        outcomes = self.applied + self.superseded + self.already_loaded + self.filtered
        return self.consumed == outcomes + self.control + self.held + self.dead_lettered

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(*(getattr(self, name) + getattr(other, name) for name in LEDGER_FIELDS))


LEDGER_FIELDS = tuple(Ledger.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands at the target: the next Kafka offset, its high water, and its ledger since the start."""

    topic: str
    partition: int
    table: str | None
    next_offset: int
    high_water: Sequence2
    topic_id: str
    ledger: Ledger = Ledger()
    source_time_us: int = 0


@dataclass(frozen=True, slots=True)
class Advance:
    """How one transaction moves a partition: from `start` to `end`, with what became of the events between."""

    topic: str
    partition: int
    start: int
    end: int
    high_water: Sequence2
    ledger: Ledger
    source_time_us: int
