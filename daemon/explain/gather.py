"""`explain`: gathers what both sides, the control state and the log say about one key. Writes nothing anywhere.

Where the two sides differ although nothing is to come, the connector is asked to deliver all that the source had when
it was read, and everything else is looked at again: only what still differs then is a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.chunks import ChunkRow, ChunkState
from connectors.control.dead_letters import Letter
from connectors.control.journal import Applied
from connectors.control.key_record import FindingFact
from connectors.control.store import ControlStore
from connectors.kafka.consumer import Decode
from connectors.kafka.log import LogReader
from connectors.keys import name_of
from connectors.seams import TextRow
from connectors.snapshot import Snapshot
from connectors.source_database import SourceDatabase
from connectors.sql.preview import compare_all
from connectors.sql.target import SqlTarget
from connectors.sql.transaction import SqlTransaction
from connectors.tables import MappedTable
from daemon.barrier import Barrier
from daemon.explain.explanation import ChunkSide, EntrySide, EventSide, Explanation, SourceSide
from daemon.explain.key_history import KeyState, Partition, Told, filtered, first_offsets, tell
from daemon.explain.key_log import KeyLog, find
from daemon.explain.left_out import left_out
from daemon.handover import Chunk
from daemon.resync.keys import text_rows
from mappers.errors import ChangeoverError, FatalError, NotReadyError, RecordError, TransientError

LOCK_TIMEOUT_S = 2.0
ROUNDS = 3
"""How often a row that changes while it is looked at is looked at again."""


@dataclass(frozen=True)
class Sides:
    """Where an explanation comes from. log: opens a reader of the broker. decode: source table -> its decoder."""

    pipeline: str
    source: SourceDatabase
    target: SqlTarget
    control: ControlStore
    log: Callable[[], LogReader]
    decode: Callable[[MappedTable, str], Decode]
    barrier: Callable[[], Barrier]


@dataclass(frozen=True, slots=True)
class _Read:
    """The source's row at a snapshot."""

    snapshot: Snapshot
    row: tuple[str | None, ...] | None


def explain(sides: Sides, mapped: MappedTable, given: Sequence[str], back: int) -> Explanation:
    """The story of one key. back: how many offsets before the position the log is read from.

    Raises FatalError for what is no key of the table, TransientError while the target or the source cannot be reached.
    """
    key = _key(sides, mapped, given)
    read = _source(sides, mapped, key)
    it = _look(sides, mapped, key, read, back)
    for _ in range(ROUNDS):
        if it.agrees or _explained(it):
            return it
        delivered = _delivered(sides)
        it = replace(_look(sides, mapped, key, read, back), delivered=delivered)
        again = _source(sides, mapped, key)
        if again.row == read.row or not delivered:
            return it
        read = again
        it = _look(sides, mapped, key, read, back)
    return it if it.agrees else replace(it, delivered=False)


def _explained(it: Explanation) -> bool:
    """Whether it is known why the sides differ, or cannot be found out by looking again."""
    unloaded = it.chunk is None or it.chunk.row.state is not ChunkState.DONE
    return unloaded or bool(it.events.to_come) or bool(it.events.error)


def _key(sides: Sides, mapped: MappedTable, given: Sequence[str]) -> tuple[str, ...]:
    form = mapped.form
    kinds = ", ".join(f"{name} ({kind})" for name, kind in zip(form.columns, form.types, strict=True))
    if len(given) != len(form.columns):
        what = f"{len(given)} values for a key of {len(form.columns)}"
        raise FatalError(what, where=f"key of {mapped.name}", hint=f"give {kinds}")
    try:
        return sides.source.canonical(mapped.table, form, [given])[0]
    except RecordError as error:
        raise FatalError(error.what, where=f"key of {mapped.name}", hint=f"give {kinds}") from error


def _source(sides: Sides, mapped: MappedTable, key: tuple[str, ...]) -> _Read:
    snapshot, rows = sides.source.rows_by_key(mapped.table, mapped.form, mapped.columns, [key])
    return _Read(snapshot, rows.get(key))


def _delivered(sides: Sides) -> bool:
    """Have everything that was committed at the source until now brought into the log."""
    barrier = sides.barrier()
    try:
        barrier.delivered(barrier.sentinel())
    except (NotReadyError, TransientError):
        return False
    return True


