"""What identifies a row on either side: the source key that the stream carries, the target key that rows merge on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mappers.errors import Problem
from mappers.expressions import is_injective, plain_column
from mappers.mapping import Expression, Makers, Table
from mappers.names import did_you_mean, readable
from mappers.rows import Explode


@dataclass(slots=True)
class Report:
    """Collects the problems of one entry of `tables:`."""

    index: int
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: Sequence[str | int], message: str, hint: str = "") -> None:
        """Notes a problem at `path` below the entry."""
        self.problems.append(Problem(("tables", self.index, *path), message, hint))


def source_key(source: Table, configured: Sequence[str] | None, report: Report) -> tuple[str, ...]:
    """The columns that identify a source row; empty where that is a problem."""
    before = len(report.problems)
    key = tuple(configured) if configured else source.key
    if not key:
        report.add(("from",), f"{source.full_name} has no primary key", mend_no_key(source))
        return ()
    if configured:
        _configured_key(source, configured, report)
    if len(report.problems) == before:
        _replica_identity(source, key, ("source_key",) if configured else ("from",), report)
    return key if len(report.problems) == before else ()


def mend_no_key(source: Table) -> str:
    """What gives a table without a primary key one; the statement comes first and can be run as it is."""
    table = readable(source.schema, source.name)
    taken = {column.name for column in source.columns}
    name = next(name for name in ("id", "row_id", "changeover_id") if name not in taken or name == "changeover_id")
    if source.storage:  # MariaDB: whole rows are in the log
        return (
            f"ALTER TABLE {table} ADD COLUMN {name} bigint AUTO_INCREMENT PRIMARY KEY; or set source_key to NOT NULL "
            "columns with a unique index"
        )
    return (
        f"ALTER TABLE {table} ADD COLUMN {name} bigserial PRIMARY KEY; or set source_key to NOT NULL columns with a "
        f"unique index and ALTER TABLE {table} REPLICA IDENTITY USING INDEX <that index>"
    )


def _configured_key(source: Table, key: Sequence[str], report: Report) -> None:
    table = readable(source.schema, source.name)
    columns = {column.name: column for column in source.columns}
    before = len(report.problems)
    for position, name in enumerate(key):
        column = columns.get(name)
        if column is None:
            hint = did_you_mean(name, columns)
            report.add(("source_key", position), f"{source.full_name} has no column {name}", hint)
        elif column.nullable:
            mend = f"ALTER TABLE {table} ALTER COLUMN {readable(name)} SET NOT NULL"
            report.add(("source_key", position), f"{name} may be NULL, so it cannot identify a row", mend)
        elif column.generated:
            report.add(("source_key", position), f"{name} is generated and does not travel", "choose a stored column")
    if len(report.problems) == before and not _unique(source, key):
        listed = ", ".join(readable(name) for name in key)
        report.add(
            ("source_key",),
            f"nothing keeps ({listed}) unique in {source.full_name}",
            f"CREATE UNIQUE INDEX CONCURRENTLY {readable(f'{source.name}_key')} ON {table} ({listed})",
        )


def _unique(table: Table, names: Sequence[str]) -> bool:
    return constraint(table, names) is not None


def _replica_identity(source: Table, key: Sequence[str], path: tuple[str], report: Report) -> None:
    """An UPDATE or DELETE must say which row it means: by the columns of the source key, or by all."""
    identity, table = source.replica_identity, f"ALTER TABLE {readable(source.schema, source.name)} REPLICA IDENTITY"
    primary = set(key) == set(source.key)
    mend = f"{table} DEFAULT" if primary else f"{table} USING INDEX <the unique index over the source key>"
    carried = {"f": set(key), "d": set(source.key), "i": set(source.replica_index)}.get(identity, set())
    if identity == "n":
        report.add(path, f"{source.full_name} has replica identity nothing: deletes do not say which row", mend)
    elif carried != set(key):
        listed = ", ".join(key)
        report.add(
            path,
            f"the replica identity of {source.full_name} is not the source key ({listed}): deletes do not carry it",
            f"{mend}; or {table} FULL",
        )


def constraint(table: Table, names: Sequence[str]) -> tuple[str, ...] | None:
    """The columns, in order, of the primary key or whole unique constraint over exactly these columns."""
    wanted = set(names)
    for columns in (table.key, *(unique.columns for unique in table.uniques if not unique.partial)):
        if wanted and set(columns) == wanted:
            return columns
    return None


def target_key(
    target: Table, configured: Sequence[str] | None, filled: Collection[str], tried: Collection[str], report: Report
) -> tuple[str, ...]:
    """The columns that identify a target row, in their constraint's order; empty where that is a problem.

    filled: the columns that have an expression. tried: those too of which the expression was refused.
    """
    names = tuple(configured) if configured else target.key
    table = readable(target.schema, target.name)
    if not names:
        report.add(
            ("key",),
            f"{target.full_name} has no primary key",
            f"ALTER TABLE {table} ADD PRIMARY KEY (<columns>); or name the columns of a unique constraint in key",
        )
        return ()
    known = {column.name for column in target.columns}
    if not known.issuperset(names):
        return ()  # reported where the columns are filled
    for name in names:
        if name not in tried and not configured:
            report.add(
                ("columns",), f"key column {name} of {target.full_name} is not filled", f"add {name}: <expression>"
            )
    columns = constraint(target, names)
    if columns is None:
        listed = ", ".join(readable(name) for name in names)
        report.add(
            ("key",),
            f"({listed}) is not a primary key or unique constraint of {target.full_name}",
            f"ALTER TABLE {table} ADD UNIQUE ({listed})",
        )
        return ()
    return columns if set(columns) <= set(filled) else ()


def carrier(source_key: Sequence[str], filled: Mapping[str, Expression]) -> tuple[str, ...]:
    """Target columns that hold the source key verbatim, in its order; empty unless all of it is held."""
    found: dict[str, str] = {}
    for name, expression in filled.items():
        column = plain_column(expression)
        if column is not None:
            found.setdefault(column, name)
    return tuple(found[name] for name in source_key) if all(name in found for name in source_key) else ()


def check_exploded(
    explode: Explode, key: Sequence[str], keys: Mapping[str, Expression], carried: Sequence[str], report: Report
) -> None:
    """Reports exploded rows that do not say which source row they are of, or which element."""
    listed = " and ".join(key)
    if not carried or not set(carried) <= keys.keys():
        hint = f"let key have a target column that carries {listed} verbatim"
        report.add(("key",), "an exploded row does not say which source row it is of", hint)
    if all(expression.inputs.isdisjoint(explode.inputs) for expression in keys.values()):
        hint = f"let key have a column made of {explode.item}"
        report.add(("key",), "every element of a list would make the same target row", hint)


def check_traceable(
    makers: Makers, source: Table, key: Sequence[str], keys: Mapping[str, Expression], carried: bool, report: Report
) -> bool:
    """Whether the target key is computed from the source key alone. Reports keys that lose track of their source row.

    keys: the expressions of the target key. A delete carries only the source key, and must find the target row by it.
    """
    derived = all(expression.inputs <= set(key) for expression in keys.values())
    listed = " and ".join(key)
    if carried:
        return derived
    if not derived:
        report.add(
            ("key",),
            "the target key is computed from columns that are not the source key",
            f"add a target column that carries {listed} verbatim",
        )
        return False
    types = {c.name: c.type for c in makers.extended(source).columns if c.name not in makers.opaque()}
    told = {next(iter(e.inputs)) for e in keys.values() if len(e.inputs) == 1 and is_injective(e, types)}
    if not told.issuperset(key):
        lost = " and ".join(name for name in key if name not in told)
        report.add(
            ("key",),
            f"two source rows could become one target row: the target key does not tell apart every {lost}",
            f"use {lost} itself, its text, or a constant joined to it; or add a target column that carries it verbatim",
        )
    return True
