"""`dlq`: rows that the target refused, and what becomes of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from daemon.commands.common import asker, parts_of
from mappers.errors import FatalError

if TYPE_CHECKING:
    from connectors.control.dead_letters import Letter
    from daemon.commands.common import Commands
    from daemon.stream.settle import Settler
    from daemon.wiring import Parts

VERSION = 1


def add(commands: Commands) -> None:
    """Add it to the command line."""
    dlq = commands.add_parser("dlq", help="rows that the target refused: list, show, retry, skip")
    actions = dlq.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="the open ones")
    listing.add_argument("--table", default="", metavar="SCHEMA.TABLE", help="of one source table")
    listing.add_argument("--all", action="store_true", help="the settled ones too")
    listing.add_argument("--output", choices=("table", "json"), default="table")
    listing.set_defaults(command=_list)

    show = actions.add_parser("show", help="everything about some of them, as JSON")
    show.add_argument("id", type=int, nargs="+")
    show.set_defaults(command=_show)

    retry = actions.add_parser("retry", help="read the rows from the source again, once the cause is mended")
    retry.add_argument("id", type=int, nargs="*", help="or --all, or --table")
    retry.add_argument("--all", action="store_true")
    retry.add_argument("--table", default="", metavar="SCHEMA.TABLE")
    retry.add_argument("--reason", default="", help="kept with the letter")
    retry.set_defaults(command=_retry)

    skip = actions.add_parser("skip", help="give rows up as they are; their keys' next events are applied again")
    skip.add_argument("id", type=int, nargs="+")
    skip.add_argument("--reason", required=True, help="kept with the letter")
    skip.set_defaults(command=_skip)


def _list(options: argparse.Namespace) -> None:
    parts = parts_of(options)
    with parts.target.begin(reading=True) as transaction:
        letters = (
            parts.control.dead_letters.list(transaction.control, table=options.table, everything=options.all)
            if parts.control.exists(transaction.control)
            else []
        )
    if options.output == "json":
        print(json.dumps({"version": VERSION, "letters": [asdict(letter) for letter in letters]}, default=str))
        return
    for letter in letters:
        print(_line(letter))
    print(f"{sum(letter.state == 'open' for letter in letters)} open")


def _line(letter: Letter) -> str:
    parked = f", {letter.parked} later events parked" if letter.parked else ""
    settled = f", {letter.state} by {letter.closed_by}: {letter.note}" if letter.state != "open" else ""
    about = f"{letter.place}{parked}{settled}"
    return f"{letter.id:>6}  {letter.table_name} {letter.key}  {letter.reason}: {letter.error} ({about})"


def _show(options: argparse.Namespace) -> None:
    letters = _wanted(parts_of(options), options.id)
    print(json.dumps([asdict(letter) for letter in letters], indent=2, default=str))


def _retry(options: argparse.Namespace) -> int:
    if bool(options.id) + options.all + bool(options.table) != 1:
        raise FatalError("which dead letters?", hint="name their numbers, or say --all, or --table SCHEMA.TABLE")
    parts = parts_of(options)
    letters = _open(parts, options.id, options.table)
    settler, failed = _settler(parts), 0
    for letter in letters:
        why = settler.retry(letter, asker(), options.reason)
        failed += bool(why)
        print(f"{letter.id:>6}  {letter.table_name} {letter.key}  {why or 'written'}")
    print(f"{len(letters) - failed} of {len(letters)} settled")
    return 1 if failed else 0


def _skip(options: argparse.Namespace) -> None:
    parts = parts_of(options)
    settler = _settler(parts)
    for letter in _open(parts, options.id, ""):
        written = settler.skip(letter, asker(), options.reason)
        told = "written after all" if written else "skipped; the target is left as it is"
        print(f"{letter.id:>6}  {letter.table_name} {letter.key}  {told}")


def _open(parts: Parts, ids: Sequence[int], table: str) -> list[Letter]:
    if ids:
        letters = _wanted(parts, ids)
        settled = [letter.id for letter in letters if letter.state != "open"]
        if settled:
            raise FatalError(f"settled already: dead letter {', '.join(map(str, settled))}")
        return letters
    with parts.target.begin(reading=True) as transaction:
        return parts.control.dead_letters.list(transaction.control, table=table)


def _wanted(parts: Parts, ids: Sequence[int]) -> list[Letter]:
    with parts.target.begin(reading=True) as transaction:
        found = parts.control.dead_letters.list(transaction.control, ids=ids)
    missing = sorted(set(ids) - {letter.id for letter in found})
    if missing:
        raise FatalError(f"no dead letter {', '.join(map(str, missing))}", hint="`dlq list --all` shows all of them")
    return found


def _settler(parts: Parts) -> Settler:
    from daemon.stream.settle import Settler

    return Settler(parts.tables(), parts.target, parts.control, parts.resyncer())
