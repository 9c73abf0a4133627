"""What the daemon asks of a source's log and of the connector that reads it. Positions are growing numbers of 64 bits.

Every method raises the error tree: TransientError while the server, or what tells of the connector, is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from connectors.seams import Names


@dataclass(frozen=True, slots=True)
class LogState:
    """How far the connector has come, and what the source keeps for it.

    name: of what keeps its place: replication slot x. active: somebody reads. confirmed: everything before it has been
    delivered; 0 where nothing has. lost: why what it delivers is no longer whole; "" where it is.
    """

    name: str
    active: bool
    confirmed: int
    retained_bytes: int | None
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """The connector's session at the source, as it reads the log.

    session: another text where it is another session. confirmed: as `LogState.confirmed`. position: the end of the log.
    oldest_xid: every transaction before it has ended, and stands in the log before `position`.
    """

    session: str
    confirmed: int
    position: int
    oldest_xid: int


class SourceLog(Protocol):
    """The source's log, for one pipeline. Not for several threads at once."""

    where: str
    """The server, for messages."""
    name: str
    """What keeps the connector's place in the log, for messages."""

    def close(self) -> None:
        """Close what is open; the next call opens it again."""

    def identity(self) -> str:
        """Tells this database and its log from every other one. Raises FatalError where the log began anew."""

    def stream_id(self) -> str:
        """Tells what the connector was made for from another one of the same name; empty where there is none."""

    def noted(self) -> int:
        """Rule 1's N: whatever can be in Kafka by now belongs to a transaction at or before it."""

    def emit(self, content: str) -> int:
        """Write a message into the log, which travels to the messages' topic.

        Returns a position: once the connector has confirmed it, all that was committed before this call is delivered.
        """

    def confirmed(self) -> int:
        """How far the connector has confirmed. Raises TransientError where it has not started."""

    def state(self) -> LogState:
        """How it stands with the connector and the log."""

    def session(self) -> Session | None:
        """The connector's session that reads the log; None where nobody does."""

    def unread(self, tables: Names) -> list[str]:
        """Those of the tables whose changes the log's readers do not get, by full name, as far as the source knows."""
