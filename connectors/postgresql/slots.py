"""Replication slots: how far a connector has confirmed, and what the source keeps for it.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors as pg

from connectors.postgresql import statements
from connectors.source_log import Session
from connectors.waiting import Patience

_STATEMENTS = statements.load("slots.sql")


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot. Positions are numbers (64 bits); None where the slot has none (yet)."""

    active: bool
    active_pid: int | None
    confirmed_flush_lsn: int | None
    restart_lsn: int | None
    retained_bytes: int | None
    wal_status: str | None
    """reserved, extended, unreserved (about to be lost), or lost."""
    plugin: str | None
    database: str | None

    @property
    def confirmed(self) -> int:
        """How far its connector has confirmed; 0 where it never has."""
        return self.confirmed_flush_lsn or 0


def lost(slot: Slot | None) -> str:
    """Why what it delivers is no longer whole; "" where it is."""
    if slot is None:
        return "is gone"
    return "has lost its WAL" if slot.wal_status == "lost" else ""


def read_slot(conn: psycopg.Connection[Any], slot: str) -> Slot | None:
    """The slot of that name, or None."""
    rows = statements.fetch(conn, _STATEMENTS["slot"], {"slot": slot})
    return Slot(**rows[0]) if rows else None


def read_session(conn: psycopg.Connection[Any], slot: str) -> Session | None:
    """The session that reads from the slot of that name, or None where nobody does."""
    rows = statements.fetch(conn, _STATEMENTS["session"], {"slot": slot})
    return Session(**rows[0]) if rows else None


def drop_slot(conn: psycopg.Connection[Any], slot: str, patience: Patience) -> bool:
    """Drop the slot once nobody uses it. False where there was none.

    Raises NotReadyError, naming the process, where it is still in use at the bound. The connection is in autocommit.
    """
    existed = read_slot(conn, slot) is not None
    patience.until(lambda: _try_drop(conn, slot), where=f"replication slot {slot}", hint="stop what reads from it")
    return existed


def _try_drop(conn: psycopg.Connection[Any], slot: str) -> str:
    """Drop it if it is there and idle; else say what keeps it."""
    state = read_slot(conn, slot)
    if state is None:
        return ""
    if state.active:
        return f"it is in use by process {state.active_pid}"
    try:
        conn.execute(_STATEMENTS["drop_slot"], {"slot": slot})
    except pg.ObjectInUse:
        return "it is in use again"
    except pg.UndefinedObject:
        pass  # someone else dropped it since
    return ""
