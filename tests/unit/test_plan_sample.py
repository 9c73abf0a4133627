"""Rows at fault are found among many, and named by their keys."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from connectors.seams import TextRow
from daemon.plan.sample import refused
from mappers.errors import ConflictError, RecordError


@given(st.integers(0, 200), st.sets(st.integers(0, 199)), st.integers(1, 5))
def test_every_bad_row_is_found_up_to_the_limit(count: int, bad: set[int], most: int) -> None:
    written: list[TextRow] = []
    calls = 0

    def write(rows: Sequence[TextRow]) -> None:
        nonlocal calls
        calls += 1
        if any(int(str(row[0])) in bad for row in rows):
            raise RecordError("it is refused")
        written.extend(rows)

    rows: list[TextRow] = [(str(number), "x") for number in range(count)]
    found = [int(failure.key[0]) for failure in refused(rows, write, [0], most)]
    assert found == sorted(number for number in bad if number < count)[:most]
    assert calls <= 1 + most * 2 * 9
    if len(found) < most:
        assert sorted(int(str(row[0])) for row in written) == [n for n in range(count) if n not in bad]


def test_of_two_rows_that_want_one_value_the_later_is_at_fault() -> None:
    held: set[str | None] = set()

    def write(rows: Sequence[TextRow]) -> None:
        values = [row[1] for row in rows]
        if len(set(values)) < len(values) or held.intersection(values):
            raise ConflictError("duplicate key", table="app.t")
        held.update(values)

    rows: list[TextRow] = [("1", "a"), ("2", "b"), ("3", "c"), ("4", "a")]
    assert [failure.key for failure in refused(rows, write, [0])] == [("4",)]
    held.clear()
    assert refused(rows, write, [0], conflicts=False) == []
