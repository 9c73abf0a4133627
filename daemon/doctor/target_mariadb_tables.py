"""What the tables of a MariaDB or MySQL target would refuse although the source has it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.mariadb.doctor import Index
from connectors.mariadb.grants import ticked
from daemon.doctor.case import MAPPING, SOURCE, TARGET, Case
from daemon.doctor.findings import Check, Fault, How, Verdict, warn
from daemon.doctor.target_mariadb import alter
from daemon.doctor.target_tables import plain_columns
from mappers.mapping import Column, Entry, Table

BOTH = (SOURCE, TARGET, MAPPING)


def _charsets(case: Case) -> Verdict:
    faults = [
        warn(
            f"its character set is {column.collation.partition('_')[0]}: rows with other characters are set aside",
            alter(entry.target, f"MODIFY {ticked(column.name)} {column.type.partition(' character set ')[0]} ..")
            + " CHARACTER SET utf8mb4",
            How.TARGET,
            f"{entry.target.full_name}.{column.name}",
        )
        for entry in case.mapping.entries
        for column in _written(entry)
        if column.collation and not column.collation.startswith("utf8mb4_")
    ]
    return faults or "utf8mb4, as far as rows are written"


def _written(entry: Entry) -> list[Column]:
    return [entry.target.column(column.name) for column in entry.columns]


def _collations(case: Case) -> Verdict:
    """Unique columns in which the target takes different texts for one."""
    faults = []
    for entry in case.mapping.entries:
        unique = {c: i for i in _indexes(case, entry.target) if i.unique for c in i.columns}
        for name, index in unique.items():
            column = entry.target.column(name)
            if not column.collation or column.collation_c or column.labels:
                continue
            plain = column.type.partition(" character set ")[0]
            mend = alter(entry.target, f"MODIFY {ticked(name)} {plain} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
            seen = f"{column.collation}: texts that differ at the source collide in {index.name}, and are set aside"
            nullness = "" if column.nullable else " NOT NULL"
            faults.append(warn(seen, mend + nullness, How.TARGET, f"{entry.target.full_name}.{name}"))
    return faults or "none takes different texts for one"


def _indexes(case: Case, table: Table) -> list[Index]:
    return [index for index in case.mariadb.indexes if index.table == table.full_name]


def _lookup(case: Case) -> Verdict:
    """Rows that are found by the source's key need an index that begins with it."""
    faults = []
    for entry in case.mapping.entries:
        if entry.key_is_derived or not entry.carrier:
            continue
        firsts = [set(index.columns[: len(entry.carrier)]) for index in _indexes(case, entry.target)]
        if set(entry.carrier) not in firsts:
            columns = ", ".join(map(ticked, entry.carrier))
            seen = f"rows are found by ({columns}), which has no index: every change reads the whole table"
            faults.append(warn(seen, alter(entry.target, f"ADD INDEX ({columns})"), How.TARGET, entry.target.full_name))
    return faults or "rows are found by an index"


def _uniques(case: Case) -> Verdict:
    """Unique indexes besides the key, which nothing at the source keeps."""
    faults: list[Fault] = []
    for entry in case.mapping.entries:
        for index in _indexes(case, entry.target):
            if index.unique and (index.prefix or set(index.columns) != set(entry.key)):
                faults += _unkept(case, entry, index)
    return faults or "none that the source does not keep"


def _unkept(case: Case, entry: Entry, index: Index) -> Iterator[Fault]:
    filled = plain_columns(entry)
    inside = {filled.get(column) for column in index.columns}
    theirs = [*(set(u.columns) for u in entry.source.uniques if not u.partial), set(entry.source.key)]
    if index.prefix or not any(columns and columns <= inside for columns in theirs):
        seen = f"unique ({', '.join(index.columns)}){' by its first bytes' if index.prefix else ''}"
        mend = f"{index.drop} -- until the cutover, or make sure that the source keeps it"
        yield warn(f"{seen}: nothing at the source keeps it", mend, How.TARGET, f"{index.table}.{index.name}")


def _checks(case: Case) -> Verdict:
    """Check constraints; the source's are written in another language, so that all are said."""
    written = {entry.target.full_name for entry in case.mapping.entries}
    faults = [
        warn(
            f"{check.clause}: a row that does not meet it is set aside",
            f"{check.drop} -- until the cutover, or make sure that every source row meets it",
            How.TARGET,
            f"{check.table}.{check.name}",
        )
        for check in case.mariadb.checks
        if check.table in written
    ]
    return faults or "there are none"


CHECKS = (
    Check("lookup index", "rows that are found by the source's key have an index for it", _lookup, BOTH),
    Check("unique constraints", "the source keeps every unique index too", _uniques, BOTH),
    Check("check constraints", "said, since the source's may say something else", _checks, BOTH),
    Check("collations", "no unique column takes different texts for one", _collations, BOTH),
    Check("character sets", "every text that is written is utf8mb4", _charsets, BOTH),
)
