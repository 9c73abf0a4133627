"""Applies one batch for good: retries what may pass, resolves conflicts by re-reading, never guesses a lost COMMIT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from connectors.change import Batch
from connectors.chunks import Position
from daemon.buffer import split
from daemon.retry import Backoff
from daemon.stream import Applied, Stream
from mappers.errors import LEAVE_OUT, ConflictError, FatalError, FencedError, RecordError, TransientError

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
        """Apply the batch; None when the process is to stop before that could be done.

        A batch that the target refuses is applied in halves, until the one event is found that is at fault: what is
        before it stays applied, and the error names it.
        """
        backoff = self._backoff()
        conflicts, conflict = 0, None
        pieces, done = [batch], Applied([], [])
        while pieces:
            piece = pieces[-1]
            try:
                if conflict is not None:
                    self._exchange(piece, conflict)
                    conflict = None
                applied = self._stream.apply(piece)
            except ConflictError as error:
                conflicts, conflict = conflicts + 1, error
                if conflicts > CONFLICTS_MAX:
                    raise FatalError(error.what, where=error.where, hint=CONFLICT_HINT) from error
            except RecordError as error:
                pieces[-1:] = reversed(halves(piece, error))
            except TransientError as error:
                self._failed(error)
                found = self._look(backoff) if backoff.wait() else None
                if found is None:
                    return None
                piece = realign(piece, found)
                pieces[-1:] = [piece] if piece.slices else []
            else:
                pieces.pop()
                if gather(done, applied, pieces):
                    break
        return done

    def _look(self, backoff: Backoff) -> Mapping[tuple[str, int], int] | None:
        """The target's positions, once it answers: whether a COMMIT went through is read, never guessed."""
        while True:
            try:
                return {(p.topic, p.partition): p.next_offset for p in self._positions()}
            except TransientError as error:
                self._failed(error)
                if not backoff.wait():
                    return None


def gather(done: Applied, applied: Applied, left: Sequence[Batch]) -> bool:
    """Add what a piece did to what was done before it. True where a chunk held some of it back: then what is left is
    held back as well, the last first, as it has to be put back.
    """
    done.advances += applied.advances
    for label, rows in applied.resynced.items():
        done.resynced[label] = done.resynced.get(label, 0) + rows
    if applied.rest:
        done.rest += [part for piece in left for part in piece.slices] + applied.rest
    return bool(applied.rest)


def halves(batch: Batch, error: RecordError) -> list[Batch]:
    """The batch in two, in order: by partitions, then by events. Raises the error, naming the event that is alone."""
    parts = batch.slices
    if len(parts) > 1:
        middle = len(parts) // 2
        return [Batch(parts[:middle]), Batch(parts[middle:])]
    (part,) = parts
    if len(part.changes) > 1:
        return [Batch((half,)) for half in split(part, len(part.changes) // 2)]
    if not part.changes:
        raise error
    if part.start < part.changes[0].offset:
        return [Batch((half,)) for half in split(part, 0)]
    where = f"{part.topic}[{part.partition}] offset {part.changes[0].offset}"
    hint = error.hint or "mend the value at the source, the mapping or the target's table"
    raise RecordError(f"{error.where}: {error.what}", where=where, hint=f"{hint}; {LEAVE_OUT}") from error


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
            slices.append(replace(part, start=stored, changes=left))
    return Batch(tuple(slices))
