"""The durable state of a pipeline, read and written through a SQLAlchemy connection that the caller's transaction owns.

Nothing here decides; it stores what `daemon` decided, so that rows and position share one commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.schema import CreateSchema

from connectors.change import Sequence2
from connectors.chunks import LEDGER_FIELDS, Advance, Bound, ChunkRow, ChunkState, Ledger, Position
from connectors.control_schema import (
    VERSION,
    checkpoint,
    chunk,
    key_fence,
    mapping,
    metadata,
    pipeline,
    schema_version,
    table_state,
)
from connectors.snapshot import Snapshot
from mappers.errors import FatalError, FencedError

UPGRADE_LOCK = 0x6368616E67656F76
"""Advisory lock taken while the schema is created or upgraded, so that replicas starting together do it once."""


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """The pipeline's own row. noted_xid: rule 1's N. sealed: no writer may write any more.

    stream_id: tells the connector's publication from one that was made anew; empty where it is somebody else's.
    """

    source_id: str
    stream_id: str
    noted_xid: int
    sealed: bool
    phase: str


class ControlStore:
    """Reads and writes of one pipeline's control state."""

    def __init__(self, name: str) -> None:
        self.name = name

    # -- schema and pipeline -------------------------------------------------------------------------------------

    def ensure(self, connection: Connection) -> None:
        """Create the control schema, or upgrade it. Raises FatalError when it is newer than this program."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": UPGRADE_LOCK})
        if metadata.schema and not _schema_exists(connection, metadata.schema):
            connection.execute(CreateSchema(metadata.schema, if_not_exists=True))
        metadata.create_all(connection)
        found = connection.execute(select(func.max(schema_version.c.version))).scalar()
        if found is None:
            connection.execute(insert(schema_version).values(version=VERSION))
        elif found > VERSION:
            raise FatalError(
                f"the control schema has version {found}, this program knows up to {VERSION}",
                where=f"target schema {metadata.schema}",
                hint="run the newer changeover that wrote it",
            )

    def exists(self, connection: Connection) -> bool:
        """Whether the control schema has been created (by any pipeline)."""
        found = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{metadata.schema}.checkpoint"})
        return found.scalar() is not None

    def pipeline(self, connection: Connection, *, lock: bool = False) -> PipelineRow | None:
        """This pipeline's row; None before its first start. `lock` holds it until the transaction ends."""
        query = select(pipeline).where(pipeline.c.pipeline == self.name)
        found = connection.execute(query.with_for_update() if lock else query).one_or_none()
        if found is None:
            return None
        return PipelineRow(found.source_id, found.stream_id, found.noted_xid, found.sealed, found.phase)

    def put_pipeline(self, connection: Connection, row: PipelineRow) -> None:
        """Write the pipeline's row at its first start, and raise its noted transaction id when tables join."""
        values = asdict(row)
        changed = {"noted_xid": row.noted_xid, "phase": row.phase}
        statement = upsert(pipeline).values(pipeline=self.name, **values)
        connection.execute(statement.on_conflict_do_update(constraint=pipeline.primary_key, set_=changed))

    def set_phase(self, connection: Connection, phase: str) -> None:
        """Remember the phase that the pipeline has reached."""
        connection.execute(update(pipeline).where(pipeline.c.pipeline == self.name).values(phase=phase))

    def forget(self, connection: Connection) -> None:
        """Delete all of this pipeline's state: whoever still works for it finds out at the next position or chunk."""
        for table in (checkpoint, chunk, key_fence, mapping, table_state, pipeline):
            connection.execute(delete(table).where(table.c.pipeline == self.name))

    def lock_start(self, connection: Connection) -> None:
        """Held to the end of the transaction: one process at a time starts a pipeline of this name."""
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 77))"), {"name": self.name})

    def fingerprints(self, connection: Connection) -> dict[str, str]:
        """Entry name -> the fingerprint its rows were made with."""
        rows = connection.execute(select(mapping.c.entry, mapping.c.fingerprint).where(mapping.c.pipeline == self.name))
        return {row.entry: row.fingerprint for row in rows}

    def put_fingerprint(self, connection: Connection, entry: str, fingerprint: str) -> None:
        """Accept this fingerprint for the entry from now on."""
        values = upsert(mapping).values(pipeline=self.name, entry=entry, fingerprint=fingerprint)
        connection.execute(
            values.on_conflict_do_update(constraint=mapping.primary_key, set_={"fingerprint": fingerprint})
        )

    # -- positions -----------------------------------------------------------------------------------------------

    def add_positions(self, connection: Connection, positions: Iterable[Position]) -> None:
        """Write the first position of each partition."""
        rows = [
            {
                "pipeline": self.name,
                "topic": p.topic,
                "partition": p.partition,
                "table_name": p.table,
                "next_offset": p.next_offset,
                "topic_id": p.topic_id,
                "commit_lsn": p.high_water[0],
                "event_lsn": p.high_water[1],
            }
            for p in positions
        ]
        if rows:
            connection.execute(insert(checkpoint), rows)

    def positions(self, connection: Connection) -> list[Position]:
        """Every partition's position, in (topic, partition) order."""
        return [_position(row) for row in connection.execute(self._checkpoints())]

    def lock_positions(
        self, connection: Connection, expected: Mapping[tuple[str, int], int]
    ) -> dict[tuple[str, int], Position]:
        """Lock the partitions' rows, in order, and compare: (topic, partition) -> the offset this process believes in.

        Raises FencedError when one has moved, or is gone: another process owns that partition.
        """
        query = self._checkpoints().where(tuple_(checkpoint.c.topic, checkpoint.c.partition).in_(list(expected)))
        found = {(p.topic, p.partition): p for p in map(_position, connection.execute(query.with_for_update()))}
        for where, offset in expected.items():
            stored = found[where].next_offset if where in found else None
            if stored != offset:
                raise FencedError(
                    f"the position in the target is {stored}, this process is at {offset}",
                    where=f"{where[0]}[{where[1]}]",
                    hint="another process owns this partition; this one rolled back",
                )
        return found

    def lock_table(self, connection: Connection, table: str) -> None:
        """Lock every position of the table, in order: no batch of it is in flight until the transaction ends."""
        connection.execute(self._checkpoints().where(checkpoint.c.table_name == table).with_for_update()).all()

    def advance(self, connection: Connection, advances: Sequence[Advance]) -> None:
        """Move positions by compare-and-set, and add to their ledgers. Raises FencedError where one has moved."""
        statement = (
            update(checkpoint)
            .where(
                checkpoint.c.pipeline == self.name,
                checkpoint.c.topic == bindparam("b_topic"),
                checkpoint.c.partition == bindparam("b_partition"),
                checkpoint.c.next_offset == bindparam("b_start"),
            )
            .values(
                next_offset=bindparam("b_end"),
                commit_lsn=bindparam("b_commit_lsn"),
                event_lsn=bindparam("b_event_lsn"),
                source_time_us=func.greatest(checkpoint.c.source_time_us, bindparam("b_time")),
                updated_at=func.now(),
                **{name: checkpoint.c[name] + bindparam(f"b_{name}") for name in LEDGER_FIELDS},
            )
        )
        for move in advances:
            if connection.execute(statement, _advance_values(move)).rowcount != 1:
                raise FencedError("the position moved meanwhile", where=f"{move.topic}[{move.partition}]")

    def _checkpoints(self) -> Select[tuple[object, ...]]:
        query = select(checkpoint).where(checkpoint.c.pipeline == self.name)
        return query.order_by(checkpoint.c.topic, checkpoint.c.partition)

    # -- chunks --------------------------------------------------------------------------------------------------

    def add_table(self, connection: Connection, table: str, bounds: Sequence[Bound], rows_expected: int) -> None:
        """Write a table's chunks: the whole key space, cut at `bounds`, both outer ends open."""
        edges: list[Bound | None] = [None, *bounds, None]
        connection.execute(
            insert(table_state).values(pipeline=self.name, table_name=table, rows_expected=rows_expected)
        )
        rows = [
            {
                "pipeline": self.name,
                "table_name": table,
                "number": number,
                "lower": _dump(lower),
                "upper": _dump(upper),
                "state": ChunkState.PENDING.value,
            }
            for number, (lower, upper) in enumerate(pairwise(edges))
        ]
        connection.execute(insert(chunk), rows)

    def versions(self, connection: Connection) -> dict[str, int]:
        """Table -> the version of its chunks and fences; a cached copy with the same version is current.

        Raises FencedError when the pipeline is sealed: then nobody may write any more.
        """
        query = select(table_state.c.table_name, table_state.c.version, pipeline.c.sealed)
        query = query.join_from(table_state, pipeline, table_state.c.pipeline == pipeline.c.pipeline)
        rows = connection.execute(query.where(table_state.c.pipeline == self.name)).all()
        if any(row.sealed for row in rows):
            raise FencedError("the pipeline is sealed", where=f"pipeline {self.name}", hint="its cutover has been made")
        return {row.table_name: row.version for row in rows}

    def rows_expected(self, connection: Connection) -> dict[str, int]:
        """Table -> the source's row count as estimated when its chunks were made."""
        query = select(table_state.c.table_name, table_state.c.rows_expected)
        return {
            r.table_name: r.rows_expected for r in connection.execute(query.where(table_state.c.pipeline == self.name))
        }

    def chunks(self, connection: Connection, table: str | None = None) -> list[ChunkRow]:
        """The chunks of one table, or of all, in key order."""
        query = select(chunk).where(chunk.c.pipeline == self.name)
        if table is not None:
            query = query.where(chunk.c.table_name == table)
        return [_chunk(row) for row in connection.execute(query.order_by(chunk.c.table_name, chunk.c.number))]

    def share_chunks(
        self, connection: Connection, table: str, numbers: Collection[int] | None = None
    ) -> list[ChunkRow]:
        """Share-lock these chunks' rows, or all of the table, and read them.

        Until the transaction ends none of them is claimed, and none that is being read becomes done.
        """
        query = select(chunk).where(chunk.c.pipeline == self.name, chunk.c.table_name == table)
        if numbers is not None:
            query = query.where(chunk.c.number.in_(sorted(numbers)))
        return [_chunk(row) for row in connection.execute(query.order_by(chunk.c.number).with_for_update(read=True))]

    def next_chunk(
        self, connection: Connection, tables: Collection[str], states: Collection[ChunkState]
    ) -> ChunkRow | None:
        """Lock and read one chunk of these tables and states that nobody else holds; None where there is none."""
        query = select(chunk).where(chunk.c.pipeline == self.name, chunk.c.state.in_([s.value for s in states]))
        query = query.where(chunk.c.table_name.in_(sorted(tables)))
        query = query.order_by(chunk.c.table_name, chunk.c.number).limit(1)
        found = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
        return _chunk(found) if found else None

    def set_chunk(
        self,
        connection: Connection,
        row: ChunkRow,
        state: ChunkState,
        *,
        attempt: int,
        snapshot: Snapshot | None = None,
        rows: int = 0,
        size_bytes: int = 0,
        claim: bool = False,
    ) -> bool:
        """Move a chunk by compare-and-set on the state and attempt in `row`; False where another moved it first."""
        values: dict[str, object] = {
            "state": state.value,
            "attempt": attempt,
            "snapshot": str(snapshot) if snapshot else None,
            "rows": rows,
            "bytes": size_bytes,
        }
        if claim:
            values |= {"session": text(SESSION_SQL), "claimed_at": func.now()}
        if state is ChunkState.DONE:
            values |= {"done_at": func.now()}
        mine = self._one_chunk(row).where(chunk.c.state == row.state.value, chunk.c.attempt == row.attempt)
        moved = connection.execute(mine.values(**values)).rowcount == 1
        if moved:
            self.bump(connection, row.table)
        return moved

    def abandoned(self, connection: Connection) -> list[ChunkRow]:
        """Lock the chunks that are claimed by a session that has ended."""
        claimed = [ChunkState.READING.value, ChunkState.REREADING.value]
        query = select(chunk).where(chunk.c.pipeline == self.name, chunk.c.state.in_(claimed))
        query = query.where(text(SESSION_GONE_SQL)).order_by(chunk.c.table_name, chunk.c.number)
        return [_chunk(row) for row in connection.execute(query.with_for_update(skip_locked=True))]

    def reset_chunks(self, connection: Connection, table: str) -> None:
        """Rule 10, truncate: every chunk of the table is to be read again, and its key fences go."""
        mine = update(chunk).where(chunk.c.pipeline == self.name, chunk.c.table_name == table)
        connection.execute(mine.values(state=ChunkState.PENDING.value, snapshot=None, rows=0, bytes=0))
        connection.execute(delete(key_fence).where(self._fences_of(table)))
        self.bump(connection, table)

    def _one_chunk(self, row: ChunkRow) -> Update:
        where = (chunk.c.pipeline == self.name, chunk.c.table_name == row.table, chunk.c.number == row.number)
        return update(chunk).where(*where)

    # -- key fences ----------------------------------------------------------------------------------------------

    def bump(self, connection: Connection, table: str) -> None:
        """Make every cached copy of this table's chunks and fences stale, from this transaction's commit on."""
        mine = and_(table_state.c.pipeline == self.name, table_state.c.table_name == table)
        connection.execute(update(table_state).where(mine).values(version=table_state.c.version + 1))

    def fences(self, connection: Connection, table: str, keys: Collection[str] | None = None) -> dict[str, Snapshot]:
        """Key -> fence, of the given keys or of all of the table. Keys are in their JSON text form."""
        query = select(key_fence.c.key, key_fence.c.snapshot).where(self._fences_of(table))
        if keys is not None:
            query = query.where(key_fence.c.key == func.any(bindparam("wanted", list(keys))))
        return {row.key: Snapshot.parse(row.snapshot) for row in connection.execute(query)}

    def fences_end(self, connection: Connection, table: str) -> int:
        """The highest xmax of the table's key fences: no event from there on is decided by one. 0 without fences."""
        xmax = cast(func.split_part(key_fence.c.snapshot, ":", 2), BigInteger)
        return connection.execute(select(func.max(xmax)).where(self._fences_of(table))).scalar() or 0

    def fenced_keys(self, connection: Connection, table: str) -> list[str]:
        """Every key of the table that has a fence, in its JSON text form."""
        return [row.key for row in connection.execute(select(key_fence.c.key).where(self._fences_of(table)))]

    def put_fences(self, connection: Connection, table: str, keys: Collection[str], snapshot: Snapshot) -> None:
        """Fence these keys at `snapshot`: events that it sees are already in what was written for them."""
        rows = [{"pipeline": self.name, "table_name": table, "key": key, "snapshot": str(snapshot)} for key in keys]
        if rows:
            statement = upsert(key_fence)
            changed = {"snapshot": statement.excluded.snapshot}
            connection.execute(statement.on_conflict_do_update(constraint=key_fence.primary_key, set_=changed), rows)
            self.bump(connection, table)

    def _fences_of(self, table: str) -> ColumnElement[bool]:
        return and_(key_fence.c.pipeline == self.name, key_fence.c.table_name == table)


