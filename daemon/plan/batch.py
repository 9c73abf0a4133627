"""`plan --batch`: the next batch of the stream, through the stream's own code, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.change import Batch, Change, Slice
from connectors.chunks import Ledger, Position
from connectors.control.store import ControlStore
from connectors.kafka.consumer import Decode
from connectors.kafka.log import LogReader
from connectors.snapshot import Snapshot, widen
from connectors.source_database import SourceDatabase
from connectors.sql.target import Rehearsal, SqlTarget
from connectors.tables import MappedTable
from daemon.explain.key_history import Outcome, Partition, Seen, Told, filtered
from daemon.explain.left_out import left_out
from daemon.handover import View, plan_slice
from daemon.resync.keys import Resyncer
from daemon.retry import Backoff
from daemon.stream.apply import Applied, Stream
from daemon.stream.dead_letters import DeadLetterDesk
from daemon.stream.exchange import Exchanger
from daemon.stream.guard import ShapeGuard
from daemon.stream.views import Views
from daemon.stream.writer import Writer
from mappers.errors import ChangeoverError, FencedError, RecordError, TransientError

LOCK_TIMEOUT_S = 2.0
ROUNDS = 5


@dataclass(frozen=True)
class BatchBench:
    """What a batch is tried with. decoders: topic -> (source table or None, decoder). wait: between looks.

    guard: knows what the tables are, and keeps nothing.
    """

    tables: Mapping[str, MappedTable]
    source: SourceDatabase
    target: SqlTarget
    control: ControlStore
    desk: DeadLetterDesk
    log: Callable[[], LogReader]
    decoders: Mapping[str, tuple[str | None, Decode]]
    guard: ShapeGuard
    wait: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would become of the batch. behind: events that the log has beyond it. ledger: of the transaction tried.

    error: why the stream would stop in it; `told` then says what the rules decide, not what was written.
    """

    batch: Batch = field(default_factory=lambda: Batch(()))
    told: Sequence[Told] = ()
    ledger: Ledger = field(default_factory=Ledger)
    behind: int = 0
    error: str = ""


def rehearse(bench: BatchBench, positions: Callable[[], Sequence[Position]], events_max: int) -> Rehearsed:
    """Read the next events of each partition and try them; again where the daemon moved a position meanwhile.

    Raises TransientError where something cannot be reached, or the daemon is always quicker.
    """
    for _ in range(ROUNDS):
        try:
            return _rehearse(bench, positions(), events_max)
        except FencedError:
            continue
    raise TransientError("the daemon applies events faster than they can be tried", hint="stop it first, or try again")


def _rehearse(bench: BatchBench, positions: Sequence[Position], events_max: int) -> Rehearsed:
    log = bench.log()
    try:
        batch, behind, problem = _read(log, bench.decoders, positions, events_max)
    finally:
        log.close()
    batch, truncated = _before_truncates(batch)
    if not batch.slices:
        return Rehearsed(batch, truncated, behind=behind, error=problem)
    with bench.target.rehearse(LOCK_TIMEOUT_S) as rehearsal:
        told = _decisions(bench, rehearsal, batch)
        ledger, error = _applied(bench, rehearsal, batch)
        told = _set_aside(bench, rehearsal, _read_again(bench, rehearsal, told))
        told = _without(bench, rehearsal, told)
    return Rehearsed(batch, [*told, *truncated], ledger, behind, error or problem)


# -- the batch ---------------------------------------------------------------------------------------------------------


