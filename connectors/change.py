"""The records that flow: change -> slice -> batch. What a source's stream says, in no engine's types.

Values in a row are neutral: int, float, bool, str, bytes or None, as the column's `Wire` says (see `wire.py`).
msgspec structs rather than dataclasses: a frozen dataclass costs ten times as much to make, once an event.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

Key = tuple[object, ...]
"""A source key: the values of the source key's columns, in key order."""
Row = tuple[object, ...]
"""A source row: one value per staged column, in the staged column order of its table."""
Sequence2 = tuple[int, int]
"""Debezium's source.sequence: (LSN of the last commit before, LSN of the event); (-1, lsn) while the first is null."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One event of one partition.

    op: Debezium's c, u, d, r (snapshot row), t (truncate), m (logical message), or "" for a tombstone.
    key: empty for t, m and tombstones. row: the row after the event; None for deletes and control events.
    missing: indices into `row` of values that did not travel (unchanged TOAST).
    xid: the source's top-level transaction id as it travels, 32 bits; None where the source gave none.
    sequence: position in the source's log, for recognising old copies. offset: Kafka's.
    commit_us: the source's commit time, microseconds since 1970 on the source's clock.
    """

    op: str
    key: Key
    row: Row | None
    missing: frozenset[int]
    xid: int | None
    sequence: Sequence2 | None
    offset: int
    commit_us: int
    message: tuple[str, bytes] | None = None
    """op m only: (prefix, content) of the logical message."""
    doubtful: bool = False
    """A value that is its column's default may have been NULL: the converter wrote both alike."""
    unread: bool = False
    """The event is from before the table was altered, and of its row only the key could be read."""


class Slice(msgspec.Struct, frozen=True):
    """A run of changes of one partition, and the positions around it.

    [start, end) are Kafka offsets; `end` can lie beyond the last change where transaction markers follow it.
    size: bytes of the events as they travelled, which bounds the memory they take.
    """

    topic: str
    partition: int
    table: str | None
    """The source table's schema.name; None for the heartbeat topic."""
    start: int
    end: int
    changes: Sequence[Change]
    size: int = 0


class Batch(msgspec.Struct, frozen=True):
    """What is applied in one target transaction: at most one slice per partition, in (topic, partition) order."""

    slices: tuple[Slice, ...]

    @property
    def events(self) -> int:
        """The number of events in all slices."""
        return sum(len(part.changes) for part in self.slices)
