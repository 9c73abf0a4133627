"""Which of PostgreSQL's types travel, as what, and how the others are refused."""

from __future__ import annotations

import pytest

from connectors.postgresql.wire import REFUSED, SCALARS, wire_columns
from connectors.wire import Wire
from mappers.errors import ConfigError
from mappers.mapping import Column, Table


def kinds(*types: str, identity: str = "d", labels: tuple[str, ...] = ()) -> list[tuple[Wire, Wire | None]]:
    columns = tuple(Column(f"c{i}", kind, labels=labels) for i, kind in enumerate(types))
    table = Table("app", "orders", columns, (), replica_identity=identity)
    return [(column.kind, column.element) for column in wire_columns(table, {column.name for column in columns})]


def test_scalars_with_modifiers() -> None:
    assert kinds("numeric(10,2)", "character varying(20)", "character(5)", '"char"') == [(Wire.TEXT, None)] * 4
    assert kinds("timestamp(3) without time zone", "timestamp(3) with time zone", "time(0) without time zone") == [
        (Wire.TIMESTAMP, None),
        (Wire.TEXT, None),
        (Wire.TIME, None),
    ]
    assert kinds("public.citext", "x.ltree", "bytea", "real") == [
        (Wire.TEXT, None),
        (Wire.TEXT, None),
        (Wire.BYTES, None),
        (Wire.FLOAT, None),
    ]


@pytest.mark.parametrize("spelling", SCALARS)
def test_every_scalar(spelling: str) -> None:
    assert kinds(spelling) == [(SCALARS[spelling], None)]


def test_arrays() -> None:
    assert kinds("integer[]", "character varying(20)[]", "uuid[]") == [
        (Wire.ARRAY, Wire.INT),
        (Wire.ARRAY, Wire.TEXT),
        (Wire.ARRAY, Wire.TEXT),
    ]


def test_arrays_that_need_full_replica_identity() -> None:
    with pytest.raises(ConfigError, match="REPLICA IDENTITY FULL"):
        kinds("boolean[]")
    assert kinds("boolean[]", "numeric(10,2)[]", identity="f") == [(Wire.ARRAY, Wire.BOOL), (Wire.ARRAY, Wire.TEXT)]


def test_enums() -> None:
    assert kinds("app.mood", labels=("sad", "happy")) == [(Wire.TEXT, None)]
    with pytest.raises(ConfigError, match=r"app\.mood"):
        kinds("app.mood")


@pytest.mark.parametrize("spelling", [*REFUSED, "interval(3)", "date[]", "app.text", "app.pair", "timestamp[]"])
def test_refusals_say_where_why_and_what_instead(spelling: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kinds(spelling)
    (problem,) = caught.value.problems
    assert problem.path == ("tables", "c0")
    assert f"app.orders.c0: {spelling} cannot be followed exactly: " in problem.message
    assert "leave the column out" in problem.hint


def test_all_problems_at_once_and_only_of_wanted_columns() -> None:
    columns = (Column("a", "money"), Column("b", "text"), Column("c", "oid"), Column("d", "integer", generated=True))
    table = Table("app", "orders", columns, ())
    assert [column.name for column in wire_columns(table, ["b"])] == ["b"]
    with pytest.raises(ConfigError) as caught:
        wire_columns(table, {"a", "b", "d", "nowhere"}, ("tables", 3))
    assert [problem.path for problem in caught.value.problems] == [
        ("tables", 3, "nowhere"),
        ("tables", 3, "a"),
        ("tables", 3, "d"),
    ]
