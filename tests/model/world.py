"""The source database, its log, and the connector: the part of the world that the hand-over cannot choose.

A transaction begins (and gets its id), is committed in the log, and only later becomes visible to new snapshots: three
steps, between which anything may happen. The connector follows the log, not visibility; it restarts from its last
committed offset, and a zombie of it repeats events at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from connectors.change import Change, Key, Row
from connectors.snapshot import Snapshot

WIDE_COLUMNS = frozenset({1, 2})
"""The columns of a row (value, wide, wide) that do not travel when they are unchanged."""
DID_NOT_TRAVEL = "did not travel"
UNKNOWN_COMMIT = -1
XID_MASK = 0xFFFF_FFFF
EVERY_KEY = -1
"""As a mask of locked keys."""


class Violation(Exception):
    """An invariant was broken."""


class Step(NamedTuple):
    """One atomic move that an actor could make now."""

    actor: str
    name: str
    act: Callable[[int], None]
    argument: int

    def __str__(self) -> str:
        return f"{self.actor}: {self.name} {self.argument}"


@dataclass(slots=True, eq=False)
class Budget:
    """How much trouble a schedule may still make."""

    restarts: int = 0
    strays: int = 0
    expiries: int = 0
    crashes: int = 0
    resyncs: int = 0
    rereads: int = 0
    forgets: int = 0
    letters: int = 0


@dataclass(frozen=True, slots=True)
class Put:
    """Insert a row, or update its value and the given wide columns."""

    key: int
    wide: frozenset[int]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a row if it is there."""

    key: int


@dataclass(frozen=True, slots=True)
class Move:
    """Change a row's key, if the row is there and the new key is free."""

    key: int
    new: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """Empty the table."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """An ALTER that rewrites the table: no row changes and nothing is sent, but older snapshots find it empty."""


Operation = Put | Remove | Move | Truncate | Rewrite
REWRITE = "rewrite"
Transaction = tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Logged:
    """One event in the source's log. `row` is whole, whatever travels."""

    transaction: int
    xid: int
    op: str
    key: Key
    row: Row | None
    missing: frozenset[int]
    last_commit: int
    lsn: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot of the source: the record the product sees, and the truth (a mask of visible transactions)."""

    snapshot: Snapshot
    visible: int


class Source:
    """A table with MVCC. `gaps` are ids that other sessions use up before each transaction begins."""

    def __init__(self, script: Sequence[Transaction], first_xid: int, gaps: Sequence[int]) -> None:
        self.script = script
        self.gaps = gaps
        self.touched = [_touched(transaction) for transaction in script]
        self.exclusive = [touched == EVERY_KEY for touched in self.touched]
        self.next_xid = first_xid
        self.last_ended = first_xid - 1
        self.unbegun = list(range(len(script)))
        self.begun: list[int] = []
        self.committing: list[int] = []
        self.visible = 0
        self.xids: dict[int, int] = {}
        self.first_lsn: dict[int, int] = {}
        self.lsn = 10
        self.last_commit = 1
        self.log: list[Logged] = []
        self.readers = 0
        self.values = 0
        self._current: Reading | None = None

    def offer(self, steps: list[Step]) -> None:
        """Every transaction goes on by itself; row locks and the table lock make it wait."""
        steps.extend(Step("source", "begin", self.begin, number) for number in self.unbegun)
        locked = 0
        for number in self.committing:
            locked |= self.touched[number]
            steps.append(Step("source", "show", self.show, number))
        for number in self.begun:
            waits = self.touched[number] & locked or (self.exclusive[number] and self.readers)
            if not waits:
                steps.append(Step("source", "commit", self.commit, number))

    def begin(self, number: int) -> None:
        """Assign the transaction id, and the place in the log of the transaction's rows."""
        self.unbegun.remove(number)
        self.begun.append(number)
        if self.gaps[number]:
            self.next_xid += self.gaps[number]
            self.last_ended = self.next_xid - 1
        self.xids[number] = self.take_xid()
        self.first_lsn[number] = self.lsn + 1
        self.lsn += len(self.script[number])
        self._current = None

    def commit(self, number: int) -> None:
        """The commit is in the log, and can be in Kafka, but no new snapshot sees it yet."""
        rows = self._rows(self.log)
        for place, operation in enumerate(self.script[number]):
            for op, key, row, missing in self._effects(operation, rows):
                lsn = self.first_lsn[number] + place
                event = Logged(number, self.xids[number], op, key, row, missing, self.last_commit, lsn)
                self.log.append(event)
                _replay(rows, event)
        self.lsn += 1
        self.last_commit = self.lsn
        self.begun.remove(number)
        self.committing.append(number)

    def show(self, number: int) -> None:
        """The commit becomes visible and its locks are released."""
        self.committing.remove(number)
        self.visible |= 1 << number
        self.last_ended = max(self.last_ended, self.xids[number])
        self._current = None

    def take_xid(self) -> int:
        """A new transaction id."""
        self.next_xid += 1
        return self.next_xid - 1

    def note_xid(self) -> int:
        """The id of a transaction of our own that ends at once."""
        xid = self.take_xid()
        self.last_ended = max(self.last_ended, xid)
        self._current = None
        return xid

    def current(self) -> Reading:
        """A new snapshot; the same object as long as nothing has changed."""
        if self._current is None:
            xmax = self.last_ended + 1
            unseen = (self.xids[number] for number in (*self.begun, *self.committing))
            running = frozenset(xid for xid in unseen if xid < xmax)
            self._current = Reading(Snapshot(min(running, default=xmax), xmax, running), self.visible)
        return self._current

    def may_lock(self) -> bool:
        """Whether a reader gets the table's lock now: a truncate or rewrite holds it until it is visible."""
        return not any(self.exclusive[number] for number in self.committing)

    def read(self, reading: Reading) -> dict[Key, Row]:
        """The rows of a snapshot. One older than a truncate or rewrite that has ended finds the table empty."""
        rows: dict[Key, Row] = {}
        for event in self.log:
            if reading.visible >> event.transaction & 1:
                _replay(rows, event)
            elif event.op in ("t", REWRITE) and self.visible >> event.transaction & 1:
                rows.clear()
        return rows

    def finished(self) -> bool:
        """Whether every transaction is visible."""
        return not (self.unbegun or self.begun or self.committing)

    @staticmethod
    def _rows(events: Sequence[Logged]) -> dict[Key, Row]:
        rows: dict[Key, Row] = {}
        for event in events:
            _replay(rows, event)
        return rows

    def _effects(self, operation: Operation, rows: dict[Key, Row]) -> list[tuple[str, Key, Row | None, frozenset[int]]]:
        self.values += 1
        value, none = self.values, frozenset[int]()
        match operation:
            case Truncate():
                return [("t", (), None, none)]
            case Rewrite():
                return [(REWRITE, (), None, none)]
            case Remove(key):
                return [("d", (key,), None, none)] if (key,) in rows else []
            case Put(key, wide):
                old = rows.get((key,))
                if old is None:
                    return [("c", (key,), (value, value, value), none)]
                new = tuple(value if column == 0 or column in wide else old[column] for column in range(3))
                return [("u", (key,), new, WIDE_COLUMNS - wide)]
            case Move(key, new_key):
                old = rows.get((key,))
                if old is None or (new_key,) in rows:
                    return []
                created = (value, *old[1:])
                return [("d", (key,), None, none), ("c", (new_key,), created, WIDE_COLUMNS)]


