"""Whether tables have rows, asked of the tables themselves: estimates of a catalogue are as old as the last ANALYZE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from mappers.mapping import Table
from mappers.names import qualified


def occupied(connection: psycopg.Connection[Any], tables: Iterable[Table]) -> frozenset[str]:
    """Full names of those that have rows. A table that may not be read, or not in time, is not among them."""
    found: set[str] = set()
    for table in tables:
        try:
            with connection.transaction():
                row = connection.execute(f"SELECT EXISTS (SELECT FROM {qualified(table)})".encode()).fetchone()
        except psycopg.Error:
            continue
        if row and row[0]:
            found.add(table.full_name)
    return frozenset(found)
