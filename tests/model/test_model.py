"""The shipped decisions, driven through random schedules (see docs/protocol.md).

CHANGEOVER_SEED sets the master seed. Without it the search of `full` begins at a new one each time, the others at 0.
"""

from __future__ import annotations

import os
import time

import pytest

from connectors.change import Change
from connectors.chunks import ChunkState
from connectors.snapshot import Snapshot
from daemon.handover import Chunk, Resync, View, plan_slice
from tests.model.ablations import BARRIERS, CALM, COPIES, DECISIONS, DISCIPLINES, REREADS, Ablation
from tests.model.walk import EVERY_TROUBLE, first_failure, walk
from tests.model.world import Budget

BLOCKS = 10
BLOCK = 1_000
FULL_BLOCKS = 40
FULL_BLOCK = 5_000
MOST_FOR_ABLATION = 12_000


def master_seed(default: int) -> int:
    """The first seed of a search; printed, so that the search can be repeated."""
    seed = int(os.environ.get("CHANGEOVER_SEED", default))
    print(f"CHANGEOVER_SEED={seed}")
    return seed


MOODS = (EVERY_TROUBLE, EVERY_TROUBLE, COPIES, BARRIERS, REREADS, CALM, EVERY_TROUBLE, COPIES)
"""What the blocks of a full search are troubled by, in turn."""
FRESH_SEED = time.time_ns() // 1_000_000
"""One for all blocks of a full search."""


def search(first: int, count: int, most: Budget = EVERY_TROUBLE) -> None:
    """Fail with the whole schedule if any of these breaks an invariant."""
    found = first_failure(range(first, first + count), most=most)
    assert found is None, f"{found}\nthe seed and the budget {most} make it again: tests.model.walk.walk"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_schedule_converges(block: int) -> None:
    search(master_seed(0) + block * BLOCK, BLOCK)


@pytest.mark.full
@pytest.mark.parametrize("block", range(FULL_BLOCKS))
def test_every_schedule_converges_full(block: int) -> None:
    search(master_seed(FRESH_SEED) + block * FULL_BLOCK, FULL_BLOCK, MOODS[block % len(MOODS)])


@pytest.mark.parametrize("ablation", [*DECISIONS, *DISCIPLINES], ids=lambda ablation: ablation.name)
def test_every_rule_is_needed(ablation: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    ablation.install(monkeypatch)
    first = master_seed(ablation.first)
    found = first_failure(range(first, first + MOST_FOR_ABLATION), ablation.discipline, ablation.most)
    assert found is not None, f"no harm in {MOST_FOR_ABLATION} schedules without the rule"
    print(f"first counterexample: seed {found.seed}, {found.failure}")


def test_a_schedule_is_made_by_its_seed_alone() -> None:
    seed = master_seed(0)
    once, twice = walk(seed), walk(seed)
    assert str(once) == str(twice)
    assert len(once.steps) > 1


def test_a_resync_is_not_replaced_within_its_slice() -> None:
    """A restarted connector sends both events with an unknown commit; its zombie repeats the first with a known one."""
    first = Change("c", (1,), ("old",), frozenset(), 10, (-1, 12), 0, 0)
    second = Change("u", (1,), ("new",), frozenset(), 10, (-1, 13), 1, 0)
    repeated = Change("c", (1,), ("old",), frozenset(), 10, (1, 12), 2, 0)
    view = View(chunk_of=lambda key: Chunk(ChunkState.DONE, Snapshot(5, 5)), reference=11)
    plan = plan_slice([first, second, repeated], view, (0, 0))
    assert isinstance(plan.actions[(1,)], Resync)
