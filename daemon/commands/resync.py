"""`resync`: rows are read again from the source and written, safely beside the stream and the backfill."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from daemon.commands.common import asker, mapped_table, parts_of, show, stop_on_signals

if TYPE_CHECKING:
    from connectors.tables import MappedTable
    from daemon.commands.common import Commands
    from daemon.resync.table import TableResync
    from daemon.wiring import Parts
    from mappers.mapping import Expression


def add(commands: Commands) -> None:
    """Add it to the command line."""
    resync = commands.add_parser("resync", help="read rows again from the source and write what differs")
    resync.add_argument("--table", required=True, metavar="TABLE", help="the source table")
    which = resync.add_mutually_exclusive_group(required=True)
    which.add_argument("--key", action="append", metavar="K", help="a source key; of several columns, a JSON list")
    which.add_argument("--where", metavar="SQL", help="the source rows for which this is true")
    which.add_argument("--all", action="store_true", help="every row, and target rows whose source row is gone")
    which.add_argument("--findings", action="store_true", help="what the verification found")
    resync.add_argument("--batch", type=int, default=500, metavar="N", help="keys a transaction (default 500)")
    resync.add_argument("--timeout", type=float, default=60, metavar="S", help="for the barrier after --all")
    resync.add_argument("--output", choices=("table", "json"), default="table")
    resync.set_defaults(command=_resync)


def _resync(options: argparse.Namespace) -> int:
    from daemon.commands.wiring import table_resync

    parts = parts_of(options)
    stop_on_signals(parts.stop)
    mapped = mapped_table(parts, options.table)
    predicate = _predicate(parts, mapped, options.where) if options.where is not None else None
    work = table_resync(parts, mapped, max(1, options.batch))
    _started(parts, mapped)
    _run(parts, mapped, work, options, predicate)
    report = work.report
    _audit(parts, options, report.keys)
    if options.output == "json":
        show(report.shown())
    else:
        print("\n".join(report.lines()))
    return 1 if report.refused or report.findings_left else 0


def _run(
    parts: Parts, mapped: MappedTable, work: TableResync, options: argparse.Namespace, predicate: Expression | None
) -> None:
    from daemon.commands.wiring import extras, fences
    from daemon.key_texts import key_of_option

    batch = max(1, options.batch)
    if options.key:
        work.keys([key_of_option(text, mapped.form.columns) for text in options.key])
    elif options.all:
        work.whole(extras(parts, batch), fences(parts, options.timeout), options.timeout)
    elif options.findings:
        work.findings(extras(parts, batch))
    else:
        work.rows(predicate)


def _predicate(parts: Parts, mapped: MappedTable, text: str) -> Expression:
    from daemon.commands.wiring import source_functions
    from mappers.errors import ConfigError, Problem
    from mappers.expressions import ExpressionError, parse_expression

    try:
        return parse_expression(text, mapped.table, source_functions(parts))
    except ExpressionError as error:
        raise ConfigError([Problem(("--where",), error.message, error.hint)]) from error


def _started(parts: Parts, mapped: MappedTable) -> None:
    """Without chunks nothing says what the stream will do with the key's events."""
    from mappers.errors import NotReadyError

    _, chunks = parts.progress()
    if not any(chunk.table == mapped.name for chunk in chunks):
        raise NotReadyError("the table has not joined the pipeline", where=mapped.name, hint="run `changeover run`")


def _audit(parts: Parts, options: argparse.Namespace, keys: int) -> None:
    how = next(name for name in ("key", "where", "all", "findings") if getattr(options, name))
    with parts.target.begin() as transaction:
        parts.control.audit.add(transaction.control, asker(), "resync", f"{options.table} by {how}: {keys} keys")
