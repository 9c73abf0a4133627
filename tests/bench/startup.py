"""How long a command takes that a person waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from tests.bench.figures import Figure
from tests.bench.ground import ground
from tests.bench.orders import MAPPING, SOURCE_SQL, TARGET_SQL
from tests.support.pipeline import Settings
from tests.support.stack import Stack

RUNS = 7


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure, from launch to end."""
    with ground(stack, "startup", SOURCE_SQL, TARGET_SQL, [MAPPING], Settings()) as at:
        for name, arguments in (("--help", ["--help"]), ("status", ["status"])):
            spent = []
            for _ in range(RUNS):
                began = time.monotonic()
                at.pipeline.command(*arguments)
                spent.append(time.monotonic() - began)
            yield Figure(f"start-up: changeover {name}, median", median(spent) * 1e3, "ms")
