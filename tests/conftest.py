"""The fixtures of the tests that run on the real stack."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.pipeline import Pipeline, Settings
from tests.support.stack import Stack

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The real stack: the one in CHANGEOVER_TEST_STACK, else a new one. One that cannot start fails the tests."""
    kept = os.environ.get("CHANGEOVER_TEST_STACK")
    if kept:
        yield Stack.running(Path(kept))
        return
    started = Stack.started()
    try:
        yield started
    finally:
        started.down()


@pytest.fixture
def databases(stack: Stack) -> Iterator[Databases]:
    """Fresh databases on both servers; whatever the test makes of that name goes with them."""
    found = Databases(stack, f"t{os.getpid()}_{next(_NUMBERS)}")
    try:
        yield found
    finally:
        found.drop()


@pytest.fixture
def pipeline(databases: Databases, tmp_path: Path) -> Callable[[Settings], Pipeline]:
    """Makes the pipeline between the fresh databases, from a test's settings."""
    return lambda settings: Pipeline(databases, tmp_path, settings)


@pytest.fixture
def seed() -> int:
    """CHANGEOVER_SEED, or a random one; shown when the test fails, so that it can be run again."""
    found = int(os.environ.get("CHANGEOVER_SEED") or random.randrange(1 << 31))
    print(f"CHANGEOVER_SEED={found}")
    return found
