"""The places that every conformance suite goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.control.store import ControlStore
from tests.support import control_sites, targets
from tests.support.control_sites import Site, site_of
from tests.support.stack import Stack
from tests.support.targets import Make, Place, Rig, place_of


def stack_of(request: pytest.FixtureRequest) -> Callable[[], Stack]:
    """The stack, for engines that need one."""

    def stack() -> Stack:
        found: Stack = request.getfixturevalue("stack")
        return found

    return stack


@pytest.fixture(scope="module", params=control_sites.KINDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every engine in turn, with a control schema."""
    with site_of(request.param, stack_of(request), tmp_path_factory.mktemp("control")) as made:
        with made.begin() as connection:
            ControlStore("first").ensure(connection)
        yield made


@pytest.fixture(scope="module", params=targets.KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Every engine in turn."""
    with place_of(request.param, stack_of(request), tmp_path_factory.mktemp("target")) as made:
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
