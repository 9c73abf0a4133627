"""The mapping: does it resolve against both catalogues, and what does it make of each table? Pure."""

from __future__ import annotations

from daemon.connector.plan import keys_of
from daemon.connector.source_checks import table_problems
from daemon.doctor.case import MAPPING, SOURCE, TARGET, Case, MappingFault
from daemon.doctor.findings import Check, Fault, How, Skipped, Verdict, fail, note
from daemon.doctor.words import counted, listed, size
from mappers.mapping import Entry

AREA = "mapping"


def _file(case: Case) -> Verdict:
    return f"pipeline {case.config.pipeline}: {counted(len(case.config.tables), 'table')}"


def _resolves(case: Case) -> Verdict:
    """What `run` would refuse, except what another check says already."""
    if MAPPING in case.errors:
        return [fail(case.errors[MAPPING][0], case.errors[MAPPING][1] or "see the checks above", How.SETTING)]
    faults = [_fault(fault) for fault in case.mapping.faults if not _said(case, fault)]
    if not faults and case.mapping.faults:
        return Skipped("see what is said of the source's tables")
    return faults or "every column, expression and type fits"


def _fault(fault: MappingFault) -> Fault:
    return fail(fault.message, fault.hint or "correct it there", How.FILE, fault.place)


def _said(case: Case, fault: MappingFault) -> bool:
    """Whether the source's checks say it: a table that is not there, or whose rows cannot be told apart."""
    if len(fault.path) < 3 or fault.path[2] not in ("from", "source_key") or case.found_source is None:
        return False
    spec = case.config.tables[int(fault.path[1])]
    table = case.found_source.side.tables.get(".".join(spec.source_name))
    return table is None or any(table_problems(table, keys_of(case.config).get(spec.source_name, ())))


def _entries(case: Case) -> Verdict:
    """What becomes of every table, in a line."""
    notes = [note(_entry(entry), entry.name) for entry in case.mapping.entries]
    return notes or Skipped("the mapping does not resolve")


def _entry(entry: Entry) -> str:
    table = entry.source
    some = "all rows" if entry.where is None else "some rows"
    return (
        f"{some}, {counted(len(entry.columns), 'column')}, key {listed(entry.key)}; "
        f"about {table.rows_estimate:,} rows and {size(table.bytes_estimate)} at the source"
    )


CHECKS = (
    Check("file", "the configuration is read, and is whole", _file),
    Check("resolves", "tables, columns, expressions and types fit both catalogues", _resolves, (SOURCE, TARGET)),
    Check("entries", "said: what becomes of each table", _entries, (MAPPING, SOURCE)),
)