def _read(
    log: LogReader, decoders: Mapping[str, tuple[str | None, Decode]], positions: Sequence[Position], events_max: int
) -> tuple[Batch, int, str]:
    """(the next events of each partition, how many offsets are beyond them, the event that cannot be decoded)."""
    at = {(p.topic, p.partition): p.next_offset for p in positions if p.topic in decoders}
    ends = {where: log.bounds(where)[1] for where in at}
    changes: dict[Partition, list[Change]] = {where: [] for where in at}
    stopped: dict[Partition, int] = {}
    problem, count = "", 0
    for message in log.read({where: (start, ends[where]) for where, start in at.items()}):
        where = (message.topic, message.partition)
        if where in stopped:
            continue
        try:
            changes[where].append(decoders[message.topic][1](message.value, message.offset))
        except RecordError as error:
            problem, stopped[where] = f"{error.where}: {error.what}", message.offset
        count += 1
        if count >= events_max:
            break
    slices, behind = [], 0
    for where, start in sorted(at.items()):
        end = stopped.get(where, max(start, log.reached.get(where, start)))
        behind += max(0, ends[where] - end)
        if changes[where]:
            slices.append(Slice(*where, decoders[where[0]][0], start, end, changes[where]))
    return Batch(tuple(slices)), behind, problem


def _before_truncates(batch: Batch) -> tuple[Batch, list[Told]]:
    """The batch up to the first truncate of each partition: a table is not emptied only to roll that back."""
    slices, told = [], []
    for part in batch.slices:
        at = next((n for n, change in enumerate(part.changes) if change.op == "t"), None)
        if at is None:
            slices.append(part)
            continue
        change = part.changes[at]
        detail = "a truncate: it would empty the target, and every chunk would be read again; not tried"
        told.append(Told(Seen(part.topic, part.partition, change), Outcome.CONTROL, detail))
        if at:
            slices.append(Slice(part.topic, part.partition, part.table, part.start, change.offset, part.changes[:at]))
    return Batch(tuple(slices)), told


# -- what becomes of it ------------------------------------------------------------------------------------------------


def _decisions(bench: BatchBench, rehearsal: Rehearsal, batch: Batch) -> list[Told]:
    """What the rules decide about each event. Keeps the positions locked, so that the view stays the right one."""
    views = Views(bench.control, bench.source)
    told: list[Told] = []
    with rehearsal.begin() as transaction:
        expected = {(part.topic, part.partition): part.start for part in batch.slices}
        stored = bench.control.positions.lock(transaction.control, expected)
        states = bench.control.tables.states(transaction.control)
        reference = bench.source.snapshot().xmax
        for part in batch.slices:
            if part.table is None:
                told += [Told(_seen(part, change), Outcome.CONTROL) for change in part.changes]
                continue
            mapped, state = bench.tables[part.table], states[part.table]
            if state.paused:
                told += [Told(_seen(part, change), Outcome.HELD, "the table is paused") for change in part.changes]
                continue
            again = bench.guard.read_again(part.table, part.partition)
            view = views.of(transaction.control, mapped, state.version, part.changes, reference, again)
            told += decided(part, view, stored[part.topic, part.partition].high_water)
    return told


def _seen(part: Slice, change: Change) -> Seen:
    return Seen(part.topic, part.partition, change)


def decided(part: Slice, view: View, high_water: tuple[int, int]) -> list[Told]:
    """What the rules decide about each event of a slice, in order. Pure; adds up to `plan_slice` of the whole."""
    told: list[Told] = []
    last: dict[tuple[object, ...], int] = {}
    held = False
    for change in part.changes:
        seen = Seen(part.topic, part.partition, change, high_water)
        plan = plan_slice([change], view, high_water)
        held = held or plan.held
        if held:
            told.append(Told(seen, Outcome.HELD, "until its chunk has been read" if plan.held else "behind another"))
            continue
        high_water = plan.high_water
        if plan.control:
            told.append(Told(seen, Outcome.CONTROL))
        elif plan.parked:
            told.append(Told(seen, Outcome.PARKED, "behind the key's dead letter"))
        elif plan.already_loaded:
            told.append(
                Told(seen, Outcome.ALREADY_LOADED, "its chunk, or a reading of the row, has it or will have it")
            )
        else:
            _supersede(told, last.get(change.key), change.offset)
            last[change.key] = len(told)
            told.append(Told(seen, Outcome.APPLIED))
    return told


