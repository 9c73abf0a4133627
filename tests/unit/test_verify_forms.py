"""Equality by type, and the SQL of a comparison."""

from __future__ import annotations

import pytest

from connectors.postgresql import compare, forms
from connectors.postgresql.compare import Range
from mappers.expressions import column_expression
from mappers.mapping import Column, Entry, Expression, Table, TargetColumn


@pytest.mark.parametrize(
    ("type_name", "one", "other", "equal"),
    [
        ("jsonb", '{"a": 1, "b": [1.50, true]}', '{"b":[1.5,true],"a":1.0}', True),
        ("json", '{"a":1,"a":2}', '{"a": 2}', True),
        ("json", "[1, 2]", "[2, 1]", False),
        ("json", "[true]", "[1]", False),
        ("json", '["1"]', "[1]", False),
        ("json", "[100000000000000000000000000000.1]", "[100000000000000000000000000000.2]", False),
        ("json", "{", "{ ", False),
        ("text", "a", "a ", False),
        ("text", "1.0", "1.00", False),
        ("text[]", "{1.0}", "{1.00}", False),
        ("text", None, "", False),
        ("text", None, None, True),
    ],
)
def test_equality(type_name: str, one: str | None, other: str | None, equal: bool) -> None:
    assert forms.equal(type_name, one, other) is equal
    assert forms.equal(type_name, other, one) is equal


def test_hashed_forms() -> None:
    assert forms.hashed("v", "integer") == "v"
    assert forms.hashed("v", "character varying(20)") == '(v) COLLATE "C"'
    assert forms.hashed("v", "timestamp(3) with time zone") == "timestamptz_send(v)"
    assert forms.hashed("v", "numeric") == "numeric_send(trim_scale(v))"
    assert forms.hashed("v", "numeric(12,2)") == "numeric_send(v)"
    assert forms.hashed("v", "character(8)") == '(CAST(v AS text)) COLLATE "C"'
    assert forms.hashed("v", "bigint[]") == '(CAST(v AS text)) COLLATE "C"'
    assert forms.hashed("v", "public.citext") == '(CAST(v AS text)) COLLATE "C"'


def entry(source: Column, target: Column, expression: Expression | None = None) -> Entry:
    made = TargetColumn(target.name, expression or column_expression(source.name))
    one, other = Table("public", "s", (source,), (source.name,)), Table("app", "t", (target,), (target.name,))
    return Entry(0, one, other, (source.name,), (made,), (target.name,), None)


@pytest.mark.parametrize(
    ("source", "target", "aligned"),
    [
        (Column("id", "integer"), Column("pk", "bigint"), True),
        (Column("id", "uuid"), Column("id", "uuid"), True),
        (Column("id", "text", collation_c=True), Column("id", "character varying(9)", collation_c=True), True),
        (Column("id", "text", collation_c=True), Column("id", "text"), False),
        (Column("id", "timestamp(3) without time zone"), Column("id", "timestamp without time zone"), True),
        (Column("id", "date"), Column("id", "timestamp without time zone"), False),
        (Column("id", "public.zone", labels=("b", "a")), Column("id", "public.zone", labels=("b", "a")), False),
    ],
)
def test_ranges_are_the_same_only_where_the_order_is(source: Column, target: Column, aligned: bool) -> None:
    assert compare.aligned(entry(source, target)) is aligned


def test_a_computed_key_is_not_aligned() -> None:
    computed = Expression('s."id" + 1', frozenset(("id",)))
    assert not compare.aligned(entry(Column("id", "integer"), Column("pk", "bigint"), computed))


def test_ranges_are_open_at_their_outer_ends() -> None:
    made = entry(Column("id", "integer"), Column("it's", "bigint"))
    assert compare.target_range(made, compare.EVERYTHING) == "true"
    assert compare.target_range(made, Range(("5",), None)) == "(t.\"it's\") >= ('5'::bigint)"
    assert compare.target_range(made, Range(None, ("5",))) == "(t.\"it's\") < ('5'::bigint)"
