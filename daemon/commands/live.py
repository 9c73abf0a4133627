"""`pause`, `resume`, `reload`, `pace`, `reload-config`: changes to a pipeline while it runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from daemon.commands.common import asker, mapped_table, parts_of, stop_on_signals
from mappers.errors import ConfigError, Problem

if TYPE_CHECKING:
    from daemon.commands.common import Commands
    from daemon.live import Live
    from daemon.wiring import Parts

PACES = {"none": 0, "configured": None}


def add(commands: Commands) -> None:
    """Add them to the command line."""
    for name, paused, about in (
        ("pause", True, "leave a table's events in Kafka and its chunks unread"),
        ("resume", False, "let a paused table go on"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--table", action="append", default=[], metavar="TABLE", help="default: all")
        command.set_defaults(command=_pause, paused=paused)

    reload = commands.add_parser("reload", help="empty a table's targets and read it again")
    reload.add_argument("--table", required=True, metavar="TABLE", help="the source table")
    reload.add_argument("--yes", action="store_true", help="do not ask")
    reload.set_defaults(command=_reload)

    pace = commands.add_parser("pace", help="change the backfill's pace")
    pace.add_argument("--rows-per-second", required=True, type=_pace, metavar="N|none|configured")
    pace.set_defaults(command=_set_pace)

    config = commands.add_parser("reload-config", help="check the file, and wait until the daemon runs with it")
    config.add_argument("--timeout", type=float, default=60, metavar="S", help="seconds (default 60); then exit 3")
    config.set_defaults(command=_reload_config)


def _pace(text: str) -> int | None:
    if text in PACES:
        return PACES[text]
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 1 on, nor none, nor configured")
    return int(text)


def _live(parts: Parts) -> Live:
    from daemon.live import Live

    return Live(parts.target, parts.control, asker())


def _pause(options: argparse.Namespace) -> None:
    changed = _live(parts_of(options)).pause(options.table, paused=options.paused)
    done = "paused" if options.paused else "resumed"
    print("\n".join(f"{name}: {done}" for name in changed) or f"nothing to do: already {done}")


def _reload(options: argparse.Namespace) -> None:
    parts = parts_of(options)
    mapped = mapped_table(parts, options.table)
    targets = ", ".join(entry.target.full_name for entry in mapped.entries)
    if not options.yes:
        _confirm(f"This empties {targets}; it is incomplete until {mapped.name} has been read again.")
    chunks = _live(parts).reload(mapped)
    print(f"{mapped.name}: {chunks} chunks to read; the running daemon or `changeover backfill` reads them")


def _confirm(what: str) -> None:
    """Raise ConfigError unless the person at the terminal says yes; off a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        raise ConfigError([Problem(("--yes",), what, "say --yes, since there is no terminal to ask at")])
    print(f"{what} Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError([Problem(("--yes",), "not confirmed: nothing was changed")])


def _set_pace(options: argparse.Namespace) -> None:
    _live(parts_of(options)).pace(options.rows_per_second)
    print("the pace is set; running workers take it up at once")


def _reload_config(options: argparse.Namespace) -> None:
    from daemon.config.reload import await_taken, check, digest_of

    parts = parts_of(options)
    stop_on_signals(parts.stop)
    digest = digest_of(options.config)
    check(parts, digest)
    print(f"good: {await_taken(parts, digest, options.timeout)}")
