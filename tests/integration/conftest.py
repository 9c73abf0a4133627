"""The real stack: the one that CHANGEOVER_STACK names (a directory), or one made for the run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

STACK = Path(__file__).parents[2] / "deploy/local/stack"


@dataclass(frozen=True)
class RealStack:
    """Where everything listens."""

    source_url: str
    target_url: str
    kafka: str
    connect_url: str


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    given = os.environ.get("CHANGEOVER_STACK")
    directory = given or str(tmp_path_factory.mktemp("stack"))
    answer = subprocess.run([STACK, "up", "--dir", directory], check=True, stdout=subprocess.PIPE, text=True).stdout
    env = dict(line.split("=", 1) for line in answer.splitlines())
    yield RealStack(env["SOURCE_URL"], env["TARGET_URL"], env["KAFKA_BOOTSTRAP"], env["CONNECT_URL"])
    if not given:
        subprocess.run([STACK, "down", "--dir", directory], check=True)
