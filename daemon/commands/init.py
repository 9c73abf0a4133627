"""`init`: a first configuration from two databases."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.commands.common import Commands
    from daemon.init.engines import Sides
    from daemon.init.text import Written
    from mappers.mapping import Table


def add(commands: Commands) -> None:
    """Add it to the command line."""
    init = commands.add_parser("init", help="propose a configuration from both schemas; reads no rows, changes nothing")
    init.add_argument(
        "source", metavar="SOURCE_URL", help="postgresql://user:password@host:port/database, or mariadb://, mysql://"
    )
    init.add_argument(
        "target", metavar="TARGET_URL", help="the same, or sqlite:////path/to/file, with the new schema in it"
    )
    init.add_argument("--output", "-o", type=Path, metavar="FILE", help="write there (default: stdout)")
    init.add_argument("--force", action="store_true", help="with --output: overwrite the file")
    init.add_argument("--pipeline", metavar="NAME", help="name of the pipeline (default: from the databases' names)")
    init.add_argument(
        "--schema", action="append", default=[], metavar="SCHEMA", help="only source tables of this schema"
    )
    init.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="leave out tables, as in 'public.tmp_*'"
    )
    init.add_argument(
        "--min-confidence", type=_share, default=None, metavar="X", help="what is less sure is a comment (default 0.8)"
    )
    init.set_defaults(command=_init)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("expected a number from 0 to 1")
    return value


def _init(options: argparse.Namespace) -> int:
    from daemon.init.engines import opened, source_section, target_section
    from daemon.init.text import configuration, decisions, summary
    from mappers.errors import ConfigError, FatalError, Problem

    if options.output and options.output.exists() and not options.force:
        raise ConfigError([Problem(("--output",), f"{options.output} is there already", "add --force to overwrite it")])
    sections = source_section(options.source), target_section(options.target)
    with opened(sections, options.schema) as sides:
        written = _written(options, sides)
        text = configuration(written, sides.refusal)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    print(f"changeover: {summary(written)}", file=sys.stderr)
    if not decisions(written.items):
        raise FatalError("no table could be put in force", hint="the comments say what each one needs")
    return 0


def _written(options: argparse.Namespace, sides: Sides) -> Written:
    from daemon.init.draft import drafted
    from daemon.init.text import Written, pipeline_name
    from mappers.propose.propose import MIN_CONFIDENCE, propose

    least = MIN_CONFIDENCE if options.min_confidence is None else options.min_confidence
    sources = _chosen(sides.sources.values(), options.exclude)
    targets = _chosen(sides.targets.values(), options.exclude)
    proposal = propose(sources, targets, least, sides.ways)
    occupied = sides.occupied([match.target for match in proposal.matches])
    name = options.pipeline or pipeline_name(*sides.names())
    items = drafted(proposal, sides.refusal, sides.problems, occupied)
    return Written(name, sides.kinds, sides.places(), items, proposal, occupied)


def _chosen(tables: Iterable[Table], exclude: list[str]) -> list[Table]:
    from fnmatch import fnmatchcase

    return [table for table in tables if not any(fnmatchcase(table.full_name, pattern) for pattern in exclude)]
