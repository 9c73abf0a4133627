"""Which keys a proposed pair of tables needs besides the primary keys."""

from __future__ import annotations

from collections.abc import Sequence

from mappers.mapping import Table
from mappers.propose.records import ColumnMatch


def merge_key(source: Table, target: Table, columns: Sequence[ColumnMatch]) -> tuple[str, ...]:
    """Target columns to merge on where the primary key has a value of its own: those that carry the source's key.

    Empty where the primary key is filled, or where nothing unique is.
    """
    filled = {match.target: match.source for match in columns if match.live}
    if target.key and set(target.key) <= filled.keys():
        return ()
    wanted = set(source.key or stream_key(source))
    for unique in target.uniques:
        carried = {filled[name] for name in unique.columns if name in filled}
        if wanted and not unique.partial and len(carried) == len(unique.columns) and carried == wanted:
            return unique.columns
    return ()


def stream_key(source: Table) -> tuple[str, ...]:
    """For a table without primary key: the unique NOT NULL columns that its replica identity carries, if any."""
    if source.key:
        return ()
    present = {column.name for column in source.columns if not column.nullable and not column.generated}
    for unique in source.uniques:
        carried = source.replica_identity == "f" or (
            source.replica_identity == "i" and set(source.replica_index) == set(unique.columns)
        )
        if carried and not unique.partial and set(unique.columns) <= present:
            return unique.columns
    return ()
