"""From a resolved entry to the SELECT that makes target rows of source rows, and what a missing value means for it.

The SQL may hold a percent sign (LIKE, modulo): a driver that looks for parameters in it must be told not to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mappers.mapping import Entry, Expression
from mappers.names import qualified, quote

__all__ = ["Affected", "affected", "projection", "qualified", "quote", "select_list"]


@dataclass(frozen=True, slots=True)
class Affected:
    """What values that did not travel mean for a row.

    untouched: target columns that stay as the target has them. resync: the row cannot be made without them, and must
    be read from the source again; `untouched` is then empty.
    """

    untouched: frozenset[str] = frozenset()
    resync: bool = False


def select_list(entry: Entry) -> str:
    """What the projection selects: every written target column by its name, in the entry's order."""
    return ", ".join(f"{column.expression.sql} AS {quote(column.name)}" for column in entry.columns)


def projection(entry: Entry, relation: str) -> str:
    """The SELECT over `relation`, which is SQL: a quoted table name, or a subselect in brackets."""
    where = f" WHERE {entry.where.sql}" if entry.where else ""
    return f"SELECT {select_list(entry)} FROM {relation} AS s{where}"


def affected(entry: Entry, missing: frozenset[str]) -> Affected:
    """What to do with a row of which the source columns `missing` did not travel (unchanged TOAST).

    A target column all of whose inputs are missing is unchanged, since none of them changed. A mix cannot be computed;
    nor can the filter, or the target key, or the source key, once anything they read is missing.
    """
    needed: list[Expression] = [entry.expression(name) for name in entry.key]
    if entry.where:
        needed.append(entry.where)
    if not missing.isdisjoint(entry.source_key) or _any_missing(needed, missing):
        return Affected(resync=True)
    touched = [column for column in entry.columns if not column.expression.inputs.isdisjoint(missing)]
    if any(not column.expression.inputs <= missing for column in touched):
        return Affected(resync=True)
    return Affected(frozenset(column.name for column in touched))


def _any_missing(expressions: Iterable[Expression], missing: frozenset[str]) -> bool:
    return any(not expression.inputs.isdisjoint(missing) for expression in expressions)
