"""`doctor` on the real stack: every check is broken, seen, mended as the report says, and seen ok again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.clinic import Clinic
from tests.support.databases import Databases
from tests.support.stack import Stack
from tests.support.warm import Factory


@pytest.fixture(scope="module")
def clinic(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A pipeline that was applied, run and stopped: all in order but for its server's settings."""
    databases = Databases(stack, f"doc{os.getpid()}")
    with Factory() as warm:
        made = Clinic(databases, tmp_path_factory.mktemp("clinic"), warm)
        try:
            yield made
        finally:
            made.drop()


def test_try(clinic: Clinic) -> None:
    import time
    for k in range(2):
        t=time.monotonic(); r = clinic.doctor(); print(time.monotonic()-t)
    for line, seen in r.lines.items(): print(line, seen)
    clinic.owner("connector", "apply")
    clinic.moved()
    t=time.monotonic(); r = clinic.doctor(); print(time.monotonic()-t)
    for line, seen in r.lines.items(): print(line, seen)
    print(clinic.pipeline.call("doctor").said)
