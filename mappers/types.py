"""Whether the target's columns hold what the mapping makes. What fits what, the dialect says.

Anything that could lose or change a value needs a cast in the mapping: then it is a decision, and stands written there.
"""

from __future__ import annotations

from collections.abc import Sequence

from mappers.dialects import DIALECTS, POSTGRESQL, Dialect
from mappers.errors import Problem
from mappers.expressions import shown
from mappers.mapping import Entry


def widens(from_type: str, to_type: str, dialect: Dialect = POSTGRESQL) -> bool:
    """Whether every value of `from_type` can be assigned to `to_type` and stays the same value."""
    return dialect.typing.widens(from_type, to_type)


def compare_types(entry: Entry, described: Sequence[tuple[str, str]]) -> list[Problem]:
    """A problem for each target column that cannot hold what the mapping makes.

    described: (target column, type that the target found for its expression).
    """
    problems: list[Problem] = []
    for name, made in described:
        wanted, expression = entry.target.column(name).type, entry.expression(name)
        typing = DIALECTS[expression.engine].typing
        if not typing.fits(expression, made, wanted):
            problems.append(
                Problem(
                    ("tables", entry.index, "columns", name),
                    f"{entry.target.full_name}.{name} is {wanted}, but the expression makes {made}",
                    typing.hint(shown(expression), made, wanted),
                )
            )
    return problems
