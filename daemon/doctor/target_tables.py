"""What the target tables would refuse although the source has it: uniqueness, checks, texts that count as equal. Pure.

An entry that fills a target column from a source column as it is hands on what the source guarantees about it.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.postgresql.doctor import CheckConstraint, Index
from daemon.doctor.case import CONTROL, MAPPING, SOURCE, TARGET, Case
from daemon.doctor.findings import Check, Fault, How, Verdict, fail, warn
from daemon.doctor.words import counted, listed
from mappers.expressions import plain_column
from mappers.mapping import Entry
from mappers.names import readable

NEED = (SOURCE, TARGET, MAPPING)


def plain_columns(entry: Entry) -> dict[str, str]:
    """Target column -> the source column that fills it as it is."""
    found = {column.name: plain_column(column.expression) for column in entry.columns}
    return {name: column for name, column in found.items() if column is not None}


def _indexes(case: Case, table: str) -> list[Index]:
    return [index for index in case.target.side.indexes if index.table == table]


def _key_index(case: Case) -> Verdict:
    """Rows are merged by ON CONFLICT over the key, which takes every unique index over it, or fails on one."""
    faults: list[Fault] = []
    for entry in case.mapping.entries:
        name = entry.target.full_name
        over = [index for index in _indexes(case, name) if set(index.columns) == set(entry.key) and not index.partial]
        table, columns = readable(entry.target.schema, entry.target.name), ", ".join(map(readable, entry.key))
        for index in (index for index in over if index.deferrable):
            kind = "PRIMARY KEY" if index.is_primary else "UNIQUE"
            seen = f"{index.name} is DEFERRABLE, and rows cannot be merged on it"
            faults.append(fail(seen, f"{index.drop}, ADD {kind} ({columns})", How.TARGET, name))
        if not any(index.arbiter or index.deferrable for index in over):
            seen = f"no valid unique index over ({columns}) that rows can be merged on"
            faults.append(fail(seen, f"CREATE UNIQUE INDEX CONCURRENTLY ON {table} ({columns})", How.TARGET, name))
    return faults or "every target key has its unique index"


def _carrier_index(case: Case) -> Verdict:
    """Where the target key is not the source's, rows are found by the columns that carry the source key."""
    faults = []
    for entry in case.mapping.entries:
        carried = () if entry.key_is_derived else entry.carrier
        firsts = [set(index.columns[: len(carried)]) for index in _indexes(case, entry.target.full_name)]
        if carried and set(carried) not in firsts:
            table, columns = readable(entry.target.schema, entry.target.name), ", ".join(map(readable, carried))
            seen = f"rows are found by ({columns}), which has no index: every change reads the whole table"
            mend = f"CREATE INDEX CONCURRENTLY ON {table} ({columns})"
            faults.append(warn(seen, mend, How.TARGET, entry.target.full_name))
    return faults or "rows are found by an index"


def _uniques(case: Case) -> Verdict:
    """Unique and exclusion constraints besides the key, which nothing at the source keeps."""
    faults: list[Fault] = []
    for entry in case.mapping.entries:
        for index in _indexes(case, entry.target.full_name):
            if (index.is_unique or index.is_exclusion) and set(index.columns) != set(entry.key):
                faults += _unkept(case, entry, index)
    return faults or "none that the source does not keep"


def _unkept(case: Case, entry: Entry, index: Index) -> Iterator[Fault]:
    plain = plain_columns(entry)
    kept = [i for i in case.source_indexes if i.table == entry.source.full_name and i.arbiter]
    inside = [plain.get(column) for column in index.columns]
    if not index.partial and not index.is_exclusion and any(set(i.columns) <= set(inside) for i in kept):
        return
    seen = f"{index.definition.partition(' USING ')[2] or index.definition}: nothing at the source keeps it"
    filled = all(column is not None for column in inside)
    if index.partial or index.is_exclusion or not filled or not inside:
        mend, how = f"{index.drop} -- until the cutover, or make sure that the source keeps it", How.TARGET
    else:
        table = readable(entry.source.schema, entry.source.name)
        columns = ", ".join(readable(column) for column in inside if column is not None)
        mend, how = f"CREATE UNIQUE INDEX CONCURRENTLY ON {table} ({columns})", How.SOURCE
    yield warn(seen, mend, how, f"{entry.target.full_name}.{index.name}")


