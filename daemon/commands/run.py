"""`run`: the daemon. `backfill`: a worker beside it."""

from __future__ import annotations

import argparse
import signal
import time
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of, stop_on_signals
from mappers.errors import ChangeoverError

if TYPE_CHECKING:
    from daemon.commands.common import Commands


def add(commands: Commands) -> None:
    """Add both to the command line."""
    run = commands.add_parser("run", help="the daemon: backfills what is missing, then streams")
    run.add_argument("--no-backfill", action="store_true", help="leave the chunks to `changeover backfill` elsewhere")
    run.add_argument("--rebackfill", action="append", default=[], metavar="TABLE", help="make a target table anew")
    run.add_argument("--accept-mapping", action="append", default=[], metavar="TABLE", help="keep rows as they are")
    run.add_argument("--anew", action="store_true", help="empty the target tables and start the pipeline over")
    run.set_defaults(command=_run)

    backfill = commands.add_parser("backfill", help="one backfill worker, until no chunk is left")
    backfill.add_argument("--share", type=int, default=1, help=argparse.SUPPRESS)
    backfill.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    backfill.set_defaults(command=_backfill)


def _run(options: argparse.Namespace) -> None:
    from daemon.http.health import Health
    from daemon.metrics import Metrics
    from daemon.run import Daemon

    parts = parts_of(options)
    stop_on_signals(parts.stop)
    daemon = Daemon(parts, Metrics(), Health(time.monotonic), backfill=not options.no_backfill)
    signal.signal(signal.SIGHUP, lambda *_: daemon.look_at_config())
    daemon.run(rebackfill=options.rebackfill, accept=options.accept_mapping, anew=options.anew)


def _backfill(options: argparse.Namespace) -> int:
    from daemon.backfill.load import Worker
    from daemon.backfill.pace import Pace
    from daemon.backfill.workers import TRANSIENT_EXIT, end_with_parent
    from mappers.errors import TransientError

    if options.parent:
        end_with_parent(options.parent)
    parts = parts_of(options)
    stop_on_signals(parts.stop)
    pace = Pace(parts.config.backfill.rows_per_second, time.monotonic, parts.stop.wait, options.share)

    def work() -> int:
        tables = parts.pushdowns(parts.tables())
        stopping = parts.stop.is_set
        source, target, control = parts.source(), parts.target, parts.control
        return Worker(tables, source, target, control, parts.desk, pace, parts.wait, stopping).run()

    try:
        parts.backoff().call(work, _warn) if not options.parent else work()
    except TransientError as error:
        _warn(error)
        return TRANSIENT_EXIT
    return 0


def _warn(error: ChangeoverError) -> None:
    import logging

    logging.getLogger(__name__).warning("trying again: %s", error)
