"""Setting refused rows aside, within the transaction that leaves them out, and within a budget.

The budget is what tells a bad row from a bad mapping: a systematic fault must stop the pipeline, not empty a table into
the dead letters.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from connectors.change import Change, Key, Slice
from connectors.control.dead_letters import NewLetter
from connectors.control.store import ControlStore
from connectors.tables import MappedTable
from mappers.errors import LEAVE_OUT, EventPlace, RecordError

MASK = "***"
EVERYTHING = "all"
SHOWN_MAX = 2_000
"""Longest value kept of an event, in characters: a letter is for a person to read."""


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """open_max: most open letters, 0 for none at all. per_minute_max: most that are made within a minute.

    mask: names of source columns whose values are not kept; `all` for every one but the key's.
    """

    open_max: int
    per_minute_max: int
    mask: frozenset[str] = frozenset()


def excess(policy: DeadLetterPolicy, opened: int, recent: int, more: int) -> str:
    """Why so many more letters may not be made; "" where they may. Pure."""
    if policy.open_max == 0:
        return "dead letters are turned off (dead_letters.max: 0)"
    if opened + more > policy.open_max:
        return f"{opened} dead letters are open and dead_letters.max is {policy.open_max}"
    if recent + more > policy.per_minute_max:
        return f"{recent} dead letters within a minute, and dead_letters.per_minute_max is {policy.per_minute_max}"
    return ""


def shown(values: dict[str, object], key: Collection[str], mask: frozenset[str]) -> str:
    """A row as JSON text for a person to read, masked and cut. Pure."""
    hidden = {name for name in values if name not in key and (EVERYTHING in mask or name in mask)}
    return json.dumps({name: MASK if name in hidden else _readable(v) for name, v in values.items()}, default=str)


def _readable(value: object) -> object:
    if isinstance(value, bytes):
        value = "\\x" + value.hex()
    if isinstance(value, str) and len(value) > SHOWN_MAX:
        return f"{value[:SHOWN_MAX]}… ({len(value):,} characters)"
    return value


class DeadLetterDesk:
    """Makes letters, and stops where there are too many."""

    def __init__(self, control: ControlStore, policy: DeadLetterPolicy) -> None:
        self._control = control
        self._policy = policy

    @property
    def closed(self) -> bool:
        """Whether nothing is ever set aside."""
        return self._policy.open_max == 0

    def of_event(self, mapped: MappedTable, part: Slice, taken: int, key: Key, error: RecordError) -> NewLetter:
        """The letter for a key whose row the target refuses, as the last of its events that are taken has it."""
        change = _last(part.changes[:taken], key)
        return NewLetter(
            table_name=mapped.name,
            key=mapped.form.name(key),
            reason=error.reason,
            error=error.what,
            event=self._event(mapped, change),
            topic=part.topic,
            partition=part.partition,
            event_offset=change.offset,
        )

    def of_chunk(self, mapped: MappedTable, chunk: int, row: Sequence[str | None], error: RecordError) -> NewLetter:
        """The letter for a row of a chunk, in the source's text form."""
        values: dict[str, object] = dict(zip(mapped.columns, row, strict=True))
        key = [str(values[name]) for name in mapped.form.columns]
        event = shown({"op": "r", **values}, ("op", *mapped.form.columns), self._policy.mask)
        name = json.dumps(key, ensure_ascii=False, separators=(",", ":"))
        return NewLetter(mapped.name, name, error.reason, error.what, event, chunk=chunk)

    def admit(self, connection: Connection, letters: Sequence[NewLetter], error: RecordError) -> None:
        """Raise the error, placed and with the budget's reason, where so many letters may not be made."""
        opened, recent = self._control.dead_letters.count(connection)
        why = excess(self._policy, opened, recent, len(letters))
        if why:
            raise placed(error, letters[-1], why)

    def put(self, connection: Connection, letters: Sequence[NewLetter]) -> None:
        """Write them, in the transaction that leaves their rows out."""
        self._control.dead_letters.add(connection, letters)

    def _event(self, mapped: MappedTable, change: Change) -> str:
        values: dict[str, object] = {"op": change.op, "xid": change.xid}
        if change.row is None:
            values |= dict(zip(mapped.form.columns, change.key, strict=True))
        else:
            travelled = enumerate(zip(mapped.columns, change.row, strict=True))
            values |= {name: value for index, (name, value) in travelled if index not in change.missing}
        return shown(values, ("op", "xid", *mapped.form.columns), self._policy.mask)


def placed(error: RecordError, letter: NewLetter, why: str) -> RecordError:
    """The error of a row that is not set aside, with its place and what mends it."""
    at: EventPlace | None = None
    if letter.topic is not None and letter.partition is not None and letter.event_offset is not None:
        at = (letter.topic, letter.partition, letter.event_offset)
    where = f"{at[0]}[{at[1]}] offset {at[2]}" if at else f"chunk {letter.chunk} of {letter.table_name}"
    hint = error.hint or "mend the value at the source, the mapping or the target's table"
    return RecordError(
        f"{error.where}: {error.what} ({why})", where=where, hint=f"{hint}; {LEAVE_OUT}", reason=error.reason, at=at
    )


def _last(changes: Sequence[Change], key: Key) -> Change:
    return next(change for change in reversed(changes) if change.key == key)
