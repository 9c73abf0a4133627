"""A process that claims a chunk and then only lives. Arguments: kind and URL of the place, pipeline, table."""

from __future__ import annotations

import sys

from connectors.chunks import ChunkState
from connectors.control.store import ControlStore
from tests.support.control_sites import Site


def main() -> None:
    """Say "claimed" once the claim is committed, and wait for the end of the input."""
    kind, url, pipeline, table = sys.argv[1:]
    control, site = ControlStore(pipeline), Site(kind, url)
    with site.begin() as connection:
        row = control.chunks.next(connection, [table], [ChunkState.PENDING])
        assert row is not None
        assert control.chunks.move(connection, row, ChunkState.READING, attempt=1, claim=True)
    print("claimed", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
