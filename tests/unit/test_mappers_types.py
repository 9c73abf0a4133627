"""Which PostgreSQL types hold every value of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers.mapping import Column, Entry, Expression, Table, TargetColumn
from mappers.types import compare_types, widens

TYPES = [
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "numeric(10,2)",
    "numeric(20,0)",
    "numeric(3,-2)",
    "real",
    "double precision",
    "text",
    "character varying",
    "character varying(20)",
    "character(3)",
    "citext",
    "date",
    "boolean",
    "timestamp without time zone",
    "timestamp(3) without time zone",
    "timestamp with time zone",
    "time without time zone",
    "timestamp(0) with time zone",
    "interval",
    "interval day to second(3)",
    "jsonb",
    "json",
    "uuid",
    "bytea",
    "bit(3)",
    "bit varying(5)",
    "text[]",
    "integer[]",
    "bigint[]",
    "character varying(5)[]",
    'app."Mood"',
    "app.mood",
    '"char"',
]


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("smallint", "integer"),
        ("smallint", "bigint"),
        ("integer", "bigint"),
        ("int4", "int8"),
        ("bigint", "numeric"),
        ("integer", "numeric(10,0)"),
        ("integer", "numeric(12,2)"),
        ("bigint", "numeric(19,0)"),
        ("smallint", "double precision"),
        ("integer", "double precision"),
        ("real", "double precision"),
        ("character varying(20)", "character varying(30)"),
        ("character varying(20)", "character varying"),
        ("character varying(20)", "text"),
        ("character varying", "text"),
        ("text", "character varying"),
        ("unknown", "text"),
        ("numeric(10,2)", "numeric"),
        ("numeric(10,2)", "numeric(12,4)"),
        ("numeric(5)", "numeric(7,2)"),
        ("date", "timestamp without time zone"),
        ("timestamp(3) without time zone", "timestamp without time zone"),
        ("timestamp(3) without time zone", "timestamp(6) without time zone"),
        ("timestamp(0) with time zone", "timestamp(3) with time zone"),
        ("time(3) without time zone", "time without time zone"),
        ("integer[]", "bigint[]"),
        ("integer[]", "integer[][]"),
        ("character varying(5)[]", "text[]"),
        ("bit varying(5)", "bit varying(6)"),
        ("timestamptz", "timestamp with time zone"),
    ],
)
def test_widens(narrow: str, wide: str) -> None:
    assert widens(narrow, wide)


@pytest.mark.parametrize(
    ("from_type", "to_type"),
    [
        ("bigint", "integer"),
        ("bigint", "double precision"),
        ("integer", "real"),
        ("integer", "numeric(9,0)"),
        ("integer", "numeric(10,2)"),
        ("numeric", "numeric(38,10)"),
        ("numeric", "bigint"),
        ("numeric(10,2)", "numeric(11,4)"),
        ("numeric(10,2)", "numeric(10,1)"),
        ("double precision", "real"),
        ("double precision", "numeric"),
        ("character varying(30)", "character varying(20)"),
        ("text", "character varying(20)"),
        ("character varying", "character varying(20)"),
        ("character(3)", "text"),
        ("character(3)", "character(4)"),
        ("text", "character(3)"),
        ("citext", "text"),
        ("text", "citext"),
        ("date", "timestamp with time zone"),
        ("timestamp without time zone", "date"),
        ("timestamp without time zone", "timestamp with time zone"),
        ("timestamp without time zone", "timestamp(3) without time zone"),
        ("text", "text[]"),
        ("text[]", "text"),
        ("bigint[]", "integer[]"),
        ("json", "jsonb"),
        ("text", "jsonb"),
        ("integer", "text"),
        ("text", "app.mood"),
        ("app.mood", "text"),
        ('app."Mood"', 'other."Mood"'),
        ("bit(3)", "bit(4)"),
        ("bit(3)", "bit varying(3)"),
        ("boolean", "integer"),
        ("interval day to second(3)", "interval"),
        ('"char"', "character(1)"),
    ],
)
def test_needs_a_cast(from_type: str, to_type: str) -> None:
    assert not widens(from_type, to_type)


@pytest.mark.parametrize("type_name", TYPES)
def test_every_type_holds_itself(type_name: str) -> None:
    assert widens(type_name, type_name)


@given(st.sampled_from(TYPES), st.sampled_from(TYPES), st.sampled_from(TYPES))
def test_widening_is_transitive(a: str, b: str, c: str) -> None:
    assert not (widens(a, b) and widens(b, c)) or widens(a, c)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_spelling_is_answered(a: str, b: str) -> None:
    assert widens(a, b) in (True, False)


def test_a_problem_for_each_mismatch() -> None:
    source = Table("public", "users", (Column("id", "bigint"), Column("Name", "text")), ("id",))
    columns = (Column("id", "integer"), Column("name", "character varying(20)"), Column("note", "text"))
    filled = (
        TargetColumn("id", Expression('s."id"', frozenset(("id",)))),
        TargetColumn("name", Expression('lower(s."Name")', frozenset(("Name",)))),
        TargetColumn("note", Expression("'x'", frozenset())),
    )
    entry = Entry(4, source, Table("app", "people", columns, ("id",)), ("id",), filled, ("id",), None)
    problems = compare_types(entry, [("id", "bigint"), ("name", "text"), ("note", "unknown")])
    assert [p.path for p in problems] == [("tables", 4, "columns", "id"), ("tables", 4, "columns", "name")]
    assert problems[0].message == "app.people.id is integer, but the expression makes bigint"
    assert problems[0].hint == "write cast(id as integer)"
    assert problems[1].hint == 'write cast(lower("Name") as character varying(20)), which cuts longer values'
