"""`explain`: the story of one row."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.tables import MappedTable
    from daemon.commands.common import Commands
    from daemon.explain.explanation import Explanation


def add(commands: Commands) -> None:
    """Add it to the command line."""
    explain = commands.add_parser("explain", help="both sides of one row, what loaded it, its events and what they did")
    explain.add_argument("table", metavar="TABLE", help="source table, schema.name")
    explain.add_argument("key", metavar="KEY", nargs="+", help="the source key's values, in order, or as one JSON list")
    explain.add_argument("--events", type=int, default=10, metavar="N", help="show the last N (default 10)")
    explain.add_argument(
        "--scan", type=int, default=200_000, metavar="N", help="offsets to look back, and ahead (default 200000)"
    )
    explain.add_argument("--mask", action="append", default=[], metavar="COLUMN", help="do not show its values")
    explain.add_argument("--output", choices=("text", "json"), default="text")
    explain.set_defaults(command=_explain)


def _explain(options: argparse.Namespace) -> int:
    from daemon.explain.explanation import document, verdict
    from daemon.explain.text import explanation_lines
    from daemon.masking import Mask

    it = _explained(options)
    made = document(it, Mask(options.mask), max(0, options.events))
    if options.output == "json":
        show(made)
    else:
        print("\n".join(explanation_lines(made)))
    return verdict(it)[0]


def _explained(options: argparse.Namespace) -> Explanation:
    from daemon.commands.wiring import sides
    from daemon.explain.gather import explain
    from daemon.explain.sourceless import explain_sourceless
    from daemon.masking import Mask
    from mappers.errors import TransientError

    parts, key, back = parts_of(options), key_of(options.key), max(1, options.scan)
    try:
        tables = parts.tables()
        Mask(options.mask).check([entry for mapped in tables.values() for entry in mapped.entries])
        return explain(sides(parts), table_of(tables, options.table), key, back)
    except TransientError as error:
        if not error.where.startswith("source"):
            raise
        table = options.table if "." in options.table else f"public.{options.table}"
        return explain_sourceless(sides(parts), table, key, back, str(error))


def key_of(words: Sequence[str]) -> list[str]:
    """The key's values: several words, or one JSON list."""
    if len(words) == 1 and words[0].startswith("["):
        try:
            found = json.loads(words[0])
        except ValueError:
            return list(words)
        if isinstance(found, list):
            return [value if isinstance(value, str) else json.dumps(value) for value in found]
    return list(words)


def table_of(tables: Mapping[str, MappedTable], name: str) -> MappedTable:
    """The source table of that name, with or without `public.`. Raises FatalError."""
    from mappers.errors import FatalError

    full = name if name in tables else f"public.{name}"
    if full not in tables:
        raise FatalError(f"no source table {name} in the mapping", hint=f"one of {', '.join(sorted(tables))}")
    return tables[full]
