"""`doctor`: every precondition of the whole chain, each with what mends it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of

if TYPE_CHECKING:
    from daemon.commands.common import Commands

AREAS = ("source", "connect", "kafka", "registry", "target", "mapping", "pipeline")


def add(commands: Commands) -> None:
    """Add it to the command line."""
    doctor = commands.add_parser("doctor", help="check every precondition, and say what mends each; changes nothing")
    doctor.add_argument("--output", choices=("table", "json"), default="table")
    doctor.add_argument("--area", action="append", choices=AREAS, default=[], help="only this area; repeatable")
    doctor.add_argument("--strict", action="store_true", help="exit 1 for warnings too")
    doctor.add_argument(
        "--old-transaction", type=float, default=300, metavar="S", help="seconds after which one is old (default 300)"
    )
    doctor.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from daemon.commands.wiring import harmless
    from daemon.doctor.examine import examine
    from daemon.doctor.report import document, exit_code, lines

    parts = parts_of(options)
    findings = examine(parts.config, harmless(parts), options.area, options.old_transaction)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(document(findings) if options.output == "json" else "\n".join(lines(findings, colour=colour)))
    return exit_code(findings, strict=options.strict)
