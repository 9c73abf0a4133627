"""From an entry's `functions:` and `explode:` to what makes rows; or to every problem that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mappers.keys import Report
from mappers.mapping import Makers, Table
from mappers.names import did_you_mean
from mappers.rows import RowFunction, Values
from mappers.rows_spec import FunctionFault, FunctionSpec, LookupFunction, Reference
from mappers.spec import TableSpec


def no_reference(table: str, key: Sequence[str], others: Sequence[str]) -> Mapping[Values, Values]:
    """Where reference tables cannot be read. Raises FunctionFault."""
    raise FunctionFault(f"the reference table {table} cannot be read here", "use values instead")


def made_of(spec: TableSpec, source: Table, reference: Reference, report: Report) -> Makers:
    """What is made of the entry's source rows. Problems are reported; what is right is there afterwards."""
    taken = {column.name for column in source.columns}
    functions = [
        made for number, one in enumerate(spec.functions) if (made := _function(number, one, reference, report))
    ]
    for number, function in enumerate(functions):
        _check(function.inputs, [name for name, _ in function.outputs], source, taken, ("functions", number), report)
    explode = spec.explode.explode() if spec.explode else None
    if explode is not None:
        _check(explode.inputs, [column.name for column in explode.columns], source, taken, ("explode",), report)
    return Makers(tuple(functions), explode)


def _function(number: int, spec: FunctionSpec, reference: Reference, report: Report) -> RowFunction | None:
    try:
        return spec.function(reference) if isinstance(spec, LookupFunction) else spec.function()
    except FunctionFault as fault:
        report.add(("functions", number), fault.message, fault.hint)
        return None


def _check(
    inputs: Sequence[str],
    outputs: Sequence[str],
    source: Table,
    taken: set[str],
    path: Sequence[str | int],
    report: Report,
) -> None:
    """Inputs are columns that travel, outputs are new names."""
    known = {column.name: column for column in source.columns}
    for name in inputs:
        if name not in known:
            report.add(path, f"{source.full_name} has no column {name}", did_you_mean(name, known))
        elif known[name].generated:
            report.add(path, f"{source.full_name}.{name} is generated and does not travel", "use what it is made of")
    for name in outputs:
        if name in taken:
            report.add(path, f"there is a column {name} already", "give the made column another name")
        taken.add(name)