def _checks(case: Case) -> Verdict:
    """Check constraints that the source does not have as well."""
    faults = []
    for entry in case.mapping.entries:
        theirs = [c for c in case.source_checks if c.table == entry.source.full_name]
        for check in case.target.side.checks:
            if check.table == entry.target.full_name and not _same(check, theirs, entry):
                mend = f"{check.drop} -- until the cutover, or make sure that every source row meets it"
                seen = f"{check.definition}: a row that does not meet it stops the pipeline"
                faults.append(warn(seen, mend, How.TARGET, f"{check.table}.{check.name}"))
    return faults or "none that the source does not have as well"


def _same(check: CheckConstraint, theirs: list[CheckConstraint], entry: Entry) -> bool:
    """Whether the source has the same constraint on columns that are handed on under the same names."""
    plain = plain_columns(entry)
    handed_on = all(plain.get(column) == column for column in check.columns)
    return handed_on and any(check.definition == other.definition for other in theirs)


def _collations(case: Case) -> Verdict:
    """Unique columns in which the target takes different texts for one."""
    faults = []
    inexact = {(text.table, text.column): text for text in case.target.side.texts}
    same = {(text.table, text.column): text.why for text in case.source_texts}
    for entry in case.mapping.entries:
        plain = plain_columns(entry)
        unique = {c: i for i in _indexes(case, entry.target.full_name) if i.is_unique for c in i.columns}
        for column in unique:
            text = inexact.get((entry.target.full_name, column))
            origin = (entry.source.full_name, plain.get(column, ""))
            if text is None or (same.get(origin) == text.why and _unique_there(case, *origin)):
                continue
            level = fail if column in entry.key else warn
            seen = f"{text.why}: texts that differ at the source collide in {unique[column].name}"
            faults.append(level(seen, text.exact, How.TARGET, f"{text.table}.{column}"))
    return faults or "none takes different texts for one"


def _unique_there(case: Case, table: str, column: str) -> bool:
    return any(i.table == table and i.arbiter and i.columns == (column,) for i in case.source_indexes)


def empty(case: Case) -> Verdict:
    """Before its backfill a target table must be empty, or its rows declared."""
    loaded = {chunk.table for chunk in case.control.chunks}
    faults = []
    for spec in case.config.tables:
        source, target = ".".join(spec.source_name), ".".join(spec.target_name)
        if source in loaded or spec.if_not_empty == "keep" or target not in case.filled:
            continue
        emptied = "DELETE FROM" if case.config.target.kind == "sqlite" else "TRUNCATE"
        mend = f"{emptied} {readable(*spec.target_name)} -- or if_not_empty: keep, where its rows belong beside the new"
        faults.append(fail("it has rows, and nobody knows whose they are", mend, How.TARGET, target))
    filled = sorted(case.filled)
    return faults or (f"{counted(len(filled), 'table')} with rows: {listed(filled)}" if filled else "all are empty")


CHECKS = (
    Check("empty", "tables are empty before their backfill, or keep declared rows", empty, (TARGET, CONTROL)),
    Check("key index", "every target key has a unique index to merge on", _key_index, NEED),
    Check("lookup index", "rows that are found by the source's key have an index for it", _carrier_index, NEED),
    Check("unique constraints", "the source keeps every unique and exclusion constraint too", _uniques, NEED),
    Check("check constraints", "the source has every check constraint too", _checks, NEED),
    Check("collations", "no unique column takes different texts for one", _collations, NEED),
)
