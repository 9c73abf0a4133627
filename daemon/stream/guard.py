"""Notices that a source table is altered while its changes are applied, before anything is applied under a wrong idea.

A batch's tables are looked at in a snapshot that sees all its transactions: what they wrote is then no newer than the
catalogue of that look. Whatever comes without an event (a rename, a rewritten table, a partition with its rows) is
looked for now and then, and whenever somebody wants a proof.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from connectors.control.shapes import Stored
from connectors.seams import Source
from connectors.shape import Shape
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.drift import Differences, Drift, differences
from daemon.handover import must_wait_for
from mappers.errors import FatalError

log = logging.getLogger(__name__)
Keep = Callable[[str, Stored, Collection[str]], None]
"""Told of a table whose shape is another, though nothing has to stop: (table, what to store, doubts about its rows)."""


class ShapeGuard:
    """What is known of the tables, for one configuration. One thread only.

    stored: the shapes that the rows were made under.
    """

    def __init__(
        self, tables: Mapping[str, MappedTable], source: Source, stored: Mapping[str, Stored], keep: Keep
    ) -> None:
        self._tables = tables
        self._source = source
        self._stored = {name: stored.get(name, Stored(mapped.shape)) for name, mapped in tables.items()}
        self._keep = keep
        self._written: dict[str, str] = {}
        self._checked: dict[str, Snapshot] = {}

    @property
    def ignored(self) -> dict[str, tuple[str, ...]]:
        """Table -> columns that were added since it joined and are not read, as its entries say."""
        return {name: stored.ignored for name, stored in self._stored.items()}

    def read_again(self, table: str, partition: int) -> int:
        """The offset below which events of this partition may be of another shape than the table has now."""
        return self._stored[table].read_again.get(partition, 0)

    def unseen(self, xids: Mapping[str, Collection[int]]) -> list[str]:
        """The tables that were not looked at since these transactions, 32 bits wide, became visible."""
        return [name for name, wanted in xids.items() if wanted and self._is_unseen(name, wanted)]

    def _is_unseen(self, name: str, xids: Iterable[int]) -> bool:
        checked = self._checked.get(name)
        return checked is None or must_wait_for(xids, checked)

    def look(self, names: Collection[str]) -> Snapshot | None:
        """Look at the columns of these tables; returns what the look saw, None for no tables. Raises FatalError."""
        if not names:
            return None
        identities = {name: self._tables[name].shape.identity for name in names}
        seen, written = self._source.written(identities.values())
        changed = [name for name, identity in identities.items() if written.get(identity) != self._written.get(name)]
        if changed:
            self.examine(changed)
        for name, identity in identities.items():
            self._written[name] = written[identity]
            self._checked[name] = seen
        return seen

    def examine(self, names: Collection[str]) -> None:
        """Look at everything about these tables. Raises FatalError where the pipeline must stop."""
        tables = {name: self._tables[name] for name in names}
        _, shapes = self._source.shapes([(mapped.table.schema, mapped.table.name) for mapped in tables.values()])
        for name, mapped in tables.items():
            self._compare(mapped, shapes.get(name))

    def _compare(self, mapped: MappedTable, now: Shape | None) -> None:
        stored = self._stored[mapped.name]
        found = differences(stored.shape, now, mapped.columns, self._renamed(stored.shape, now))
        if stops := [*found.stops, *_identity(mapped, now)]:
            raise FatalError(stops[0].what, where=f"source table {mapped.name}", hint=mend(mapped, stops[0]))
        if now is not None and now != stored.shape:
            self._take(mapped, stored, now, found)

    def _renamed(self, was: Shape, now: Shape | None) -> str | None:
        gone = now is None or now.identity != was.identity
        return self._source.name_of(was.identity) if gone else None

    def _take(self, mapped: MappedTable, stored: Stored, now: Shape, found: Differences) -> None:
        for doubt in found.doubts:
            log.warning("%s: its rows are verified", doubt, extra={"table": mapped.name})
        ignored = _ignored(mapped, stored, now, found.added)
        for column in sorted(set(ignored) - set(stored.ignored)):
            log.warning("column %s was added and is ignored", column, extra={"table": mapped.name})
        kept = replace(stored, shape=now, ignored=ignored)
        self._keep(mapped.name, kept, [f"{mapped.name}: {doubt}" for doubt in found.doubts])
        self._stored[mapped.name] = kept


def _ignored(mapped: MappedTable, stored: Stored, now: Shape, added: Collection[str]) -> tuple[str, ...]:
    new = added if mapped.ignores_new else ()
    return tuple(sorted({*stored.ignored, *new} & now.columns.keys() - set(mapped.columns)))


def _identity(mapped: MappedTable, now: Shape | None) -> list[Drift]:
    """What a process that counts on whole rows in its events must not go on without."""
    if now is None or mapped.shape.rows_identity != "f" or now.rows_identity == "f":
        return []
    return [Drift("its replica identity is not FULL any more", "ALTER TABLE .. REPLICA IDENTITY FULL, or leave it so")]


def mend(mapped: MappedTable, drift: Drift) -> str:
    """What a person is to do about it."""
    target = mapped.entries[0].target.full_name
    kept = "are as they were" if drift.kept else "are right all the same"
    decide = f"run with --rebackfill {target} to make its rows anew, or --accept-mapping {target} if they {kept}"
    return f"{drift.hint}; then {decide}" if drift.hint else decide
