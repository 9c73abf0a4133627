"""The durable state of a pipeline, read and written through a SQLAlchemy connection that the caller's transaction owns.

Nothing here decides; it stores what `daemon` decided, so that rows and position share one commit.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.schema import CreateSchema

from connectors.control.audit import Audit
from connectors.control.chunks import Chunks
from connectors.control.dead_letters import DeadLetters
from connectors.control.fences import KeyFences
from connectors.control.findings import Findings
from connectors.control.journal import Journal
from connectors.control.key_record import KeyRecord
from connectors.control.pipeline import PipelineState
from connectors.control.positions import Positions
from connectors.control.schema import UPGRADES, VERSION, metadata, schema_version
from connectors.control.shapes import Shapes
from connectors.control.tables import TableStates
from connectors.control.verification import Verifications
from mappers.errors import FatalError

UPGRADE_LOCK = 0x6368616E67656F76
"""Advisory lock taken while the schema is created or upgraded, so that replicas starting together do it once."""


class ControlStore:
    """The control state of one pipeline, by what it is about."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pipeline = PipelineState(name)
        self.tables = TableStates(name)
        self.positions = Positions(name)
        self.journal = Journal(name)
        self.chunks = Chunks(name, self.tables)
        self.fences = KeyFences(name, self.tables)
        self.dead_letters = DeadLetters(name, self.tables)
        self.audit = Audit(name)
        self.findings = Findings(name)
        self.keys = KeyRecord(name)
        self.shapes = Shapes(name)
        self.verifications = Verifications(name, self.findings)

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
        else:
            self._upgrade(connection, found)

    def _upgrade(self, connection: Connection, found: int) -> None:
        for version in range(found + 1, VERSION + 1):
            for statement in UPGRADES.get(version, ()):
                connection.execute(text(statement))
            connection.execute(insert(schema_version).values(version=version))

    def exists(self, connection: Connection) -> bool:
        """Whether the control schema has been created (by any pipeline)."""
        found = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{metadata.schema}.checkpoint"})
        return found.scalar() is not None

    def forget(self, connection: Connection) -> None:
        """Delete all of this pipeline's state: whoever still works for it finds out at the next position or chunk."""
        for table in reversed(metadata.sorted_tables):
            if "pipeline" in table.c:
                connection.execute(delete(table).where(table.c.pipeline == self.name))

    def restart_table(self, connection: Connection, table: str) -> None:
        """Rule 10, truncate: every chunk of the table is to be read again; its key fences and dead letters go."""
        self.chunks.reset(connection, table)
        self.fences.drop(connection, table)
        self.dead_letters.close_table(connection, table)


def _schema_exists(connection: Connection, name: str) -> bool:
    return connection.execute(text("SELECT to_regnamespace(:name)"), {"name": name}).scalar() is not None
