"""`verify`: both sides compared, row by row."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of, show, stop_on_signals

if TYPE_CHECKING:
    from daemon.commands.common import Commands

MISMATCH_EXIT = 4


def add(commands: Commands) -> None:
    """Add it to the command line."""
    verify = commands.add_parser("verify", help="compare both sides; exit code 4 where they differ")
    verify.add_argument("--table", action="append", default=[], metavar="TABLE", help="only this one (repeatable)")
    part = verify.add_mutually_exclusive_group()
    part.add_argument("--sample", type=_percent, metavar="PERCENT", help="only a part of the rows, chosen at random")
    verify.add_argument("--workers", type=_count, metavar="N", help="slices compared at the same time")
    verify.add_argument("--rows-per-second", type=_count, metavar="N", help="pace (default: none)")
    part.add_argument("--resume", action="store_true", help="go on with the last verification that did not end")
    verify.add_argument("--repair", action="store_true", help="read differing rows again from the source")
    verify.add_argument("--timeout", type=float, metavar="S", help="seconds a barrier may take; then exit 3")
    verify.add_argument("--output", choices=("table", "json"), default="table")
    verify.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from connectors.control.verification import Purpose
    from daemon.verify.mask import Mask
    from daemon.verify.report import lines, report_of
    from daemon.verify.sweep import Manner
    from daemon.verify.verifier import Wish
    from mappers.errors import ConfigError

    parts = parts_of(options)
    stop_on_signals(parts.stop)
    section = parts.config.verify
    workers = options.workers or section.workers
    manner = Manner(workers, section.slice_rows, options.rows_per_second, section.findings_max, parts.stop.wait)
    verifier = parts.verifier(parts.tables(), manner, parts.stop.is_set, options.timeout)
    wish = Wish(
        purpose=Purpose.COMMAND,
        tables=options.table,
        resume=options.resume,
        sample=options.sample,
        repair=options.repair,
    )
    try:
        report = verifier.run(wish)
    except ConfigError as error:
        raise parts.config.locate(error) from None
    finally:
        verifier.close()
    plain = report_of(report, Mask(section.mask))
    if options.output == "json":
        show(plain)
    else:
        print("\n".join(lines(plain)))
    return MISMATCH_EXIT if report.differences else 0


def _percent(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not a percentage between 0 and 100")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value
