"""The product's command line with one of its rules broken, named by CHANGEOVER_MUTANT; unbroken without a name.

Each mutant replaces one function of the product in this process only, before `daemon.cli.main` runs. Used through
`warm.Factory("tests.support.mutant_main")`, or as `python -m tests.support.mutant_main --config ...`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

MUTANTS: dict[str, Callable[[], None]] = {}
"""What is broken -> the function that breaks it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The product's own main, after the break."""
    name = os.environ.get("CHANGEOVER_MUTANT")
    if name:
        MUTANTS[name]()
    from daemon.cli import main as product

    return product(arguments)


def _mutant(function: Callable[[], None]) -> Callable[[], None]:
    MUTANTS[function.__name__.strip("_").replace("_", " ")] = function
    return function


def _put(where: str, name: str, make: Callable[[Any], Any]) -> None:
    """Replace `name` of a module, or of a class of a module (module:Class), by what is made of the real one."""
    module, _, owner = where.partition(":")
    holder = importlib.import_module(module)
    if owner:
        holder = getattr(holder, owner)
    setattr(holder, name, make(getattr(holder, name)))


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda real: lambda *_, **__: value


# -- decisions ---------------------------------------------------------------------------------------------------------


def _decide(changed: Callable[[Any, Any, Any], Any]) -> None:
    """Replace a decision by `changed(decision, key fence, chunk)`."""
    _put("daemon.handover", "decide", lambda real: lambda x, f, c: changed(real(x, f, c), f, c))
    _put("daemon.stream.views", "settled_from", _always(None))  # so that every event is decided, however late it comes


@_mutant
def _key_fences_are_not_looked_at() -> None:
    _put("daemon.handover", "decide", lambda real: lambda xid, fence, chunk: real(xid, None, chunk))


@_mutant
def _skip_is_inverted_for_finished_chunks() -> None:
    from daemon.handover import ChunkState, Decision

    other = {Decision.APPLY: Decision.ALREADY_LOADED, Decision.ALREADY_LOADED: Decision.APPLY}
    _decide(lambda found, fence, chunk: other.get(found, found) if chunk.state is ChunkState.DONE else found)


@_mutant
def _events_of_chunks_being_read_are_not_held() -> None:
    from daemon.handover import Decision

    _decide(lambda found, fence, chunk: Decision.ALREADY_LOADED if found is Decision.HOLD else found)


@_mutant
def _events_of_pending_chunks_are_applied() -> None:
    from daemon.handover import ChunkState, Decision

    _decide(lambda found, fence, chunk: Decision.APPLY if chunk.state is ChunkState.PENDING else found)


@_mutant
def _running_transactions_count_as_seen() -> None:
    _put("connectors.snapshot:Snapshot", "sees", lambda real: lambda self, xid: xid < self.xmax)


@_mutant
def _commits_not_yet_visible_are_not_waited_for() -> None:
    _put("daemon.stream.guard", "must_wait_for", _always(False))


@_mutant
def _chunks_are_read_before_older_transactions_are_visible() -> None:
    _put("daemon.backfill.load", "may_start", _always(True))


# -- folding -----------------------------------------------------------------------------------------------------------


@_mutant
def _first_value_of_a_key_wins() -> None:
    _put("daemon.handover", "fold", lambda real: lambda old, change, **o: old or real(old, change, **o))


@_mutant
def _values_are_not_carried_forward() -> None:
    def fold(real: Any) -> Any:
        return lambda old, change, **o: real(None if change.missing else old, change, **o)

    _put("daemon.handover", "fold", fold)


@_mutant
def _values_that_did_not_travel_are_written_as_they_came() -> None:
    from msgspec.structs import replace as struct_replace

    def fold(real: Any) -> Any:
        return lambda old, change, **o: real(old, struct_replace(change, missing=frozenset()), **o)

    _put("daemon.handover", "fold", fold)


@_mutant
def _rows_to_complete_are_taken_to_be_there() -> None:
    _put("connectors.sql.transaction:SqlTransaction", "absent", _always(set()))


# -- writing -----------------------------------------------------------------------------------------------------------


@_mutant
def _deletes_are_lost() -> None:
    _put("connectors.sql.merge", "delete", _always("SELECT"))


@_mutant
def _rows_that_leave_the_filter_stay() -> None:
    def delete(real: Any) -> Any:
        return lambda d, entry, relation, **o: real(d, replace(entry, where=None), relation, **o)

    _put("connectors.sql.merge", "delete", delete)


@_mutant
def _unique_values_are_not_exchanged() -> None:
    _put("daemon.resync.keys:Resyncer", "resync", lambda real: lambda self, mapped, keys, **_: real(self, mapped, keys))


@_mutant
def _key_fences_are_not_written() -> None:
    _put("connectors.control.fences:KeyFences", "put", _always(None))


@_mutant
def _chunks_copy_fenced_keys_too() -> None:
    _put("connectors.control.fences:KeyFences", "keys", _always([]))


# -- positions ---------------------------------------------------------------------------------------------------------


@_mutant
def _last_event_of_a_slice_is_passed_over() -> None:
    """The position is one too far."""

    def plan_slice(real: Any) -> Any:
        def changed(changes: Sequence[Any], view: Any, high_water: Any) -> Any:
            plan = real(changes[:-1] if len(changes) > 1 else changes, view, high_water)
            whole = len(changes) > 1 and plan.taken == len(changes) - 1 and not plan.held and not plan.truncate
            return replace(plan, taken=plan.taken + 1, control=plan.control + 1) if whole else plan

        return changed

    _put("daemon.stream.apply", "plan_slice", plan_slice)


@_mutant
def _position_moves_before_the_rows() -> None:
    """In a transaction of its own: what was in flight when the daemon died is never written."""
    _put("daemon.stream.apply:Stream", "apply", lambda real: lambda self, batch: _moved_first(self, batch, real))
    _put("connectors.control.positions:Positions", "advance", lambda real: _already_there(real))
    _put("connectors.control.positions:Positions", "lock", lambda real: _whatever_is_there)


def _moved_first(stream: Any, batch: Any, apply: Any) -> Any:
    from sqlalchemy import text

    move = text(
        "UPDATE changeover.checkpoint SET next_offset = :end"
        " WHERE topic = :topic AND partition = :partition AND next_offset = :start"
    )
    with stream._target.begin() as transaction:
        for part in batch.slices:
            values = {name: getattr(part, name) for name in ("topic", "partition", "start", "end")}
            transaction.control.execute(move, values)
    return apply(stream, batch)


def _already_there(advance: Any) -> Any:
    return lambda self, connection, moves: advance(self, connection, [replace(m, start=m.end) for m in moves])


def _whatever_is_there(stored: Any, connection: Any, expected: Any) -> Any:
    return {(p.topic, p.partition): p for p in stored.all(connection) if (p.topic, p.partition) in expected}


@_mutant
def _ledger_misses_what_was_superseded() -> None:
    _put("daemon.stream.apply", "plan_slice", lambda real: lambda *arguments: replace(real(*arguments), superseded=0))


if __name__ == "__main__":
    sys.exit(main())
