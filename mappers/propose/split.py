"""Tables that were split off another: the profile columns of users that now stand in a table of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mappers.mapping import Column, Table
from mappers.propose.columns import match_columns
from mappers.propose.keys import merge_key
from mappers.propose.known import Known
from mappers.propose.records import ColumnMatch, TableMatch
from mappers.propose.sides import TableWords

_SURE = 0.92
_AUDIT = frozenset(("created", "updated", "deleted", "id"))


def split_off(
    matches: Sequence[TableMatch], sources: Mapping[str, TableWords], targets: Mapping[str, TableWords], known: Known
) -> list[TableMatch]:
    """Target tables that nothing fills and whose every telling column is left over in one matched source table."""
    taken = {match.target.full_name for match in matches}
    made: list[TableMatch] = []
    for name, target in targets.items():
        owners = [match for match in matches if name not in taken and _points_at(target.table, match.target)]
        found = [split for owner in owners if (split := _split(owner, sources[owner.source.full_name], target, known))]
        if len(found) == 1:
            made.append(found[0])
    return made


def _points_at(table: Table, owner: Table) -> bool:
    """By its whole key, or by a unique column: one row for each of the owner's at most."""
    alone = {table.key, *(unique.columns for unique in table.uniques if not unique.partial)}
    return any(key.full_name == owner.full_name and key.columns in alone for key in table.references)


def _split(owner: TableMatch, source: TableWords, target: TableWords, known: Known) -> TableMatch | None:
    if len(source.table.key) != 1:
        return None
    pointing = next(key.columns[0] for key in target.table.references if key.full_name == owner.target.full_name)
    link = next((match for match in owner.columns if match.source == source.table.key[0] and match.live), None)
    if link is None or owner.target.column(link.target).type != target.table.column(pointing).type:
        return None
    key = ColumnMatch(pointing, source.table.key[0], link.expression, 0.9)
    rest = [
        match
        for match in match_columns(source, target, known)
        if match.target != pointing and match.source != key.source
    ]
    columns = (key, *(match for match in rest if match.confidence >= _SURE))
    telling = {c.column.name for c in target.columns if _tells(c.bare, c.column, target.table)} - {pointing}
    own = {
        m.target for m in columns if m.live and m.source not in {c.source for c in owner.columns if c.live}
    } & telling
    if len(own) < 2 or own != telling:
        return None
    order = {column.name: place for place, column in enumerate(target.table.columns)}
    ordered = tuple(sorted(columns, key=lambda match: order[match.target]))
    merge = merge_key(source.table, target.table, ordered)
    return TableMatch(source.table, target.table, 0.85, ordered, merge, note="split off")


def _tells(bare: tuple[str, ...], column: Column, table: Table) -> bool:
    return not (column.generated or (column.name in table.key and column.has_default) or _AUDIT.intersection(bare))
