"""A pipeline's own row, and the mappings that its rows were made with."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select, text, update

from connectors.control.dialects import MARIADB, POSTGRESQL, clock, engine_of, upsert
from connectors.control.schema import mapping, pipeline, start_lock


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


class PipelineState:
    """Reads and writes of one pipeline's row, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self, connection: Connection, *, lock: bool = False) -> PipelineRow | None:
        """This pipeline's row; None before its first start. `lock` holds it until the transaction ends."""
        query = select(pipeline).where(pipeline.c.pipeline == self.name)
        found = connection.execute(query.with_for_update() if lock else query).one_or_none()
        if found is None:
            return None
        return PipelineRow(found.source_id, found.stream_id, found.noted_xid, found.sealed, found.phase)

    def put(self, connection: Connection, row: PipelineRow) -> None:
        """Write the pipeline's row at its first start, and raise its noted transaction id when tables join."""
        statement = upsert(engine_of(connection), pipeline, "noted_xid", "phase")
        connection.execute(statement.values(pipeline=self.name, **asdict(row)))

    def lock_start(self, connection: Connection) -> None:
        """Held to the end of the transaction: one process at a time starts a pipeline of this name."""
        if engine_of(connection) == POSTGRESQL:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 77))"), {"name": self.name})
        if engine_of(connection) == MARIADB:
            connection.execute(upsert(MARIADB, start_lock, "pipeline").values(pipeline=self.name))

    def pace(self, connection: Connection) -> int | None:
        """The backfill's rows a second as set at runtime: None as configured, 0 without a limit."""
        query = select(pipeline.c.rows_per_second).where(pipeline.c.pipeline == self.name)
        found: int | None = connection.execute(query).scalar()
        return found

    def set_pace(self, connection: Connection, rows_per_second: int | None) -> None:
        """Set the backfill's pace for every process, as `pace` gives it."""
        mine = update(pipeline).where(pipeline.c.pipeline == self.name)
        connection.execute(mine.values(rows_per_second=rows_per_second))

    def suspicion(self, connection: Connection) -> str | None:
        """Why the rows must be verified before the pipeline is ready again, as JSON; None where there is no reason."""
        return connection.execute(select(pipeline.c.suspicion).where(pipeline.c.pipeline == self.name)).scalar()

    def suspect(self, connection: Connection, suspicion: str | None, was: str | None) -> bool:
        """Change the suspicion by compare-and-set; False where another process changed it first."""
        mine = update(pipeline).where(pipeline.c.pipeline == self.name, pipeline.c.suspicion.is_not_distinct_from(was))
        return connection.execute(mine.values(suspicion=suspicion)).rowcount == 1

    def connector_session(self, connection: Connection) -> str | None:
        """The connector's session at the source as it was last seen; None before that."""
        query = select(pipeline.c.connector_session).where(pipeline.c.pipeline == self.name)
        return connection.execute(query).scalar()

    def see_connector(self, connection: Connection, session: str) -> None:
        """The connector reads from the source in this session."""
        mine = update(pipeline).where(pipeline.c.pipeline == self.name)
        connection.execute(mine.values(connector_session=session))

    def clock(self, connection: Connection) -> str:
        """The target's clock, ISO 8601: what suspicions and sweeps are compared by."""
        return str(connection.execute(select(clock())).scalar_one().isoformat())

    def fingerprints(self, connection: Connection) -> dict[str, str]:
        """Entry name -> the fingerprint its rows were made with."""
        rows = connection.execute(select(mapping.c.entry, mapping.c.fingerprint).where(mapping.c.pipeline == self.name))
        return {row.entry: row.fingerprint for row in rows}

    def put_fingerprint(self, connection: Connection, entry: str, fingerprint: str) -> None:
        """Accept this fingerprint for the entry from now on."""
        statement = upsert(engine_of(connection), mapping, "fingerprint")
        connection.execute(statement.values(pipeline=self.name, entry=entry, fingerprint=fingerprint))
