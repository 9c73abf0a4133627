"""PostgreSQL's log: a replication slot, a publication, and logical messages (`connectors.source_log`)."""

from __future__ import annotations

from connectors.postgresql.publication import publication
from connectors.postgresql.session import server_of, translated
from connectors.postgresql.slots import lost
from connectors.postgresql.source import PostgresSource
from connectors.seams import Names
from connectors.source_log import LogState, Session
from mappers.errors import TransientError

PREFIX = "changeover"
"""Prefix of this program's logical messages."""


class PostgresLog:
    """The log as the slot's connector reads it."""

    def __init__(self, source: PostgresSource, slot: str, publication: str) -> None:
        self._source = source
        self._slot = slot
        self._publication = publication
        self.where = f"source {server_of(source.url)}"
        self.name = f"replication slot {slot}"

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._source.close()

    def identity(self) -> str:
        """Cluster identifier and database."""
        return self._source.system_id()

    def stream_id(self) -> str:
        """The publication's oid."""
        return self._source.publication_id(self._publication)

    def noted(self) -> int:
        """A transaction id taken now, 64 bits wide."""
        return self._source.new_xid()

    def emit(self, content: str) -> int:
        """Write a transactional logical message. The position is at or past it."""
        return self._source.emit(PREFIX, content)

    def confirmed(self) -> int:
        """The slot's confirmed_flush_lsn."""
        state = self._source.slot(self._slot)
        if state is None:
            what = f"no {self.name}: the connector has not started"
            raise TransientError(what, where="source", hint="run `changeover connector apply`")
        return state.confirmed

    def state(self) -> LogState:
        """How the slot is."""
        slot = self._source.slot(self._slot)
        if slot is None:
            return LogState(self.name, False, 0, None, lost(None))
        return LogState(self.name, slot.active, slot.confirmed, slot.retained_bytes, lost(slot))

    def session(self) -> Session | None:
        """The session that reads from the slot."""
        return self._source.session(self._slot)

    def unread(self, tables: Names) -> list[str]:
        """Those that the publication does not have; none where there is no publication."""
        with translated("source", self._source.url):
            published = publication(self._source.connection(), self._publication)
        return sorted(".".join(table) for table in set(tables) - published.tables) if published else []