def _look(sides: Sides, mapped: MappedTable, key: tuple[str, ...], read: _Read, back: int) -> Explanation:
    """Everything but the source. The target in one snapshot, the log after it, so that no event is overlooked."""
    with sides.target.rehearse(LOCK_TIMEOUT_S, one_snapshot=True) as rehearsal, rehearsal.begin() as transaction:
        found: dict[TextRow, TextRow] = {key: read.row} if read.row is not None else {}
        compared = compare_all(transaction, mapped, text_rows(mapped, [key], found))
        entries = [EntrySide(entry, rows) for entry, rows in compared]
        record = _record(sides, transaction, mapped, key)
    return Explanation(
        pipeline=sides.pipeline,
        table=mapped.name,
        key_columns=mapped.form.columns,
        key=key,
        source=SourceSide(
            None if read.row is None else dict(zip(mapped.columns, read.row, strict=True)), str(read.snapshot)
        ),
        entries=entries,
        chunk=record.chunk,
        fence=str(record.fence) if record.fence else "",
        dead_letters=record.dead_letters,
        findings=record.findings,
        paused=record.paused,
        events=_events(sides, mapped, key, record, read, back),
    )


@dataclass(frozen=True, slots=True)
class Record:
    """What the control state says about the key, in one snapshot."""

    positions: Mapping[Partition, int]
    chunk: ChunkSide | None = None
    fence: Snapshot | None = None
    dead_letters: Sequence[Letter] = ()
    findings: Sequence[FindingFact] = ()
    paused: bool = False


def _record(sides: Sides, transaction: SqlTransaction, mapped: MappedTable, key: tuple[str, ...]) -> Record:
    control, connection = sides.control, transaction.control
    if not control.exists(connection):
        return Record({})
    chunks = control.chunks.all(connection, mapped.name)
    positions = [p for p in control.positions.all(connection) if p.table == mapped.name]
    name = name_of(key)
    return Record(
        {(p.topic, p.partition): p.next_offset for p in positions},
        _chunk(sides, transaction, mapped, key, chunks) if chunks else None,
        control.fences.get(connection, mapped.name, [name]).get(name),
        control.dead_letters.list(connection, table=mapped.name, key=name, everything=True),
        control.keys.findings(connection, mapped.name, name),
        mapped.name in control.tables.paused(connection),
    )


def _chunk(
    sides: Sides,
    transaction: SqlTransaction,
    mapped: MappedTable,
    key: tuple[str, ...],
    chunks: Sequence[ChunkRow],
) -> ChunkSide:
    bounds = [row.lower for row in chunks if row.lower is not None]
    number = sides.source.locate(mapped.table, mapped.form, bounds, [key])[0] if bounds else 0
    row = next(row for row in chunks if row.number == number)
    return chunk_side(sides, transaction, row, len(chunks))


def chunk_side(sides: Sides, transaction: SqlTransaction, row: ChunkRow, chunks: int) -> ChunkSide:
    """A chunk, one of so many, with its times."""
    return ChunkSide(row, chunks, *sides.control.keys.chunk_times(transaction.control, row.table, row.number))


def _events(
    sides: Sides, mapped: MappedTable, key: tuple[str, ...], record: Record, read: _Read, back: int
) -> EventSide:
    if not record.positions:
        return EventSide(error="the pipeline has not started with this table")
    (topic,) = {topic for topic, _ in record.positions}
    try:
        log = sides.log()
        try:
            found = find(
                log, mapped, key, sorted(record.positions), record.positions, back, sides.decode(mapped, topic)
            )
        finally:
            log.close()
    except ChangeoverError as error:
        return EventSide(error=str(error))
    told = _told(sides, mapped, found, record, read)
    return EventSide(told, found.ranges, found.partitions, found.by_hash, found.unreadable)


def _told(sides: Sides, mapped: MappedTable, found: KeyLog, record: Record, read: _Read) -> list[Told]:
    with sides.target.rehearse(LOCK_TIMEOUT_S) as rehearsal, rehearsal.begin() as transaction:
        journal = {
            where: sides.control.journal.of(transaction.control, *where, offset)
            for where, offset in first_offsets(found.events).items()
        }
        told = tell(found.events, state_of(record, read.snapshot.xmax, journal))
        return filtered(told, left_out(transaction, mapped, told))


def state_of(record: Record, reference: int, journal: Mapping[Partition, Sequence[Applied]]) -> KeyState:
    """What the rules are asked with. reference: a current transaction id of the source."""
    chunk = record.chunk.row if record.chunk else None
    return KeyState(
        chunk=Chunk(chunk.state, chunk.snapshot) if chunk else None,
        number=chunk.number if chunk else 0,
        attempt=chunk.attempt if chunk else 0,
        fence=record.fence,
        reference=reference,
        positions=record.positions,
        journal=journal,
        dead_letters=record.dead_letters,
    )
