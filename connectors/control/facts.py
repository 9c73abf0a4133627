"""What `doctor` asks of the control schema, as frozen facts: read in one transaction, nothing locked or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select, text

from connectors.chunks import ChunkRow, Position
from connectors.control.pipeline import PipelineRow
from connectors.control.schema import VERSION, chunk, dead_letter, metadata, pipeline, schema_version, table_state
from connectors.control.store import ControlStore


@dataclass(frozen=True, slots=True)
class ControlState:
    """A pipeline's control state. version: of the control schema; None where there is none.

    The rest is empty where the pipeline was never started, or the schema's version is not this program's. dead_letters:
    table -> how many are open. backfill_s: how long the chunks that are done took together, from first to last.
    """

    version: int | None
    row: PipelineRow | None = None
    suspicion: str | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    positions: tuple[Position, ...] = ()
    chunks: tuple[ChunkRow, ...] = ()
    paused: tuple[str, ...] = ()
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    backfill_s: float = 0.0

    @property
    def readable(self) -> bool:
        """Whether the schema is there and of this program's version."""
        return self.version == VERSION


def control_state(connection: Connection, store: ControlStore) -> ControlState:
    """The control state of the store's pipeline."""
    name = f"{metadata.schema}.{schema_version.name}"
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is None:
        return ControlState(None)
    version = connection.execute(select(func.max(schema_version.c.version))).scalar()
    row = store.pipeline.get(connection) if version == VERSION else None
    if row is None:
        return ControlState(version)
    mine, open_ = dead_letter.c.pipeline == store.name, dead_letter.c.state == "open"
    letters = select(dead_letter.c.table_name, func.count()).where(mine, open_).group_by(dead_letter.c.table_name)
    paused = select(table_state.c.table_name).where(table_state.c.pipeline == store.name, table_state.c.paused)
    took = select(func.max(chunk.c.done_at) - func.min(chunk.c.claimed_at)).where(chunk.c.pipeline == store.name)
    elapsed = connection.execute(took).scalar()
    return ControlState(
        version=version,
        row=row,
        suspicion=connection.execute(select(pipeline.c.suspicion).where(pipeline.c.pipeline == store.name)).scalar(),
        fingerprints=store.pipeline.fingerprints(connection),
        positions=tuple(store.positions.all(connection)),
        chunks=tuple(store.chunks.all(connection)),
        paused=tuple(connection.execute(paused.order_by(table_state.c.table_name)).scalars()),
        dead_letters={found[0]: found[1] for found in connection.execute(letters)},
        backfill_s=elapsed.total_seconds() if elapsed is not None else 0.0,
    )
