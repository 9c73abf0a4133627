"""MariaDB as a source: what is asked of it on one session, and snapshots held open for reading. MySQL by the same code
(not run against MySQL).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from connectors.chunks import Bound
from connectors.keys import KeyForm
from connectors.mariadb import binlog, shapes
from connectors.mariadb import source_keys as key_space
from connectors.mariadb.catalogue import load_tables
from connectors.mariadb.general_types import as_source
from connectors.mariadb.grants import missing_grants
from connectors.mariadb.keys import key_form
from connectors.mariadb.reading import MariadbReading, all_texts, snapshot_of
from connectors.mariadb.session import Raw, Value, connect, translated
from connectors.mariadb.wire import wire_columns
from connectors.seams import MissingGrant, Names, Pushdown, TextRow
from connectors.shape import Shape
from connectors.snapshot import Snapshot
from connectors.sql.dialect import Dialect
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.mapping import Table

SAMPLE_ABOVE_ROWS = 1 << 62
"""Chunk bounds come from a walk over the key's index, however large the table is."""
COUNTED_ROWS = 3_000_000
"""Tables that the planner believes to be smaller are counted."""
_ISOLATION = "REPEATABLE READ"
"""Consistent snapshots are there under no other."""


class MariadbSource:
    """One session for questions that are asked once a batch; readers of chunks and rows open their own.

    Not for several threads at once: each thread makes its own. settings: of its sessions, besides the pinned ones.
    """

    def __init__(self, url: str, *, timeout_s: int = 10, settings: Mapping[str, Value] | None = None) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._settings = settings
        self._raw: Raw | None = None
        self._reader: Raw | None = None

    def close(self) -> None:
        """Close the connections; the next call opens another."""
        for raw in (self._raw, self._reader):
            if raw is not None and raw.open:
                raw.close()
        self._raw = self._reader = None

    def raw(self) -> Raw:
        """The shared autocommit session, opened when needed. Values are read as text."""
        if self._raw is None or not self._raw.open:
            self._raw = self._connect()
        return self._raw

    def _connect(self, *, as_text: bool = True) -> Raw:
        settings, timeout_s = self._settings, self._timeout_s
        return connect(
            self.url, "source", timeout_s=timeout_s, settings=settings, isolation=_ISOLATION, as_text=as_text
        )

    @contextmanager
    def _asking(self) -> Iterator[Raw]:
        with translated("source", self.url):
            yield self.raw()

    def snapshot(self) -> Snapshot:
        """What a new snapshot of the source sees now."""
        with self._asking() as raw:
            seen = binlog.take_snapshot(raw)
            raw.commit()
            return seen

    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""
        with translated("source", self.url), closing(self._connect(as_text=False)) as raw:
            return {name: as_source(table) for name, table in load_tables(raw, names).items()}

    def all_texts(self, table: Table, columns: Sequence[str], limit: int) -> list[TextRow]:
        """At most so many rows of a table, as text, in no order."""
        with self._asking() as raw:
            return all_texts(raw, table, columns, limit)

    def written(self, identities: Iterable[str]) -> tuple[Snapshot, dict[str, str]]:
        """What tells that columns of these tables were added, dropped or altered, as `shapes.read_written`."""
        seen = self.snapshot()
        with self._asking() as raw:
            return seen, shapes.read_written(raw, identities)

    def shapes(self, names: Sequence[tuple[str, str]]) -> tuple[Snapshot, dict[str, Shape]]:
        """What these tables are, as `shapes.read_shapes`."""
        seen = self.snapshot()
        with self._asking() as raw:
            return seen, shapes.read_shapes(raw, names)

    def name_of(self, identity: str) -> str | None:
        """The name that a table has now, by its identity, which is its name; None where it is gone."""
        with self._asking() as raw:
            return identity if shapes.exists(raw, identity) else None

    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the account may not do with these tables."""
        with self._asking() as raw:
            return missing_grants(raw, names, ("SELECT",))

    def wires(self, table: Table, wanted: Collection[str]) -> tuple[WireColumn, ...]:
        """The wanted columns as they travel. Raises ConfigError with a problem for each that cannot."""
        with self._asking() as raw:
            zero_dates = binlog.allows_zero_dates(raw)
        return wire_columns(table, wanted, zero_dates=zero_dates)

    def key_form(self, table: Table, key: Sequence[str], wires: Sequence[WireColumn]) -> KeyForm:
        """How keys are written and ordered. Raises ValueError for a key type that has no exact text form."""
        return key_form(table, key, wires)

    def functions(self) -> frozenset[str]:
        """Names of functions that a predicate over the source may call: none."""
        return frozenset()

    def pushdown(self, mapped: MappedTable, target: Dialect, locale: str) -> Pushdown:
        """The target runs the projection."""
        return Pushdown(False, reason="the source is MariaDB: the target runs the projection")

    def planned_rows(self, table: Table) -> int:
        """How many rows the table has, as the planner believes now."""
        with self._asking() as raw:
            return key_space.planned_rows(raw, table)

    def rows_estimate(self, table: Table) -> int:
        """How many rows the table has: counted where that is quick, else as the planner believes."""
        if table.rows_estimate > COUNTED_ROWS:
            return table.rows_estimate
        with self._asking() as raw:
            return key_space.count_up_to(raw, table, 2 * COUNTED_ROWS)

    def count_up_to(self, mapped: MappedTable, limit: int) -> int:
        """The table's rows, counted to at most `limit`."""
        with self._asking() as raw:
            return key_space.count_up_to(raw, mapped.table, limit)

    def bounds(
        self, table: Table, key: Sequence[str], chunk_rows: int, sample_above: int = SAMPLE_ABOVE_ROWS
    ) -> list[Bound]:
        """Where to cut the table's key space so that a chunk has about `chunk_rows` rows, ascending."""
        with self._asking() as raw:
            return key_space.bounds(raw, table, key, chunk_rows)

    def locate(self, table: Table, form: KeyForm, bounds: Sequence[Bound], keys: Sequence[Sequence[str]]) -> list[int]:
        """The chunk of each key (in text form), by the collations of the table's columns."""
        with self._asking() as raw:
            return key_space.locate(raw, table, form, bounds, keys)

    def canonical(self, table: Table, form: KeyForm, keys: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Keys as the source itself would print them. Raises RecordError for one that cannot be a key."""
        return key_space.canonical(table, form, keys)

    @contextmanager
    def reading(self, table: Table) -> Iterator[MariadbReading]:
        """One state of the source on a session of its own; errors of the body stay its own.

        The session is kept for the next reading unless something went wrong on it.
        """
        raw = self._reader or self._connect()
        self._reader = None
        try:
            with translated("source", self.url):
                seen = snapshot_of(raw, table)
            yield MariadbReading(self.url, raw, seen)
            with translated("source", self.url):
                raw.commit()
        except BaseException:
            if raw.open:
                raw.close()
            raise
        self._keep(raw)

    def _keep(self, raw: Raw) -> None:
        spare, self._reader = self._reader, raw
        if spare is not None:  # a reading within a reading made its own
            spare.close()

    def rows_by_key(
        self, table: Table, form: KeyForm, columns: Sequence[str], keys: Sequence[Sequence[str]]
    ) -> tuple[Snapshot, dict[TextRow, TextRow]]:
        """Rows by key at one new snapshot; a key without a row is absent."""
        with self.reading(table) as reading:
            return reading.snapshot, reading.rows(table, form, columns, keys)
