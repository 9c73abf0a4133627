"""The fixtures of the suite that every target passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stack import Stack
from tests.support.targets import KINDS, Make, Place, Rig, place_of


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Every engine in turn."""

    def stack() -> Stack:
        found: Stack = request.getfixturevalue("stack")
        return found

    with place_of(request.param, stack, tmp_path_factory.mktemp("target")) as made:
        yield made


@pytest.fixture
def rig(place: Place) -> Iterator[Make]:
    """Makes source tables with their targets."""
    made: list[Rig] = []

    def make(*arguments: Any, **options: Any) -> Rig:
        made.append(Rig(place, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
