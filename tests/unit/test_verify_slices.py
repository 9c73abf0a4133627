"""Slices, buckets, samples, batches: how a comparison is divided."""

from __future__ import annotations

import random

from connectors.chunks import Range
from daemon.verify.confirm import batches
from daemon.verify.slices import ROWS_A_GROUP, added, buckets_for, groups, ranges, rows_of, sample, unfinished
from daemon.verify.suspects import Suspect


def test_ranges_cover_everything() -> None:
    assert ranges([]) == [Range(None, None)]
    assert ranges([("1",), ("5",)]) == [Range(None, ("1",)), Range(("1",), ("5",)), Range(("5",), None)]


def test_buckets_are_a_power_of_two_within_bounds() -> None:
    assert [buckets_for(rows) for rows in (0, 1, 10_000, 65_537, 1_000_000, 10**12)] == [
        256,
        256,
        256,
        256,
        4096,
        16_384,
    ]


def test_sums_of_ranges_add_up() -> None:
    assert added({1: (2, 10)}, {1: (1, -4), 2: (1, 7)}) == {1: (3, 6), 2: (1, 7)}
    assert rows_of({1: (3, 6), 2: (1, 7)}) == 4


def test_only_differing_buckets_are_read_and_not_too_many_at_once() -> None:
    source = {number: (ROWS_A_GROUP // 4, number) for number in range(6)}
    target = {**source, 1: (1, 1), 3: (ROWS_A_GROUP // 4, 0), 5: (ROWS_A_GROUP // 4, 0), 9: (1, 1)}
    assert list(groups(source, source)) == []
    assert list(groups(source, target)) == [[1, 3], [5, 9]]
    assert list(groups({}, {7: (10 * ROWS_A_GROUP, 1)})) == [[7]]


def test_a_sample_is_never_empty() -> None:
    rng = random.Random(1)
    assert len(sample(range(10), 1, rng)) == 1
    assert len(sample(range(10), 30, rng)) == 3
    assert sample(range(10), 100, rng) == list(range(10))


def test_what_is_left_to_load_is_named() -> None:
    assert unfinished({"a": (2, 2), "b": (1, 2), "c": (0, 0)}) == ["b (1 of 2 chunks)", "c (0 of 0 chunks)"]


def test_batches_of_large_rows_are_small() -> None:
    suspects = [Suspect((str(number),), None) for number in range(12_000)]
    assert [len(batch) for batch in batches(suspects, 100)] == [5_000, 5_000, 2_000]
    assert len(next(batches(suspects, 1 << 30))) == 20
