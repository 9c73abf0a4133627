"""Figures and their floors. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from statistics import mean, stdev


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. floor: what it must reach, or with `at_most` must not pass; None where nothing is asked."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is as good as it must be."""
        if self.floor is None:
            return True
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    def line(self) -> str:
        """Name, figure, unit, floor, verdict."""
        if self.floor is None:
            return f"{self.name:52} {_number(self.value):>10} {self.unit}"
        bound = f"{'at most' if self.at_most else 'at least'} {_number(self.floor)}"
        return f"{self.name:52} {_number(self.value):>10} {self.unit:12} {bound:18} {'ok' if self.met else 'MISSED'}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


T_8 = 2.306
"""Student's t for nine values, 95% on both sides."""


def ratio_interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """(lower bound, geometric mean, upper bound) of nine ratios, at 95% confidence. Raises ValueError unless nine."""
    if len(ratios) != 9:
        raise ValueError(f"{len(ratios)} ratios, not nine")
    logs = [log(ratio) for ratio in ratios]
    middle, reach = mean(logs), T_8 * stdev(logs) / 3
    return exp(middle - reach), exp(middle), exp(middle + reach)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the values do not pass. Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def backlogs(rows: Sequence[tuple[float, float]], at: Sequence[float]) -> list[float]:
    """At each of these moments, the age of the oldest row that was committed and not yet applied; 0 with no such row.

    rows: (committed, applied) moments. at: ascending.
    """
    ordered = sorted(rows)
    found: list[float] = []
    done = 0  # the rows before it are applied by the moment looked at
    for moment in at:
        while done < len(ordered) and ordered[done][1] <= moment:
            done += 1
        late = next((c for c, applied in _until(ordered, done, moment) if applied > moment), moment)
        found.append(moment - late)
    return found


def _until(ordered: Sequence[tuple[float, float]], first: int, moment: float) -> list[tuple[float, float]]:
    end = first
    while end < len(ordered) and ordered[end][0] <= moment:
        end += 1
    return list(ordered[first:end])
