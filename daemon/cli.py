"""The command line. Results on stdout, logs on stderr; a handled error is one line and an exit code.

Exit codes: 0 ok, 1 handled error, 2 usage or configuration, 3 not ready or timed out, 5 fenced.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mappers.errors import ChangeoverError, FatalError

if TYPE_CHECKING:
    from daemon.wiring import Parts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except ChangeoverError as error:
        _say(error, options)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        _say(FatalError(f"internal error: {type(error).__name__}: {error}", hint=BUG), options)
        return 1


def _say(error: ChangeoverError, options: argparse.Namespace) -> None:
    """One line a problem. A worker says it to its parent, which passes it on."""
    if options.traceback:
        print(_redacted(traceback.format_exc()), file=sys.stderr, end="")
    out = sys.stdout if getattr(options, "parent", 0) else sys.stderr
    for line in _redacted(str(error)).splitlines():
        print(line if getattr(options, "parent", 0) else f"changeover: {line}", file=out)


BUG = "this is a bug: run it again with --traceback and report what it shows"


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(prog="changeover", description=__doc__.splitlines()[0] if __doc__ else None)
    root.description = "Moves a live application's data from its old SQL database to its new store."
    root.add_argument("--config", "-c", type=Path, default=Path("changeover.yaml"), help="the YAML file")
    root.add_argument("--traceback", action="store_true", help="show where an error came from")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

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

    status = commands.add_parser("status", help="where every table stands")
    status.add_argument("--output", choices=("table", "json"), default="table")
    status.add_argument("--watch", action="store_true", help="again every second, until interrupted")
    status.set_defaults(command=_status)

    wait = commands.add_parser("wait", help="wait for a condition, proved by a barrier")
    wait.add_argument("--for", dest="condition", choices=("lag-zero", "backfill"), required=True)
    wait.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds (default 600); then exit 3")
    wait.set_defaults(command=_wait)

    _connector_parser(commands)
    schema = commands.add_parser("schema", help="the JSON Schema of the YAML file")
    schema.set_defaults(command=_schema)
    return root


def _connector_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    connector = commands.add_parser("connector", help="the Debezium connector, its topics, slot and publication")
    actions = connector.add_subparsers(required=True, metavar="ACTION")
    apply = actions.add_parser("apply", help="create or change it, and wait until it streams")
    apply.add_argument("--timeout", type=float, default=120, metavar="S")
    apply.set_defaults(command=_connector_apply)
    status = actions.add_parser("status", help="what it does")
    status.set_defaults(command=_connector_status)
    delete = actions.add_parser("delete", help="remove it with its slot and publication, so that no WAL is retained")
    delete.add_argument("--topics", action="store_true", help="delete its topics too")
    delete.add_argument("--timeout", type=float, default=60, metavar="S")
    delete.set_defaults(command=_connector_delete)


def _parts(options: argparse.Namespace) -> Parts:
    from daemon.config import load
    from daemon.logs import configure
    from daemon.wiring import Parts

    config = load(options.config, os.environ)
    configure(config.log.level, config.log.format)
    return Parts(config, options.config, threading.Event())


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def _run(options: argparse.Namespace) -> None:
    from daemon.health import Health
    from daemon.metrics import Metrics
    from daemon.run import Daemon

    parts = _parts(options)
    _stop_on_signals(parts.stop)
    daemon = Daemon(parts, Metrics(), Health(time.monotonic), backfill=not options.no_backfill)
    daemon.run(rebackfill=options.rebackfill, accept=options.accept_mapping, anew=options.anew)


def _backfill(options: argparse.Namespace) -> int:
    from daemon.backfill import Worker
    from daemon.pace import Pace
    from daemon.workers import TRANSIENT_EXIT, end_with_parent
    from mappers.errors import TransientError

    if options.parent:
        end_with_parent(options.parent)
    parts = _parts(options)
    _stop_on_signals(parts.stop)
    rate = parts.config.backfill.rows_per_second
    pace = Pace(max(1, rate // options.share) if rate else None, time.monotonic, parts.stop.wait)

    def work() -> int:
        tables = parts.pushdowns(parts.tables())
        stopping = parts.stop.is_set
        return Worker(tables, parts.source(), parts.target, parts.control, pace, parts.wait, stopping).run()

    try:
        parts.backoff().call(work, _warn) if not options.parent else work()
    except TransientError as error:
        _warn(error)
        return TRANSIENT_EXIT
    return 0


def _warn(error: ChangeoverError) -> None:
    import logging

    logging.getLogger(__name__).warning("trying again: %s", error)


def _status(options: argparse.Namespace) -> None:
    from daemon.progress import progress_of
    from daemon.status import phase_of, status_of, table_lines

    parts = _parts(options)
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
    parts = _parts(options)
    _stop_on_signals(parts.stop)
    barrier = parts.barrier(options.timeout)
    position = barrier.sentinel()
    ends: dict[tuple[str, int], int] = {}
    if options.condition == "lag-zero":
        barrier.delivered(position)
        ends = parts.broker.end_offsets(_topics_of(parts))
    barrier.applied(ends, parts.progress)
    print(f"{options.condition}: reached")


def _topics_of(parts: Parts) -> list[str]:
    tables, messages = parts.topics(parts.tables())
    return [topic.name for topic in tables.values()] + [messages.name]


def _schema(options: argparse.Namespace) -> None:
    from daemon.config import json_schema

    print(json.dumps(json_schema(), indent=2))


def _connector_apply(options: argparse.Namespace) -> None:
    from daemon import connector

    _show(connector.apply(_parts(options), options.timeout))


def _connector_status(options: argparse.Namespace) -> None:
    from daemon import connector

    _show(connector.status(_parts(options)))


def _connector_delete(options: argparse.Namespace) -> None:
    from daemon import connector

    _show(connector.delete(_parts(options), options.timeout, topics=options.topics))


def _show(result: object) -> None:
    print(json.dumps(result, indent=2, default=str))


def _redacted(text: str) -> str:
    from daemon.logs import redact

    return redact(text)


if __name__ == "__main__":
    sys.exit(main())
