"""From the user's `tables:` and both catalogues to resolved entries; or to every problem there is, all at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mappers.columns import Filling
from mappers.dialects import POSTGRESQL, Dialect
from mappers.errors import ConfigError, Problem
from mappers.grammar import Catalog
from mappers.keys import Report, carrier, check_exploded, check_traceable, source_key, target_key
from mappers.making import made_of, no_reference
from mappers.mapping import Entry, Table, TargetColumn
from mappers.names import did_you_mean
from mappers.rows_spec import Reference
from mappers.spec import TableSpec


def resolve(
    specs: Sequence[TableSpec],
    sources: Mapping[str, Table],
    targets: Mapping[str, Table],
    functions: Catalog,
    reference: Reference = no_reference,
    dialect: Dialect = POSTGRESQL,
) -> tuple[Entry, ...]:
    """One entry per spec. `sources` and `targets` are by `Table.full_name`. Raises ConfigError with all problems.

    reference: reads the tables that lookups name. dialect: the target's, in which the expressions are written.
    functions: what they may call, by `dialect.catalog`.
    """
    problems: list[Problem] = []
    entries: list[Entry] = []
    for index, spec in enumerate(specs):
        report = Report(index)
        source = _find(".".join(spec.source_name), sources, "from", "source", report)
        target = _find(".".join(spec.target_name), targets, "to" if spec.target else "from", "target", report)
        if source is not None and target is not None:
            makers = made_of(spec, source, reference, report)
            filling = Filling(spec, makers.extended(source), target, functions, dialect, makers, report)
            entry = _entry(spec, source, target, filling)
            if entry is not None:
                entries.append(entry)
        problems += report.problems
    problems += _fed_twice(specs)
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.path[1]))
    return tuple(entries)


def _find(name: str, tables: Mapping[str, Table], field: str, side: str, report: Report) -> Table | None:
    table = tables.get(name)
    if table is None:
        report.add((field,), f"the {side} has no table {name}", did_you_mean(name, tables))
    return table


def _fed_twice(specs: Sequence[TableSpec]) -> list[Problem]:
    """Merging several tables into one needs rules about who owns a row; this version has none, so it is refused."""
    first: dict[tuple[str, str], int] = {}
    problems: list[Problem] = []
    for index, spec in enumerate(specs):
        owner = first.setdefault(spec.target_name, index)
        if owner != index:
            problems.append(
                Problem(
                    ("tables", index, "to" if spec.target else "from"),
                    f"{'.'.join(spec.target_name)} is already fed by entry {owner} ({specs[owner].source})",
                    "one entry per target table: give this one a table of its own, or leave it out",
                )
            )
    return problems


def _entry(spec: TableSpec, source: Table, target: Table, filling: Filling) -> Entry | None:
    report, makers = filling.report, filling.makers
    filling.run()
    identity = source_key(source, spec.source_key, report)
    key = target_key(target, tuple(spec.key or ()), filling.filled, filling.paths, report)
    filling.check_nulls(key)
    if not identity or not key:
        return None
    carried = carrier(identity, filling.filled)
    keys = {name: filling.filled[name] for name in key}
    derived = check_traceable(makers, source, identity, keys, bool(carried), report)
    if makers.explode is not None:
        derived = False
        check_exploded(makers.explode, identity, keys, carried, report)
    if report.problems:
        return None
    order = [column.name for column in target.columns if column.name in filling.filled]
    entry = Entry(
        index=report.index,
        source=source,
        target=target,
        source_key=identity,
        columns=tuple(TargetColumn(name, filling.filled[name]) for name in order),
        key=key,
        where=filling.where,
        carrier=carried,
        key_is_derived=derived,
        makers=makers,
        not_empty=spec.if_not_empty,
        ignores_new=spec.on_new_columns == "ignore",
        group=spec.group,
    )
    return replace(entry, fingerprint=fingerprint(entry))


def fingerprint(entry: Entry) -> str:
    """sha256 of everything that decides which rows the entry produces, and nothing else: not its place or group."""
    facts = {
        "source": entry.source.full_name,
        "target": entry.target.full_name,
        "source_key": entry.source_key,
        "key": entry.key,
        "columns": [(c.name, c.expression.sql, entry.target.column(c.name).type) for c in entry.columns],
        "where": entry.where.sql if entry.where else None,
        **({"makers": entry.makers.digests()} if entry.makers else {}),
        "inputs": [(name, entry.source.column(name).type) for name in sorted(entry.inputs)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
