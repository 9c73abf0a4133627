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
    init.add_argument("source", metavar="SOURCE_URL", help="postgresql://user:password@host:port/database")
    init.add_argument("target", metavar="TARGET_URL", help="the same, with the new schema in it")
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
    from daemon.init.engines import kind_of, opened, refusal
    from daemon.init.text import configuration, decisions, summary
    from mappers.errors import ConfigError, FatalError, Problem

    if options.output and options.output.exists() and not options.force:
        raise ConfigError([Problem(("--output",), f"{options.output} is there already", "add --force to overwrite it")])
    kinds = kind_of(options.source, "SOURCE_URL"), kind_of(options.target, "TARGET_URL")
    with opened(options.source, options.target) as sides:
        written = _written(options, kinds, sides)
        text = configuration(written, refusal)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    print(f"changeover: {summary(written)}", file=sys.stderr)
    if not decisions(written.items):
        raise FatalError("no table could be put in force", hint="the comments say what each one needs")
    return 0


def _written(options: argparse.Namespace, kinds: tuple[str, str], sides: Sides) -> Written:
    from daemon.init.draft import drafted
    from daemon.init.engines import refusal
    from daemon.init.text import Written, pipeline_name
    from mappers.propose.propose import MIN_CONFIDENCE, propose

    least = MIN_CONFIDENCE if options.min_confidence is None else options.min_confidence
    sources = _chosen(sides.sources.values(), options.schema, options.exclude)
    targets = _chosen(sides.targets.values(), [], options.exclude)
    proposal = propose(sources, targets, least)
    occupied = sides.occupied([match.target for match in proposal.matches])
    places = sides.places()
    name = options.pipeline or pipeline_name(*(place.rpartition("/")[2] for place in places))
    items = drafted(proposal, refusal, sides.problems, occupied)
    return Written(name, kinds, places, items, proposal, occupied)


def _chosen(tables: Iterable[Table], schemas: list[str], exclude: list[str]) -> list[Table]:
    from fnmatch import fnmatchcase

    return [
        table
        for table in tables
        if (not schemas or table.schema in schemas)
        and not any(fnmatchcase(table.full_name, pattern) for pattern in exclude)
    ]
