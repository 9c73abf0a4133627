"""Applies one batch for good: retries what may pass, resolves conflicts by re-reading, never guesses a lost COMMIT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from connectors.change import Batch, Slice
from connectors.chunks import Position
from daemon.retry import Backoff
from daemon.stream.apply import Applied, Stream
from daemon.stream.buffer import split
from mappers.errors import ConflictError, FatalError, FencedError, RecordError, TransientError

CONFLICTS_MAX = 20
"""How often one batch may meet unique values of other rows before the conflict is called the data's own."""


class Exchange(Protocol):
    """Reads again the keys of a batch that feed a target table, and every row that holds their unique values.

    stubborn: it did not help so far; a row that conflicts by itself is to be set aside.
    """

    def __call__(self, batch: Batch, error: ConflictError, *, stubborn: bool) -> None: ...


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
        """Apply the batch; None when the process is to stop before that could be done.

        A batch that the target refuses is applied once more with its rows looked at apart (dead letters). Where a row
        may not be set aside, what is before its event is applied, and the error that names it is raised.
        """
        backoff = self._backoff()
        piece: Batch | None = batch
        conflicts, isolate = 0, False
        conflict: ConflictError | None = None
        stop: RecordError | None = None
        while piece is not None:
            try:
                if conflict is not None:
                    self._exchange(piece, conflict, stubborn=conflicts > CONFLICTS_MAX // 2)
                    conflict = None
                applied = self._stream.apply(piece, isolate=isolate)
            except ConflictError as error:
                conflicts, conflict = conflicts + 1, error
                if conflicts > CONFLICTS_MAX:
                    raise FatalError(error.what, where=error.where, hint=CONFLICT_HINT) from error
            except RecordError as error:
                if isolate:
                    piece, stop = before(piece, error), error
                isolate = True
            except TransientError as error:
                self._failed(error)
                found = self._look(backoff) if backoff.wait() else None
                if found is None:
                    return None
                piece = realign(piece, found)
            else:
                if stop is not None:
                    raise stop
                return applied
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


def before(batch: Batch, error: RecordError) -> Batch:
    """What of the batch comes before the event that the error names. Pure. Raises the error where that is nothing."""
    slices: list[Slice] = []
    for part in batch.slices:
        if error.at is None or (part.topic, part.partition) != error.at[:2]:
            slices.append(part)
            continue
        number = next(i for i, change in enumerate(part.changes) if change.offset == error.at[2])
        head, _ = split(part, number)
        if head.end > head.start:
            slices.append(head)
    if error.at is None or not slices:
        raise error
    return Batch(tuple(slices))


CONFLICT_HINT = "two source rows map to one unique value of the target: mend the mapping or the source's data"


def realign(batch: Batch, positions: Mapping[tuple[str, int], int]) -> Batch | None:
    """The part of a batch that the target does not have yet, after a transaction whose outcome is unknown. Pure.

    Raises FencedError where a position is outside the batch: another process moved it.
    """
    slices: list[Slice] = []
    for part in batch.slices:
        stored = positions.get((part.topic, part.partition))
        if stored is None or not part.start <= stored <= part.end:
            raise FencedError(
                f"the position in the target is {stored}, this process was at {part.start}",
                where=f"{part.topic}[{part.partition}]",
            )
        if stored < part.end:
            left = [change for change in part.changes if change.offset >= stored]
            slices.append(replace(part, start=stored, changes=left))
    return Batch(tuple(slices)) if slices else None
