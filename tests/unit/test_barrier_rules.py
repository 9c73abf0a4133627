"""The barrier's pure part: what keeps it from being passed."""

from __future__ import annotations

from connectors.chunks import ChunkRow, ChunkState, Position
from daemon.barrier import blocking

DONE = ChunkRow("t", 0, None, None, ChunkState.DONE)
READING = ChunkRow("t", 1, None, None, ChunkState.READING)


def at(offset: int, partition: int = 0) -> Position:
    return Position("topic", partition, "t", offset, (-1, 0), "id")


def test_passed_when_every_partition_is_at_its_end_and_every_chunk_is_done() -> None:
    assert blocking({("topic", 0): 5, ("topic", 1): 0}, [at(5), at(0, 1)], [DONE]) == ""
    assert blocking({("topic", 0): 5}, [at(6)], [DONE]) == ""


def test_one_partition_behind_blocks() -> None:
    assert "topic[1]" in blocking({("topic", 0): 5, ("topic", 1): 3}, [at(5), at(2, 1)], [DONE])


def test_a_partition_nobody_has_a_position_of_blocks() -> None:
    assert "none" in blocking({("topic", 0): 5, ("topic", 1): 0}, [at(5)], [DONE])


def test_an_unfinished_chunk_blocks_whatever_the_positions() -> None:
    assert "1 of 2 chunks" in blocking({}, [at(5)], [DONE, READING])


def test_a_pipeline_that_was_never_started_blocks() -> None:
    assert blocking({}, [], []) != ""
