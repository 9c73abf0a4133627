"""One-to-one choices among scored pairs: the best ones, and whether any other comes near."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Leftover:
    """A pair that might be: 0 to 1. clear: nothing else for either of them comes near."""

    source: str
    target: str
    score: float
    clear: bool = True


def best_pairs(pairs: Sequence[Leftover], least: float, margin: float) -> Iterator[Leftover]:
    """Pairs from the best on, each side used once.

    A rival that found its own clear place is no rival any more; what had a near rival is in doubt for good.
    """
    ordered = sorted((p for p in pairs if p.score >= least), key=lambda p: (-p.score, p.source, p.target))
    doubtful: set[tuple[str, str]] = set()
    while ordered:
        best = next((pair for pair in ordered if _clear(pair, ordered, margin, doubtful)), None)
        yield best or replace(ordered[0], clear=False)
        taken = best or ordered[0]
        if best is None:
            doubtful |= {side for pair in _rivals(taken, ordered, margin) for side in _sides(pair)}
        ordered = [p for p in ordered if p.source != taken.source and p.target != taken.target]


def _clear(pair: Leftover, pairs: Sequence[Leftover], margin: float, doubtful: set[tuple[str, str]]) -> bool:
    return doubtful.isdisjoint(_sides(pair)) and next(_rivals(pair, pairs, margin), None) is None


def _rivals(pair: Leftover, pairs: Sequence[Leftover], margin: float) -> Iterator[Leftover]:
    for rival in pairs:
        shared = (rival.source == pair.source) != (rival.target == pair.target)
        if shared and rival.score > pair.score - margin:
            yield rival


def _sides(pair: Leftover) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("source", pair.source), ("target", pair.target)
