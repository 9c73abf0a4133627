"""What preparing a pipeline and its commands ask of a source besides what the stream does (`connectors.seams`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from connectors.keys import KeyForm
from connectors.seams import MissingGrant, Names, Pushdown, Source, TextRow
from connectors.sql.dialect import Dialect
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.mapping import Table


class SourceDatabase(Source, Protocol):
    """The old database. Not for several threads at once: each thread makes its own."""

    url: str

    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent.

        Types are in PostgreSQL's words, whatever the engine: every target's dialect reads those.
        """

    def all_texts(self, table: Table, columns: Sequence[str], limit: int) -> list[TextRow]:
        """At most so many rows of a table, as text, in no order."""

    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the role may not do with these tables."""

    def wires(self, table: Table, wanted: Collection[str]) -> tuple[WireColumn, ...]:
        """The wanted columns, in table order, as they travel. Raises ConfigError with each that does not."""

    def key_form(self, table: Table, key: Sequence[str], wires: Sequence[WireColumn]) -> KeyForm:
        """How keys are written and ordered. Raises ValueError for a key type that has no exact text form."""

    def functions(self) -> frozenset[str]:
        """Names of functions that a predicate over the source may call."""

    def pushdown(self, mapped: MappedTable, target: Dialect, locale: str) -> Pushdown:
        """Whether the source can run the projection as the target would. locale: the target's."""

    def rows_estimate(self, table: Table) -> int:
        """How many rows the table has: counted where that is quick, else as the planner believes."""

    def count_up_to(self, mapped: MappedTable, limit: int) -> int:
        """The table's rows, counted to at most `limit`."""
