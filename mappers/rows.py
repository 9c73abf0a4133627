"""What is made of a source row before it is staged: computed columns, and rows exploded into many. Pure.

A function sees the source's values in a neutral form (int, float, bool, bytes; everything else is the source's own
text) and gives values of the few types in `OUTPUTS`. It is deterministic, or verification would call its rows
different: it must not look at a clock, a random number, or anything but its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mappers.errors import RecordError
from mappers.tables import Column, Table

Values = tuple[object, ...]
OUTPUTS: Mapping[str, type | tuple[type, ...]] = {
    "text": str,
    "bigint": int,
    "numeric": str,
    "double precision": float,
    "boolean": bool,
    "bytea": bytes,
    "uuid": str,
    "jsonb": str,
}
"""Type of a computed column, as the mapping's expressions see it -> the Python type of its values."""
BIGINT = 1 << 63
PLACE = "changeover.place"
"""The column of an element's place where the mapping names none."""


@dataclass(frozen=True, slots=True)
class RowFunction:
    """Columns computed from a row. call: rows of input values -> rows of output values, as many and in that order.

    name: as the configuration has it. outputs: (column, type of `OUTPUTS`). digest: tells it from another one of the
    same name. unique: different inputs always give different outputs, so that it may make a key. strict: NULL is given
    only where an input is NULL.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    digest: str
    call: Callable[[Sequence[Values]], Sequence[Values]] = field(compare=False)
    unique: bool = False
    strict: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """The computed columns, as if the source table had them."""
        return tuple(Column(name, kind) for name, kind in self.outputs)


@dataclass(frozen=True, slots=True)
class Explode:
    """One row becomes one for every element of a list. items: an input's values -> the elements, or None.

    item: the column that holds an element; nullable: whether an element may be null. ordinal: the column that holds its
    place, from 1. first_only: of equal target keys the first element counts; else they are refused.
    """

    name: str
    inputs: tuple[str, ...]
    item: str
    ordinal: str
    first_only: bool
    nullable: bool
    digest: str
    items: Callable[[Values], Sequence[str | None]] = field(compare=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that an element makes, as if the source table had them."""
        item = Column(self.item, "text", nullable=self.nullable)
        return item, Column(self.ordinal, "bigint", nullable=False)


@dataclass(frozen=True, slots=True)
class Makers:
    """All that is made of the rows of one entry before they are staged; nothing, as a rule."""

    functions: tuple[RowFunction, ...] = ()
    explode: Explode | None = None

    def __bool__(self) -> bool:
        return bool(self.functions or self.explode)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The made columns, in the order in which `made` gives their values."""
        computed = tuple(column for function in self.functions for column in function.columns)
        return computed + (self.explode.columns if self.explode else ())

    @property
    def inputs(self) -> frozenset[str]:
        """The source columns that they read."""
        parts = [*(function.inputs for function in self.functions), self.explode.inputs if self.explode else ()]
        return frozenset(name for part in parts for name in part)

    def reads(self, column: str) -> frozenset[str]:
        """The source columns behind a column: those that it is made of, or itself."""
        for function in self.functions:
            if any(column == name for name, _ in function.outputs):
                return frozenset(function.inputs)
        if self.explode and column in (self.explode.item, self.explode.ordinal):
            return frozenset(self.explode.inputs)
        return frozenset((column,))

    def opaque(self) -> frozenset[str]:
        """Made columns of which equal values do not prove equal inputs."""
        made = {name for function in self.functions if not function.unique for name, _ in function.outputs}
        return frozenset(made | ({self.explode.item, self.explode.ordinal} if self.explode else set()))

    def extended(self, source: Table) -> Table:
        """The source table with the made columns behind its own."""
        if not self:
            return source
        nullable = {column.name for column in source.columns if column.nullable}
        never = {n for f in self.functions if f.strict and nullable.isdisjoint(f.inputs) for n, _ in f.outputs}
        made = (replace(column, nullable=column.nullable and column.name not in never) for column in self.columns)
        return replace(source, columns=(*source.columns, *made))

    def digests(self) -> tuple[str, ...]:
        """What tells these makers from others, for the mapping's fingerprint."""
        return (*(function.digest for function in self.functions), self.explode.digest if self.explode else "")

    def made(self, rows: Sequence[Mapping[str, object]]) -> Iterator[Sequence[Values]]:
        """For each row the values of the made columns, once for every row that it becomes; none for an empty list.

        rows: the source's columns in neutral form; one that is not there did not travel, and what is made of it is
        None. Raises RecordError where a function raises, or gives what it must not.
        """
        computed = [_computed(function, rows) for function in self.functions]
        for number, row in enumerate(rows):
            values = tuple(value for column in computed for value in column[number])
            yield (
                [values] if self.explode is None else [(*values, *element) for element in _elements(self.explode, row)]
            )


NOTHING = Makers()


def _computed(function: RowFunction, rows: Sequence[Mapping[str, object]]) -> list[Values]:
    nothing: Values = (None,) * len(function.outputs)
    whole = [number for number, row in enumerate(rows) if all(name in row for name in function.inputs)]
    made = [nothing] * len(rows)
    if whole:
        inputs = [tuple(rows[number][name] for name in function.inputs) for number in whole]
        for number, values in zip(whole, _called(function, inputs), strict=True):
            made[number] = values
    return made


def _called(function: RowFunction, inputs: Sequence[Values]) -> list[Values]:
    try:
        results = list(function.call(inputs))
    except RecordError:
        raise
    except Exception as error:  # the user's own code: whatever it raises, the row is at fault until it is mended
        raise _refusal(function.name, f"raised {type(error).__name__}") from error
    if len(results) != len(inputs):
        raise _refusal(function.name, f"gave {len(results)} rows for {len(inputs)}")
    return [_checked(function, values) for values in results]


def _checked(function: RowFunction, values: object) -> Values:
    if not isinstance(values, tuple | list) or len(values) != len(function.outputs):
        raise _refusal(function.name, f"gave something else than {len(function.outputs)} values for a row")
    for value, (name, kind) in zip(values, function.outputs, strict=True):
        if value is None:
            continue
        wanted = OUTPUTS[kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean"):
            raise _refusal(function.name, f"gave {type(value).__name__} for {name}, which is {kind}")
        if kind == "bigint" and not -BIGINT <= int(str(value)) < BIGINT:
            raise _refusal(function.name, f"gave a number beyond bigint for {name}")
    return tuple(values)


def _elements(explode: Explode, row: Mapping[str, object]) -> list[Values]:
    if not all(name in row for name in explode.inputs):
        return []
    items = explode.items(tuple(row[name] for name in explode.inputs))
    return [(item, place) for place, item in enumerate(items, start=1)]


def _refusal(name: str, what: str) -> RecordError:
    return RecordError(f"{name} {what}", hint="mend the function or the row, then `changeover dlq retry`")
