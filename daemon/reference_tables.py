"""Reference tables of the source that lookups read as a whole: read at the start, and looked at again while running.

A lookup's answers are part of the mapping: rows made with other answers are rows of another mapping.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from daemon.config.model import Config
from mappers.errors import FatalError
from mappers.mapping import Entry, Table
from mappers.names import did_you_mean, split_name
from mappers.rows import Values
from mappers.rows_spec import FunctionFault, LookupFunction, Reference

ROWS_MAX = 100_000
"""They are held in memory by every process of the pipeline."""


class ReferenceSource(Protocol):
    """What is asked of the source."""

    def tables(self, names: Sequence[tuple[str, str]] | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables; an unknown one is absent."""

    def all_texts(self, table: Table, columns: Sequence[str], limit: int) -> list[tuple[str | None, ...]]:
        """At most so many rows of a table, as text."""


def reader(source: ReferenceSource) -> Reference:
    """Reads reference tables of this source. What it returns raises FunctionFault."""

    def read(name: str, key: Sequence[str], others: Sequence[str]) -> Mapping[Values, Values]:
        table = _table(source, name)
        known = [column.name for column in table.columns]
        for column in (*key, *others):
            if column not in known:
                raise FunctionFault(f"{table.full_name} has no column {column}", did_you_mean(column, known))
        rows = source.all_texts(table, [*key, *others], ROWS_MAX + 1)
        if len(rows) > ROWS_MAX:
            raise FunctionFault(
                f"{table.full_name} has more than {ROWS_MAX:,} rows", "migrate it, and join at the target"
            )
        found: dict[Values, Values] = {row[: len(key)]: row[len(key) :] for row in rows if None not in row[: len(key)]}
        if len(found) < sum(None not in row[: len(key)] for row in rows):
            raise FunctionFault(
                f"{', '.join(key)} is not unique in {table.full_name}", "name the columns of a unique key"
            )
        return found

    return read


def changed(config: Config, entries: Collection[Entry], source: ReferenceSource) -> None:
    """Raise FatalError where a reference table has other rows than the running mapping was made with."""
    read = reader(source)
    for entry in entries:
        made = {function.digest for function in entry.makers.functions}
        for spec in config.tables[entry.index].functions:
            if isinstance(spec, LookupFunction) and _digest(spec, read) not in made:
                raise FatalError(
                    f"the reference table {spec.lookup} changed: rows were made with what it had before",
                    where=entry.name,
                    hint=f"run with --rebackfill {entry.target.full_name} to make all rows anew, or with "
                    f"--accept-mapping {entry.target.full_name} to keep those that are there",
                )


def _digest(spec: LookupFunction, read: Reference) -> str:
    try:
        return spec.function(read).digest
    except FunctionFault as fault:
        return f"{fault.message}: {fault.hint}"


def _table(source: ReferenceSource, name: str) -> Table:
    try:
        wanted = split_name(name)
    except ValueError as error:
        raise FunctionFault(str(error), "write schema.table") from error
    found = source.tables([wanted])
    if not found:
        raise FunctionFault(f"the source has no table {'.'.join(wanted)}", "correct the name")
    (table,) = found.values()
    return table
