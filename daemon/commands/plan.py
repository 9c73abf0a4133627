"""`plan`: what a run will do, tried on real rows and rolled back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.tables import MappedTable
    from daemon.commands.common import Commands
    from daemon.masking import Mask
    from daemon.wiring import Parts


def add(commands: Commands) -> None:
    """Add it to the command line."""
    plan = commands.add_parser(
        "plan", help="the SQL, the estimates, and the mapping tried on real rows; changes nothing"
    )
    plan.add_argument("--table", action="append", default=[], metavar="TABLE", help="only this source table")
    plan.add_argument("--rows", type=int, default=5, metavar="N", help="rows to show of each table (default 5)")
    plan.add_argument("--batch", action="store_true", help="try the next batch of the stream instead")
    plan.add_argument("--events", type=int, default=20, metavar="N", help="with --batch: events to list (default 20)")
    plan.add_argument("--mask", action="append", default=[], metavar="COLUMN", help="do not show its values")
    plan.add_argument("--output", choices=("text", "json"), default="text")
    plan.set_defaults(command=_plan)


def _plan(options: argparse.Namespace) -> int:
    from daemon.masking import Mask

    parts = parts_of(options)
    tables = parts.tables()
    mask = Mask(options.mask)
    mask.check([entry for mapped in tables.values() for entry in mapped.entries])
    return (_batch if options.batch else _tables)(options, parts, tables, mask)


def _tables(options: argparse.Namespace, parts: Parts, tables: Mapping[str, MappedTable], mask: Mask) -> int:
    from daemon.commands.explain import table_of
    from daemon.commands.wiring import plan_bench
    from daemon.plan.document import Limits, document
    from daemon.plan.gather import facts
    from daemon.plan.text import plan_lines

    chosen = {mapped.name: mapped for mapped in (table_of(tables, name) for name in options.table or tables)}
    backfill = parts.config.backfill
    limits = Limits(backfill.workers, backfill.chunk_rows, backfill.rows_per_second)
    found = facts(plan_bench(parts, chosen), parts.pushdowns(chosen), max(1, options.rows))
    plan = document(parts.config.pipeline, found, limits, mask)
    if options.output == "json":
        show(plan)
    else:
        print("\n".join(plan_lines(plan)))
    return 1 if plan["problems"] else 0


def _batch(options: argparse.Namespace, parts: Parts, tables: Mapping[str, MappedTable], mask: Mask) -> int:
    from daemon.commands.wiring import batch_bench
    from daemon.plan.batch import rehearse
    from daemon.plan.batch_text import batch_lines, document
    from mappers.errors import FatalError

    if not parts.progress()[0]:
        hint = "run `changeover plan` without --batch, or `changeover run` first"
        raise FatalError("the pipeline has not been started: there is no next batch", hint=hint)
    it = rehearse(batch_bench(parts, tables), parts.positions, parts.config.stream.batch_rows_max)
    made = document(parts.config.pipeline, it, tables, mask)
    if options.output == "json":
        show(made)
    else:
        print("\n".join(batch_lines(made, max(0, options.events))))
    return 1 if it.error else 0