SESSION_SQL = "(SELECT pid || '@' || backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"
"""Names the database session that claims a chunk. The same session writes the chunk's rows, so that a session that has
ended cannot write them any more, and its claim may go to another."""

SESSION_GONE_SQL = (
    "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid || '@' || backend_start = chunk.session)".replace(
        "chunk.session", f"{metadata.schema}.chunk.session"
    )
)


def _schema_exists(connection: Connection, name: str) -> bool:
    return connection.execute(text("SELECT to_regnamespace(:name)"), {"name": name}).scalar() is not None


def _dump(bound: Bound | None) -> str | None:
    return None if bound is None else json.dumps(bound, ensure_ascii=False)


def _load(bound: str | None) -> Bound | None:
    return None if bound is None else tuple(json.loads(bound))


def _chunk(row: Row[tuple[object, ...]]) -> ChunkRow:
    return ChunkRow(
        row.table_name,
        row.number,
        _load(row.lower),
        _load(row.upper),
        ChunkState(row.state),
        row.attempt,
        Snapshot.parse(row.snapshot) if row.snapshot else None,
        row.rows,
        row.bytes,
    )


def _position(row: Row[tuple[object, ...]]) -> Position:
    ledger = Ledger(*(getattr(row, name) for name in LEDGER_FIELDS))
    water: Sequence2 = (row.commit_lsn, row.event_lsn)
    where = (row.topic, row.partition, row.table_name, row.next_offset)
    return Position(*where, water, row.topic_id, ledger, row.source_time_us)


def _advance_values(move: Advance) -> dict[str, object]:
    return {
        "b_topic": move.topic,
        "b_partition": move.partition,
        "b_start": move.start,
        "b_end": move.end,
        "b_commit_lsn": move.high_water[0],
        "b_event_lsn": move.high_water[1],
        "b_time": move.source_time_us,
        **{f"b_{name}": getattr(move.ledger, name) for name in LEDGER_FIELDS},
    }
