"""What `doctor` asks of the control schema, as frozen facts: read in one transaction, nothing locked or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Table, func, select

from connectors.chunks import ChunkRow, Position
from connectors.control.creation import version_of
from connectors.control.pipeline import PipelineRow
from connectors.control.schema import (
    VERSION,
    chunk,
    dead_letter,
    finding,
    pipeline,
    table_state,
)
from connectors.control.store import ControlStore
from connectors.shape import Shape


@dataclass(frozen=True, slots=True)
class ControlState:
    """A pipeline's control state. version: of the control schema; None where there is none.

    The rest is empty where the pipeline was never started, or the schema's version is not this program's. dead_letters,
    differences (found by a verification): source table -> how many are open. shapes: source table -> what it was when
    its rows were made. backfill_s: how long the chunks that are
    done took together, from first to last.
    """

    version: int | None
    row: PipelineRow | None = None
    suspicion: str | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    positions: tuple[Position, ...] = ()
    chunks: tuple[ChunkRow, ...] = ()
    paused: tuple[str, ...] = ()
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    differences: Mapping[str, int] = field(default_factory=dict)
    backfill_s: float = 0.0

    @property
    def readable(self) -> bool:
        """Whether the schema is there and of this program's version."""
        return self.version == VERSION


def control_state(connection: Connection, store: ControlStore) -> ControlState:
    """The control state of the store's pipeline."""
    version = version_of(connection)
    row = store.pipeline.get(connection) if version == VERSION else None
    if row is None:
        return ControlState(version)
    paused = select(table_state.c.table_name).where(table_state.c.pipeline == store.name, table_state.c.paused)
    took = select(func.min(chunk.c.claimed_at), func.max(chunk.c.done_at)).where(chunk.c.pipeline == store.name)
    first, last = connection.execute(took).one()
    return ControlState(
        version=version,
        row=row,
        suspicion=connection.execute(select(pipeline.c.suspicion).where(pipeline.c.pipeline == store.name)).scalar(),
        fingerprints=store.pipeline.fingerprints(connection),
        shapes={table: stored.shape for table, stored in store.shapes.all(connection).items()},
        positions=tuple(store.positions.all(connection)),
        chunks=tuple(store.chunks.all(connection)),
        paused=tuple(connection.execute(paused.order_by(table_state.c.table_name)).scalars()),
        dead_letters=_open(connection, store.name, dead_letter, dead_letter.c.table_name),
        differences=_open(connection, store.name, finding, finding.c.table_name),
        backfill_s=(last - first).total_seconds() if first and last else 0.0,
    )


def _open(connection: Connection, name: str, table: Table, by: Column[Any]) -> dict[str, int]:
    """How many rows of the pipeline are open, by the values of a column."""
    query = select(by, func.count()).where(table.c.pipeline == name, table.c.state == "open").group_by(by)
    return {found[0]: found[1] for found in connection.execute(query)}
