"""Equality by type, and the SQL of a comparison."""

from __future__ import annotations

import pytest

from connectors.chunks import EVERYTHING, Range
from connectors.postgresql.dialect import POSTGRESQL
from connectors.postgresql.keys import key_form
from connectors.postgresql.wire import wire_columns
from connectors.snapshot import Snapshot
from connectors.sql import compare
from connectors.tables import MappedTable
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
    assert POSTGRESQL.values.equal(type_name, one, other) is equal
    assert POSTGRESQL.values.equal(type_name, other, one) is equal


def test_hashed_forms() -> None:
    assert POSTGRESQL.hashing.column("v", "integer") == "v"
    assert POSTGRESQL.hashing.column("v", "character varying(20)") == '(v) COLLATE "C"'
    assert POSTGRESQL.hashing.column("v", "timestamp(3) with time zone") == "timestamptz_send(v)"
    assert POSTGRESQL.hashing.column("v", "numeric") == "numeric_send(trim_scale(v))"
    assert POSTGRESQL.hashing.column("v", "numeric(12,2)") == "numeric_send(v)"
    assert POSTGRESQL.hashing.column("v", "character(8)") == '(CAST(v AS text)) COLLATE "C"'
    assert POSTGRESQL.hashing.column("v", "bigint[]") == '(CAST(v AS text)) COLLATE "C"'
    assert POSTGRESQL.hashing.column("v", "public.citext") == '(CAST(v AS text)) COLLATE "C"'


def entry(source: Column, target: Column, expression: Expression | None = None) -> Entry:
    made = TargetColumn(target.name, expression or column_expression(source.name))
    one, other = Table("public", "s", (source,), (source.name,)), Table("app", "t", (target,), (target.name,))
    return Entry(0, one, other, (source.name,), (made,), (target.name,), None)


def aligned(made: Entry) -> bool:
    wires = wire_columns(made.source, made.source_key)
    form = key_form(made.source, made.source_key, wires)
    mapped = MappedTable(0, made.source, (made,), wires, {}, form, Snapshot(1, 1))
    return compare.aligned(POSTGRESQL, mapped, made)


@pytest.mark.parametrize(
    ("source", "target", "same"),
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
def test_ranges_are_the_same_only_where_the_order_is(source: Column, target: Column, same: bool) -> None:
    assert aligned(entry(source, target)) is same


def test_a_computed_key_is_not_aligned() -> None:
    computed = Expression('s."id" + 1', frozenset(("id",)))
    assert not aligned(entry(Column("id", "integer"), Column("pk", "bigint"), computed))


def test_ranges_are_open_at_their_outer_ends() -> None:
    made = entry(Column("id", "integer"), Column("it's", "bigint"))
    assert compare.target_range(POSTGRESQL, made, EVERYTHING) == "true"
    assert compare.target_range(POSTGRESQL, made, Range(("5",), None)) == "(t.\"it's\") >= ('5'::bigint)"
    assert compare.target_range(POSTGRESQL, made, Range(None, ("5",))) == "(t.\"it's\") < ('5'::bigint)"
