"""Applies one batch for good: retries what may pass, resolves conflicts by re-reading, never guesses a lost COMMIT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from connectors.change import Batch, Slice
from connectors.chunks import Position
from daemon.retry import Backoff
from daemon.stream import Applied, Stream
from mappers.errors import ConflictError, FatalError, FencedError, TransientError

CONFLICTS_MAX = 20
"""How often one batch may meet unique values of other rows before the conflict is called the data's own."""


class Exchange(Protocol):
    """Reads again the keys of a batch that feed a target table, and every row that holds their unique values."""

    def __call__(self, batch: Batch, error: ConflictError) -> None: ...


class Writer:
    """Applies batches until each is committed, superseded by another owner, or fails. One thread only.

    positions: what the target has. failed: told of every transient error.
    """

    def __init__(
        self,
        stream: Stream,
        positions: Callable[[], list[Position]],
        exchange: Exchange,
        backoff: Callable[[], Backoff],
        failed: Callable[[TransientError], None],
    ) -> None:
        self._stream = stream
        self._positions = positions
        self._exchange = exchange
        self._backoff = backoff
        self._failed = failed

    def write(self, batch: Batch) -> Applied | None:
        """Apply the batch; None when the process is to stop before that could be done."""
        backoff = self._backoff()
        conflicts, conflict = 0, None
        while batch.slices:
            try:
                if conflict is not None:
                    self._exchange(batch, conflict)
                    conflict = None
                return self._stream.apply(batch)
            except ConflictError as error:
                conflicts, conflict = conflicts + 1, error
                if conflicts > CONFLICTS_MAX:
                    raise FatalError(error.what, where=error.where, hint=CONFLICT_HINT) from error
            except TransientError as error:
                self._failed(error)
                if not backoff.wait():
                    return None
                found = self._look(backoff)
                if found is None:
                    return None
                batch = realign(batch, found)
        return Applied([], [])

    def _look(self, backoff: Backoff) -> Mapping[tuple[str, int], int] | None:
        """The target's positions, once it answers: whether a COMMIT went through is read, never guessed."""
        while True:
            try:
                return {(p.topic, p.partition): p.next_offset for p in self._positions()}
            except TransientError as error:
                self._failed(error)
                if not backoff.wait():
                    return None


CONFLICT_HINT = "two source rows map to one unique value of the target: mend the mapping or the source's data"


def realign(batch: Batch, positions: Mapping[tuple[str, int], int]) -> Batch:
    """The part of a batch that the target does not have yet, after a transaction whose outcome is unknown. Pure.

    Raises FencedError where a position is outside the batch: another process moved it.
    """
    slices = []
    for part in batch.slices:
        stored = positions.get((part.topic, part.partition))
        if stored is None or not part.start <= stored <= part.end:
            raise FencedError(
                f"the position in the target is {stored}, this process was at {part.start}",
                where=f"{part.topic}[{part.partition}]",
            )
        if stored < part.end:
            left = [change for change in part.changes if change.offset >= stored]
            slices.append(Slice(part.topic, part.partition, part.table, stored, part.end, left))
    return Batch(tuple(slices))
