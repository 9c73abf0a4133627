"""What can be told of a key while the source cannot be reached: what the control state and the log say.

Without the source's catalogue there is no mapping, so that rows are not compared. The key's columns are taken from the
topic's own messages; its chunk is told where the key is one whole number.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.chunks import ChunkRow
from connectors.kafka.log import LogReader
from connectors.keys import name_of
from connectors.postgresql.keys import key_form
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from connectors.wire import Wire, WireColumn
from daemon.explain.explanation import EventSide, Explanation
from daemon.explain.gather import Record, Sides, chunk_side, state_of
from daemon.explain.key_history import Partition, first_offsets, tell
from daemon.explain.key_log import SAMPLE, find
from mappers.errors import ChangeoverError, FatalError
from mappers.mapping import Column, Table

LOCK_TIMEOUT_S = 2.0
SEES_ALL = Snapshot(1 << 63, 1 << 62)
"""As what the catalogue is read after: an event may then have any columns."""


def explain_sourceless(sides: Sides, table: str, given: Sequence[str], back: int, why: str) -> Explanation:
    """The story of one key, as far as it is known without the source. why: what keeps it from being read.

    Raises FatalError for a table that the pipeline does not have.
    """
    key = tuple(given)
    record, reference = _record(sides, table, key)
    return Explanation(
        pipeline=sides.pipeline,
        table=table,
        key_columns=tuple(f"key {number}" for number, _ in enumerate(key, start=1)),
        key=key,
        source=None,
        entries=(),
        chunk=record.chunk,
        fence=str(record.fence) if record.fence else "",
        dead_letters=record.dead_letters,
        findings=record.findings,
        paused=record.paused,
        events=_events(sides, table, key, record, reference, back),
        source_error=why,
    )


def _record(sides: Sides, table: str, key: tuple[str, ...]) -> tuple[Record, int]:
    """(what the control state says, a transaction id near the source's current ones)."""
    control, name = sides.control, name_of(key)
    with sides.target.rehearse(LOCK_TIMEOUT_S, one_snapshot=True) as rehearsal, rehearsal.begin() as transaction:
        connection = transaction.control
        chunks = control.chunks.all(connection, table) if control.exists(connection) else []
        if not chunks:
            raise FatalError(f"the pipeline has no table {table}", hint="name a source table, schema.name")
        row = _chunk(chunks, key)
        record = Record(
            {(p.topic, p.partition): p.next_offset for p in control.positions.all(connection) if p.table == table},
            chunk_side(sides, transaction, row, len(chunks)) if row else None,
            control.fences.get(connection, table, [name]).get(name),
            control.dead_letters.list(connection, table=table, key=name, everything=True),
            control.keys.findings(connection, table, name),
            table in control.tables.paused(connection),
        )
    return record, max((chunk.snapshot.xmax for chunk in chunks if chunk.snapshot), default=0)


def _chunk(chunks: Sequence[ChunkRow], key: tuple[str, ...]) -> ChunkRow | None:
    """The key's chunk: the only one, or by the order of whole numbers; None where only the source knows the order."""
    if len(chunks) == 1:
        return chunks[0]
    try:
        (value,) = map(int, key)
        edges = [int(chunk.lower[0]) for chunk in chunks if chunk.lower is not None]
    except ValueError:
        return None
    return chunks[sum(value >= edge for edge in edges)]


def _events(sides: Sides, table: str, key: tuple[str, ...], record: Record, reference: int, back: int) -> EventSide:
    if record.chunk is None:
        return EventSide(error="only the source knows the key's chunk, and so what became of its events")
    (topic,) = {topic for topic, _ in record.positions}
    try:
        log = sides.log()
        try:
            mapped = _stand_in(log, table, sorted(record.positions), len(key))
            decode = sides.decode(mapped, topic)
            found = find(log, mapped, key, sorted(record.positions), record.positions, back, decode)
        finally:
            log.close()
    except ChangeoverError as error:
        return EventSide(error=str(error))
    with sides.target.rehearse(LOCK_TIMEOUT_S) as rehearsal, rehearsal.begin() as transaction:
        journal = {
            where: sides.control.journal.of(transaction.control, *where, offset)
            for where, offset in first_offsets(found.events).items()
        }
    told = tell(found.events, state_of(record, reference, journal))
    return EventSide(told, found.ranges, found.partitions, found.by_hash, found.unreadable)


def _stand_in(log: LogReader, table: str, partitions: Sequence[Partition], width: int) -> MappedTable:
    """The table as its messages' keys show it: nothing but the key, each column a whole number or a text."""
    ranges = {}
    for where in partitions:
        low, high = log.bounds(where)
        ranges[where] = (max(low, high - SAMPLE), high)
    shapes = [_payload(message.key) for message in log.read(ranges) if message.key is not None]
    fitting = next((shape for shape in shapes if len(shape) == width), None)
    if fitting is None:
        raise FatalError("the topic has no message with such a key", where=partitions[0][0])
    kinds = {name: Wire.INT if type(value) is int else Wire.TEXT for name, value in fitting.items()}
    types = {name: "bigint" if kind is Wire.INT else "text" for name, kind in kinds.items()}
    schema, _, name = table.partition(".")
    columns = tuple(Column(column, kind, nullable=False) for column, kind in types.items())
    stand_in = Table(schema, name, columns, tuple(kinds))
    wires = tuple(WireColumn(column, types[column], kind) for column, kind in kinds.items())
    return MappedTable(0, stand_in, (), wires, types, key_form(stand_in, tuple(kinds), wires), SEES_ALL)


def _payload(raw: bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    if isinstance(found, dict) and found.keys() == {"schema", "payload"}:
        found = found["payload"]
    return found if isinstance(found, dict) else {}
