<<<<<<< HEAD
"""The fixtures of the suite that every target passes."""
=======
"""The places that every conformance suite goes through."""
>>>>>>> 34508d5bf9dfd28aad65e97a99b226d8deff6775

from __future__ import annotations

from collections.abc import Iterator
<<<<<<< HEAD
from typing import Any

import pytest

from tests.support.stack import Stack
from tests.support.targets import KINDS, Make, Place, Rig, place_of


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Every engine in turn."""
=======

import pytest

from connectors.control.store import ControlStore
from tests.support.control_sites import KINDS, Site, site_of
from tests.support.stack import Stack


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every engine in turn, with a control schema."""
>>>>>>> 34508d5bf9dfd28aad65e97a99b226d8deff6775

    def stack() -> Stack:
        found: Stack = request.getfixturevalue("stack")
        return found

<<<<<<< HEAD
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
=======
    with site_of(request.param, stack, tmp_path_factory.mktemp("control")) as made:
        with made.begin() as connection:
            ControlStore("first").ensure(connection)
        yield made
>>>>>>> 34508d5bf9dfd28aad65e97a99b226d8deff6775
