"""How far the backfill is, and when it will be over: for the log, and for `status` on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.chunks import ChunkRow, ChunkState

ETA_FROM = 0.01
"""Before this share is done, an estimate of the rest would be a guess."""


@dataclass(frozen=True, slots=True)
class Progress:
    """rows and bytes loaded; share: of the chunks, from 0 to 1; left_s: None while that cannot be told."""

    rows: int
    bytes: int
    share: float
    left_s: float | None

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        return f"{self.rows:,} rows, {self.bytes / 1e6:,.1f} MB, {self.share:.0%} of the chunks{left}"


def progress_of(chunks: Sequence[ChunkRow], began_share: float, elapsed_s: float) -> Progress:
    """The progress now. began_share: what was done `elapsed_s` seconds ago, when this process began to look."""
    done = sum(chunk.state is ChunkState.DONE for chunk in chunks)
    share = done / len(chunks) if chunks else 0.0
    gained = share - began_share
    left = (1 - share) / gained * elapsed_s if gained >= ETA_FROM else None
    return Progress(sum(chunk.rows for chunk in chunks), sum(chunk.bytes for chunk in chunks), share, left)
