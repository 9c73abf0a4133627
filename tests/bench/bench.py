"""The figures of docs/performance.md, a line each; exit code 1 where one misses its floor.

    python -m tests.bench.bench [PART ...]

PART: stream, memory, backfill, backlog, startup, verify, engines; all unless given

CHANGEOVER_TEST_STACK=DIR uses the stack in that directory instead of a new one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench import backfill, backlog, engines, memory, startup, stream, verify
from tests.bench.figures import Figure
from tests.support.stack import Stack

PARTS: Mapping[str, Callable[[Stack], Iterator[Figure]]] = {
    "stream": stream.figures,
    "memory": memory.figures,
    "backfill": backfill.figures,
    "backlog": backlog.figures,
    "startup": startup.figures,
    "verify": verify.figures,
    "engines": engines.figures,
}


def main(names: Sequence[str]) -> int:
    """Measure these parts and print their figures; returns the exit code."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; one of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    missed = []
    with _stack() as stack:
        for name in names or PARTS:
            for figure in PARTS[name](stack):
                print(figure.line(), flush=True)
                missed += [] if figure.met else [figure.name]
    print(f"{len(missed)} missed; {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if missed else 0


@contextmanager
def _stack() -> Iterator[Stack]:
    kept = os.environ.get("CHANGEOVER_TEST_STACK")
    if kept:
        yield Stack.running(Path(kept))
        return
    print("starting the stack", file=sys.stderr, flush=True)
    stack = Stack.started()
    try:
        yield stack
    finally:
        stack.down()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