def _supersede(told: list[Told], number: int | None, offset: int) -> None:
    if number is not None:
        told[number] = replace(told[number], outcome=Outcome.SUPERSEDED, detail=f"by offset {offset}")


def _applied(bench: BatchBench, rehearsal: Rehearsal, batch: Batch) -> tuple[Ledger, str]:
    """(what the stream's own code says became of the batch, why it would stop)."""
    partitions = dict.fromkeys(bench.tables, 1)
    given = (bench.tables, partitions, bench.source, rehearsal, bench.control, bench.desk, bench.guard, bench.wait)
    stream = Stream(*given)
    resyncer = Resyncer(bench.source, rehearsal, bench.control, bench.wait)
    exchange = Exchanger(bench.tables, rehearsal, bench.control, resyncer, bench.desk, lambda table, keys: None)
    failed: list[TransientError] = []
    once = Backoff(lambda: iter(()), lambda seconds: None, lambda: True)
    writer = Writer(stream, list, exchange, lambda: once, failed.append)
    try:
        applied: Applied | None = writer.write(batch)
    except (TransientError, FencedError):
        raise
    except ChangeoverError as error:
        return Ledger(), str(error)
    if applied is None:
        raise failed[-1]
    return sum((advance.ledger for advance in applied.advances), Ledger()), ""


def _read_again(bench: BatchBench, rehearsal: Rehearsal, told: Sequence[Told]) -> list[Told]:
    """The same with the events that took a reading of the source: their keys have a fence now that sees them."""
    fences: dict[tuple[str, str], Snapshot] = {}
    with rehearsal.begin() as transaction:
        for name, mapped in bench.tables.items():
            keys = {
                mapped.form.name(one.seen.change.key) for one in told if _table(bench, one) == name and _written(one)
            }
            found = bench.control.fences.get(transaction.control, name, keys) if keys else {}
            fences |= {(name, key): fence for key, fence in found.items()}
    return [_under(one, fences.get(_name(bench, one))) if _written(one) else one for one in told]


def _under(one: Told, fence: Snapshot | None) -> Told:
    xid = one.seen.change.xid
    if fence is None or xid is None or not fence.sees(widen(xid, fence.xmax)):
        return one
    return replace(one, outcome=Outcome.READ_AGAIN, detail="the row would be read from the source")


def _written(one: Told) -> bool:
    return one.outcome in (Outcome.APPLIED, Outcome.SUPERSEDED)


def _table(bench: BatchBench, one: Told) -> str | None:
    return bench.decoders[one.seen.topic][0]


def _name(bench: BatchBench, one: Told) -> tuple[str, str]:
    table = _table(bench, one)
    assert table is not None
    return table, bench.tables[table].form.name(one.seen.change.key)


def _set_aside(bench: BatchBench, rehearsal: Rehearsal, told: Sequence[Told]) -> list[Told]:
    """The same with the events whose rows the target refused."""
    with rehearsal.begin() as transaction:
        letters = {
            (letter.topic, letter.partition, letter.event_offset): letter
            for letter in bench.control.dead_letters.list(transaction.control)
        }
    made = []
    for one in told:
        letter = letters.get((one.seen.topic, one.seen.partition, one.seen.change.offset))
        made.append(replace(one, outcome=Outcome.DEAD_LETTERED, detail=letter.error) if letter else one)
    return made


def _without(bench: BatchBench, rehearsal: Rehearsal, told: Sequence[Told]) -> list[Told]:
    """The same with the events that the mapping leaves out."""
    found: set[tuple[str, int, int]] = set()
    for topic in dict.fromkeys(one.seen.topic for one in told):
        table = bench.decoders[topic][0]
        if table is not None:
            with rehearsal.begin() as transaction:
                mine = [one for one in told if one.seen.topic == topic]
                found |= left_out(transaction, bench.tables[table], mine)
    return filtered(told, found)
