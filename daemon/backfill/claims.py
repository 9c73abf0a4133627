"""Claims whose worker is gone: whoever needs a chunk, or waits for one, gives it back."""

from __future__ import annotations

from sqlalchemy import Connection

from connectors.control.store import ControlStore
from daemon.handover import expired


def release_abandoned(control: ControlStore, connection: Connection) -> None:
    """Give back every chunk that is claimed by a database session that has ended (rules 5 and 9)."""
    for dead in control.chunks.abandoned(connection):
        control.chunks.move(connection, dead, expired(dead.state), attempt=dead.attempt)
