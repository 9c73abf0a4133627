"""The places that every conformance suite goes through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.control.store import ControlStore
from tests.support.control_sites import KINDS, Site, site_of
from tests.support.stack import Stack


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every engine in turn, with a control schema."""

    def stack() -> Stack:
        found: Stack = request.getfixturevalue("stack")
        return found

    with site_of(request.param, stack, tmp_path_factory.mktemp("control")) as made:
        with made.begin() as connection:
            ControlStore("first").ensure(connection)
        yield made
