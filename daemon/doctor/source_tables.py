"""The mapped tables at the source: published, readable, and with rows that can be told apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.sql import Identifier

from daemon.connector.plan import keys_of
from daemon.connector.source_checks import table_problems
from daemon.doctor.case import SOURCE, Case
from daemon.doctor.databases import grants, row_security, unlogged
from daemon.doctor.findings import Check, Fault, How, Verdict, fail, warn
from daemon.doctor.source import made
from daemon.doctor.words import counted, listed
from mappers.errors import Problem
from mappers.names import closest

NEED = (SOURCE,)


def _tables(case: Case) -> Verdict:
    there = case.source.side.tables
    faults = []
    for name in case.source_names:
        if name not in there:
            near = closest(name, there)
            mend = f"from: {near}" if near else "from: the table's exact name, schema.table"
            faults.append(fail("there is no such table", mend, How.FILE, name))
    return faults or counted(len(there), "table")


def _keys(case: Case) -> Verdict:
    keys = keys_of(case.config)
    faults = [
        _fault(table.full_name, problem)
        for table in case.source.side.tables.values()
        for problem in table_problems(table, keys.get((table.schema, table.name), ()))
    ]
    return faults or "every change says which row it means"


def _fault(table: str, problem: Problem) -> Fault:
    """The statement alone, and what else could be done as a comment behind it."""
    if not problem.hint:
        return fail(problem.message, "source_key: columns that the table has", How.FILE, table)
    statement, _, rest = problem.hint.partition("; ")
    return fail(problem.message, f"{statement} -- {rest}" if rest else statement, How.SOURCE, table)


def _partitions(case: Case) -> Verdict:
    identities = {name: table.replica_identity for name, table in case.source.side.tables.items()}
    faults = [
        fail(
            f"the replica identity of its partition {partition} is not the same, and that one decides",
            f"ALTER TABLE {quoted} REPLICA IDENTITY {'FULL' if identities.get(parent) == 'f' else 'DEFAULT'}",
            How.SOURCE,
            parent,
        )
        for parent, partition, quoted in case.source.partitions
    ]
    return faults or "all have their table's replica identity"


def _whole(case: Case) -> Verdict:
    """A partition by itself: with publish_via_partition_root its changes travel under its root's name."""
    faults = [
        fail("it is a partition: its changes travel as its root's", "from: the partitioned table", How.FILE, name)
        for name, state in case.source.side.table_states.items()
        if state.is_partition
    ]
    return faults or "none is a partition of another"


def _publication(case: Case) -> Verdict:
    name, found = case.config.source.publication, case.source.publication
    quoted = Identifier(name).as_string()
    if found is None:
        tables = ", ".join(f"ONLY {_quoted(case, table)}" for table in case.source_names)
        otherwise = f"CREATE PUBLICATION {quoted} FOR TABLE {tables} WITH (publish_via_partition_root = true)"
        return [fail(f"there is no publication {name} yet", *_sql(case, otherwise))]
    if case.managed and found.owner != case.config.pipeline:
        whose = f"belongs to pipeline {found.owner}" if found.owner else "was not made by Changeover"
        return [fail(f"{name} {whose}", "source.publication: a name of its own", How.FILE)]
    if not found.complete:
        mend = f"ALTER PUBLICATION {quoted} SET (publish = 'insert, update, delete, truncate', "
        seen = f"{name} does not publish all operations, with partitions as their root"
        return [fail(seen, f"{mend}publish_via_partition_root = true)", How.SOURCE)]
    return f"{name} publishes all operations"


def _sql(case: Case, statement: str) -> tuple[str, How]:
    return made(case, "") if case.managed else (statement, How.SOURCE)


def _published(case: Case) -> Verdict:
    if case.source.publication is None:
        return []
    faults = list(_unpublished(case))
    extra = sorted(case.source.published.keys() - case.source_names.keys())
    if case.managed and extra and not faults:
        seen = f"it also publishes {listed(extra)}, which costs the source for nothing"
        faults.append(warn(seen, *made(case, "")))
    return faults or "just the mapped tables, whole"


def _unpublished(case: Case) -> Iterator[Fault]:
    publication = Identifier(case.config.source.publication).as_string()
    for name in case.source.side.tables:
        quoted = _quoted(case, name)
        add = f"ALTER PUBLICATION {publication} ADD TABLE ONLY {quoted}"
        if name not in case.source.published:
            seen = "it is not in the publication: its changes do not travel (verify it after mending)"
            yield fail(seen, add, How.SOURCE, name)
        elif case.source.published[name]:
            mend = f"ALTER PUBLICATION {publication} DROP TABLE {quoted};\n{add}"
            seen = "a row filter or a column list keeps changes back (verify it after mending)"
            yield fail(seen, mend, How.SOURCE, name)


def _quoted(case: Case, table: str) -> str:
    return Identifier(*case.source_names[table]).as_string()


def _grants(case: Case) -> Verdict:
    return grants(case.source.side, How.SOURCE)


def _unlogged(case: Case) -> Verdict:
    return unlogged(case.source.side, How.SOURCE, "its changes are in no log, and never travel")


def _row_security(case: Case) -> Verdict:
    return row_security(case.source.side, How.SOURCE)


CHECKS = (
    Check("tables", "every mapped table is there", _tables, NEED),
    Check("not partitions", "partitions are mapped as their root", _whole, NEED),
    Check("keys", "every table has a key, and its replica identity carries it", _keys, NEED),
    Check("partitions", "every partition has its table's replica identity", _partitions, NEED),
    Check("grants", "the role may read every mapped table", _grants, NEED),
    Check("row security", "row level security hides no rows from the role", _row_security, NEED),
    Check("unlogged", "no mapped table is unlogged", _unlogged, NEED),
    Check("publication", "it is there, ours, and publishes all operations", _publication, NEED),
    Check("published tables", "it publishes the mapped tables, whole", _published, NEED),
)
