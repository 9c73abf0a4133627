"""The durable state of a pipeline, read and written through a SQLAlchemy connection that the caller's transaction owns.

Nothing here decides; it stores what `daemon` decided, so that rows and position share one commit.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete

from connectors.control import creation
from connectors.control.audit import Audit
from connectors.control.chunks import Chunks
from connectors.control.dead_letters import DeadLetters
from connectors.control.dialects import engine_of
from connectors.control.fences import KeyFences
from connectors.control.findings import Findings
from connectors.control.journal import Journal
from connectors.control.key_record import KeyRecord
from connectors.control.pipeline import PipelineState
from connectors.control.positions import Positions
from connectors.control.schema import tables_of
from connectors.control.shapes import Shapes
from connectors.control.tables import TableStates
from connectors.control.verification import Verifications


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
        """Create the control schema, or upgrade it. Raises FatalError when it is newer than this program.

        First in its transaction: on MariaDB, where there is something to create, it commits what came before.
        """
        creation.ensure(connection)

    def exists(self, connection: Connection) -> bool:
        """Whether the control schema has been created (by any pipeline)."""
        return creation.exists(connection)

    def forget(self, connection: Connection) -> None:
        """Delete all of this pipeline's state: whoever still works for it finds out at the next position or chunk."""
        for table in reversed(tables_of(engine_of(connection))):
            if "pipeline" in table.c:
                connection.execute(delete(table).where(table.c.pipeline == self.name))

    def restart_table(self, connection: Connection, table: str) -> None:
        """Rule 10, truncate: every chunk of the table is to be read again; its key fences and dead letters go."""
        self.chunks.reset(connection, table)
        self.fences.drop(connection, table)
        self.dead_letters.close_table(connection, table)
