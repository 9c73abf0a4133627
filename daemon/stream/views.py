"""The stream's view of a table's chunks and key fences, cached until the table's version rises."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from connectors.change import Change, Key
from connectors.chunks import Bound
from connectors.control.store import ControlStore
from connectors.keys import finder
from connectors.seams import Source
from connectors.snapshot import Snapshot, widen
from connectors.tables import MappedTable
from daemon.handover import Chunk, Decision, View, decide_truncate, settled_from


@dataclass(frozen=True, slots=True)
class _Cached:
    version: int
    chunks: tuple[Chunk, ...]
    bounds: tuple[Bound, ...]
    find: Callable[[Key], int] | None
    fences_end: int
    settled_from: int | None
    parked: frozenset[str]


class Views:
    """Makes the view that decides about one slice. One thread only."""

    def __init__(self, control: ControlStore, source: Source) -> None:
        self._control = control
        self._source = source
        self._cached: dict[str, _Cached] = {}

    def of(
        self,
        connection: Connection,
        mapped: MappedTable,
        version: int,
        changes: Collection[Change],
        reference: int,
        read_again: int,
    ) -> View:
        """The view for these changes, as of the caller's transaction (whose positions are locked)."""
        cached = self._cached.get(mapped.name)
        if cached is None or cached.version != version:
            cached = self._cached[mapped.name] = self._load(connection, mapped, version)
        early = self._early(cached, changes, reference)
        return View(
            chunk_of=self._chunk_of(cached, mapped, early) if early else _no_chunk,
            fences=self._fences(connection, mapped, cached, early) if early else {},
            parked=_parked(cached, mapped, changes),
            settled_from=cached.settled_from,
            reference=reference,
            emptied=partial(self._emptied, connection, mapped.name, cached),
            read_again=read_again,
        )

    def _emptied(self, connection: Connection, table: str, cached: _Cached, xid: int) -> Decision:
        fences = self._control.fences.snapshots(connection, table) if cached.fences_end else ()
        return decide_truncate(xid, cached.chunks, fences)

    def _load(self, connection: Connection, mapped: MappedTable, version: int) -> _Cached:
        rows = self._control.chunks.all(connection, mapped.name)
        chunks = tuple(Chunk(row.state, row.snapshot) for row in rows)
        bounds = tuple(row.lower for row in rows if row.lower is not None)
        end = self._control.fences.end(connection, mapped.name)
        settled = settled_from(chunks, end, end)
        parked = self._control.dead_letters.keys(connection, mapped.name)
        return _Cached(version, chunks, bounds, finder(mapped.form, bounds), end, settled, parked)

    def _early(self, cached: _Cached, changes: Collection[Change], reference: int) -> list[Key]:
        """Keys of the changes that a chunk or a fence decides about."""
        settled = cached.settled_from
        keys = (
            c.key
            for c in changes
            if c.xid is not None and c.key and (settled is None or widen(c.xid, reference) < settled)
        )
        return list(dict.fromkeys(keys))

    def _fences(
        self, connection: Connection, mapped: MappedTable, cached: _Cached, keys: list[Key]
    ) -> dict[Key, Snapshot]:
        if not cached.fences_end:
            return {}
        names = {mapped.form.name(key): key for key in keys}
        found = self._control.fences.get(connection, mapped.name, names.keys())
        return {names[name]: snapshot for name, snapshot in found.items()}

    def _chunk_of(self, cached: _Cached, mapped: MappedTable, keys: list[Key]) -> Callable[[Key], Chunk]:
        chunks = cached.chunks
        if cached.find is not None:
            find = cached.find
            return lambda key: chunks[find(key)]
        texts = [mapped.form.texts(key) for key in keys]
        numbers = self._source.locate(mapped.table, mapped.form, cached.bounds, texts)
        located = dict(zip(keys, numbers, strict=True))
        return lambda key: chunks[located[key]]


def _parked(cached: _Cached, mapped: MappedTable, changes: Collection[Change]) -> frozenset[Key]:
    if not cached.parked:
        return frozenset()
    return frozenset(c.key for c in changes if c.key and mapped.form.name(c.key) in cached.parked)


def _no_chunk(key: Key) -> Chunk:
    raise AssertionError("every event of this slice is past all chunks and fences")
