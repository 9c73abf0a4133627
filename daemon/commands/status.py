"""`status`: where every table stands. `wait`: until a condition is proved by a barrier."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of, stop_on_signals

if TYPE_CHECKING:
    from connectors.chunks import ChunkRow, Position
    from daemon.commands.common import Commands


def add(commands: Commands) -> None:
    """Add both to the command line."""
    status = commands.add_parser("status", help="where every table stands")
    status.add_argument("--output", choices=("table", "json"), default="table")
    status.add_argument("--watch", action="store_true", help="again every second, until interrupted")
    status.set_defaults(command=_status)

    wait = commands.add_parser("wait", help="wait for a condition, proved by a barrier")
    wait.add_argument("--for", dest="condition", choices=("lag-zero", "backfill"), required=True)
    wait.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds (default 600); then exit 3")
    wait.set_defaults(command=_wait)


def _status(options: argparse.Namespace) -> None:
    from daemon.backfill.progress import progress_of
    from daemon.status import phase_of, status_of, table_lines

    parts = parts_of(options)
    began: tuple[float, float] | None = None
    while True:
        facts = parts.facts()
        status = status_of(facts)
        lines = [json.dumps(status)] if options.output == "json" else table_lines(status)
        if options.watch and phase_of(facts.chunks) == "backfilling":
            now = time.monotonic()
            began = began or (now, progress_of(facts.chunks, 0, 0).share)
            lines.append(f"backfill: {progress_of(facts.chunks, began[1], now - began[0])}")
        print("\n".join(lines), flush=True)
        if not options.watch:
            return
        time.sleep(1)


def _wait(options: argparse.Namespace) -> None:
    from daemon.live import refuse_paused

    parts = parts_of(options)
    stop_on_signals(parts.stop)
    lag = options.condition == "lag-zero"
    mapped = [".".join(spec.source_name) for spec in parts.config.tables]

    def look() -> tuple[list[Position], list[ChunkRow]]:
        positions, chunks = parts.progress()
        mine = [chunk for chunk in chunks if chunk.table in mapped]
        refuse_paused(parts.paused(), mapped, mine, lag=lag)
        return positions, mine

    look()
    tables = parts.tables() if lag else {}
    barrier = parts.barrier(options.timeout)
    position = barrier.sentinel()
    ends: dict[tuple[str, int], int] = {}
    if lag:
        barrier.delivered(position)
        topics, messages = parts.topics(tables)
        ends = parts.broker.end_offsets([messages.name, *(topic.name for topic in topics.values())])
    barrier.applied(ends, look)
    if lag:  # what was written to a table under another name, or outside of the publication, is not in the stream
        source = parts.source()
        parts.guard(tables, source, lambda table, stored, doubts: None).examine(tables)
        source.close()
    print(f"{options.condition}: reached")
