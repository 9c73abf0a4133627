"""Rows on their way into the staging table: the made columns are added, and a row becomes as many as its list has.

Rows that are gone, or whose list is empty, stand there once, marked as gone: their target rows are to go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from connectors.neutral import from_text, from_wire, to_text
from connectors.seams import Staged, StagedText
from connectors.tables import MappedTable
from mappers.rows import Values

BATCH_ROWS = 500
Neutral = dict[str, object]


def of_stream(part: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> Iterable[Staged]:
    """Rows of the stream. groups[i]: the columns that did not travel in group i + 1."""
    if not part.makers:
        return rows
    return _stream(part, rows, groups)


def of_text(part: MappedTable, rows: Iterable[StagedText]) -> Iterable[StagedText]:
    """Rows in the source's text form."""
    if not part.makers:
        return rows
    return _text(part, rows)


def _stream(part: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> Iterator[Staged]:
    read = _reader(part, [from_wire(wire) for wire in part.wires])
    sources = [read(row, gone, groups[group - 1] if group else frozenset()) for _, gone, group, row in rows]
    for (number, gone, group, row), made in zip(rows, part.makers.made(sources), strict=True):
        for values, left in _each(part, made, gone):
            yield number, left, group, (*row, *values)


def _text(part: MappedTable, rows: Iterable[StagedText]) -> Iterator[StagedText]:
    read = _reader(part, [from_text(wire) for wire in part.wires])
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH_ROWS)):
        sources = [read(row, gone, frozenset()) for _, gone, row in batch]
        for (number, gone, row), made in zip(batch, part.makers.made(sources), strict=True):
            for values, left in _each(part, made, gone):
                yield number, left, (*row, *map(to_text, values))


def _each(part: MappedTable, made: Sequence[Values], gone: bool) -> Iterator[tuple[Values, bool]]:
    """(values of the made columns, whether the row is gone): once at least."""
    if not made:
        yield (None,) * len(part.made), True
    for values in made[:1] if gone else made:
        yield values, gone


def _reader(
    part: MappedTable, converts: Sequence[Callable[[object], object]]
) -> Callable[[Sequence[object], bool, frozenset[str]], Neutral]:
    """A function from a row to its inputs in neutral form: those that are there."""
    wanted = [(i, name, converts[i]) for i, name in enumerate(part.columns) if name in part.makers.inputs]
    key = frozenset(part.form.columns)

    def read(row: Sequence[object], gone: bool, missing: frozenset[str]) -> Neutral:
        there = [one for one in wanted if one[1] not in missing and (not gone or one[1] in key)]
        return {name: None if row[i] is None else convert(row[i]) for i, name, convert in there}

    return read