class Connector:
    """Follows the log into Kafka's partitions. The first transaction after a start does not know the commit before."""

    def __init__(self, source: Source, partitions: int, budget: Budget, choose: Random) -> None:
        self.source = source
        self.budget = budget
        self.random = choose
        self.tombstones = choose.random() < 0.5
        self.partitions: list[list[Change]] = [[] for _ in range(partitions)]
        self.emitted = self.committed = len(source.log)
        self.first_transaction: int | None = None

    def offer(self, steps: list[Step], trouble: list[Step]) -> None:
        """Emit what is next; commit the offset, restart from it, or let a zombie repeat an event."""
        if self.emitted < len(self.source.log):
            steps.append(Step("connector", "emit", self.emit, self.emitted))
        if self.committed < self.emitted:
            trouble.append(Step("connector", "commit offset", self.commit_offset, self.emitted))
            if self.budget.restarts:
                trouble.append(Step("connector", "restart", self.restart, self.committed))
        if self.budget.strays and self.emitted:
            place = self.random.randrange(self.emitted)
            trouble.append(Step("zombie connector", "repeat", self.repeat, place))
            trouble.append(Step("fresh zombie", "repeat", self.repeat_fresh, place))

    def emit(self, place: int) -> None:
        """Send the next event of the log."""
        event = self.source.log[place]
        if self.first_transaction is None:
            self.first_transaction = event.transaction
        self._send(event, knows_commit=event.transaction != self.first_transaction)
        self.emitted += 1

    def commit_offset(self, place: int) -> None:
        """What was emitted so far is not emitted again after a restart."""
        self.committed = place

    def restart(self, place: int) -> None:
        """Begin again at the committed offset, which may lie within a transaction."""
        self.budget.restarts -= 1
        self.emitted = place
        self.first_transaction = None

    def repeat(self, place: int) -> None:
        """A task that was thought dead sends an old event with its whole sequence."""
        self.budget.strays -= 1
        self._send(self.source.log[place], knows_commit=True)

    def repeat_fresh(self, place: int) -> None:
        """The same, from a task that had just been started."""
        self.budget.strays -= 1
        self._send(self.source.log[place], knows_commit=False)

    def partition_of(self, key: Key) -> int:
        """The partition of a key. A truncate has none; it is somewhere."""
        return int(str(key[0])) % len(self.partitions) if key else 0

    def _send(self, event: Logged, *, knows_commit: bool) -> None:
        if event.op == REWRITE:
            return
        log = self.partitions[self.partition_of(event.key)]
        row = event.row
        if row is not None and event.missing:
            row = tuple(DID_NOT_TRAVEL if column in event.missing else value for column, value in enumerate(row))
        sequence = (event.last_commit if knows_commit else UNKNOWN_COMMIT, event.lsn)
        xid = event.xid & XID_MASK
        log.append(Change(event.op, event.key, row, event.missing, xid, sequence, len(log), 0))
        if event.op == "d" and self.tombstones:
            log.append(Change("", (), None, frozenset(), None, None, len(log), 0))


def _touched(transaction: Transaction) -> int:
    """A mask of the keys that a transaction locks."""
    mask = 0
    for operation in transaction:
        if isinstance(operation, Truncate | Rewrite):
            return EVERY_KEY
        mask |= 1 << operation.key
        if isinstance(operation, Move):
            mask |= 1 << operation.new
    return mask


def _replay(rows: dict[Key, Row], event: Logged) -> None:
    if event.op == "t":
        rows.clear()
    elif event.op == REWRITE:
        return
    elif event.row is None:
        rows.pop(event.key, None)
    else:
        rows[event.key] = event.row
