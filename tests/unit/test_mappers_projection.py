"""The SELECT of an entry, and what a value that did not travel means for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers.mapping import Column, Entry, Expression, Table, TargetColumn
from mappers.projection import Affected, affected, projection, qualified, quote, select_list

SOURCE = Table("public", "users", tuple(Column(name, "text") for name in ("id", "bio", "head", "gone")), ("id",))
TARGET = Table("app", 'Odd "name"', tuple(Column(name, "text") for name in ("key", "Bio", "both", "fixed")), ("key",))


def expression(sql: str, *inputs: str) -> Expression:
    return Expression(sql, frozenset(inputs))


def entry(where: Expression | None = None) -> Entry:
    columns = (
        TargetColumn("key", expression('s."id"', "id")),
        TargetColumn("Bio", expression('lower(s."bio")', "bio")),
        TargetColumn("both", expression('s."bio" || s."head"', "bio", "head")),
        TargetColumn("fixed", expression("1")),
    )
    return Entry(0, SOURCE, TARGET, ("id",), columns, ("key",), where)


def test_the_select() -> None:
    assert select_list(entry()) == (
        's."id" AS "key", lower(s."bio") AS "Bio", s."bio" || s."head" AS "both", 1 AS "fixed"'
    )
    assert projection(entry(), "stage") == f"SELECT {select_list(entry())} FROM stage AS s"
    filtered = projection(entry(expression('s."gone" IS NULL', "gone")), qualified(SOURCE))
    assert filtered.endswith(' FROM "public"."users" AS s WHERE s."gone" IS NULL')


def test_quoting() -> None:
    assert quote('a"b') == '"a""b"'
    assert qualified(TARGET) == '"app"."Odd ""name"""'


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((), Affected()),
        (("bio", "head"), Affected(frozenset(("Bio", "both")))),
        (("bio",), Affected(resync=True)),
        (("head",), Affected(resync=True)),
        (("id",), Affected(resync=True)),
        (("gone",), Affected()),
    ],
)
def test_values_that_did_not_travel(missing: tuple[str, ...], expected: Affected) -> None:
    assert affected(entry(), frozenset(missing)) == expected


def test_a_filter_that_cannot_be_evaluated_needs_the_row() -> None:
    assert affected(entry(expression('s."gone" IS NULL', "gone")), frozenset(("gone",))).resync


@given(st.frozensets(st.sampled_from(("id", "bio", "head", "gone"))))
def test_every_written_column_has_all_of_its_inputs(missing: frozenset[str]) -> None:
    outcome = affected(entry(), missing)
    if outcome.resync:
        assert outcome.untouched == frozenset()
        return
    for column in entry().columns:
        inputs = column.expression.inputs
        if column.name in outcome.untouched:
            assert inputs
            assert inputs <= missing
        else:
            assert inputs.isdisjoint(missing)
