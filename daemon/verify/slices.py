"""How an entry is divided for its comparison. Pure.

Where a range of source keys and the same range of target keys hold the same rows, the slices are such ranges, and each
is compared by itself. Everywhere else the entry is one slice: each side is walked in ranges of its own key within one
snapshot, and the buckets of all rows' hashes are compared at the end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from connectors.chunks import Bound, Range
from connectors.sql.sides import Sums

BUCKETS_OF_A_RANGE = 256
BUCKETS_MAX = 16_384
ROWS_A_BUCKET = 256
ROWS_A_GROUP = 50_000
"""How many rows' keys and hashes are held at a time."""


def ranges(bounds: Sequence[Bound]) -> list[Range]:
    """The whole key space cut at these bounds, both outer ends open."""
    edges: list[Bound | None] = [None, *bounds, None]
    return [Range(lower, upper) for lower, upper in pairwise(edges)]


def buckets_for(rows: int) -> int:
    """How many buckets the rows of a whole entry are put into: a power of two, so that a bucket has few rows."""
    wanted = max(1, rows // ROWS_A_BUCKET)
    return min(BUCKETS_MAX, max(BUCKETS_OF_A_RANGE, 1 << (wanted - 1).bit_length()))


def added(one: Sums, other: Sums) -> Sums:
    """The sums of two ranges together."""
    total = dict(one)
    for bucket, (rows, hashes) in other.items():
        there = total.get(bucket, (0, 0))
        total[bucket] = (there[0] + rows, there[1] + hashes)
    return total


def rows_of(sums: Sums) -> int:
    """How many rows were summed."""
    return sum(rows for rows, _ in sums.values())


def groups(source: Sums, target: Sums) -> Iterator[list[int]]:
    """The buckets that differ, in groups of not too many rows."""
    group: list[int] = []
    held = 0
    for bucket in sorted(source.keys() | target.keys()):
        if source.get(bucket) == target.get(bucket):
            continue
        rows = source.get(bucket, (0, 0))[0] + target.get(bucket, (0, 0))[0]
        if group and held + rows > ROWS_A_GROUP:
            yield group
            group, held = [], 0
        group.append(bucket)
        held += rows
    if group:
        yield group


def sample(numbers: Sequence[int], percent: float, rng: random.Random) -> list[int]:
    """So many percent of the slices, at least one, in order."""
    count = min(len(numbers), max(1, round(len(numbers) * percent / 100)))
    return sorted(rng.sample(list(numbers), count))


def unfinished(chunks: Mapping[str, tuple[int, int]]) -> list[str]:
    """What is left to load, in words. chunks: table -> (done, all)."""
    left = {name: counts for name, counts in sorted(chunks.items()) if counts[0] < counts[1] or not counts[1]}
    return [f"{name} ({done} of {total} chunks)" for name, (done, total) in left.items()]
