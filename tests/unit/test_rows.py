"""What is made of a row before the mapping sees it: functions, lists, and the same values whichever way they came."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from connectors.expand import of_stream, of_text
from connectors.keys import KeyForm
from connectors.neutral import from_text, from_wire
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from connectors.wire import INFINITY_US, Wire, WireColumn
from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.errors import ConfigError, RecordError
from mappers.mapping import Column, Makers, Table
from mappers.resolve import resolve
from mappers.rows import RowFunction
from mappers.rows_spec import ExplodeSpec, FunctionSpec
from mappers.spec import TableSpec

SOURCE = Table(
    "public",
    "users",
    (Column("id", "integer", nullable=False), Column("name", "text"), Column("tags", "text"), Column("on", "boolean")),
    ("id",),
)
TARGET = Table(
    "app",
    "tags",
    (Column("user_id", "bigint", nullable=False), Column("tag", "text", nullable=False), Column("pos", "bigint")),
    ("user_id", "tag"),
)
IDS = Table("app", "ids", (Column("id", "uuid", nullable=False), Column("name", "text")), ("id",))
FUNCTIONS = FunctionCatalog(frozenset(("lower", "trim", "coalesce")))


def function(spec: dict[str, Any]) -> Any:
    return TypeAdapter(FunctionSpec).validate_python(spec)


def called(spec: dict[str, Any], *rows: dict[str, object]) -> list[Sequence[Sequence[object]]]:
    return list(Makers((function(spec).function(),)).made(rows))


def exploded(spec: dict[str, Any], value: object) -> list[object]:
    made = Makers((), ExplodeSpec.model_validate(spec).explode())
    name = spec.get("split") or spec.get("json")
    (rows,) = made.made([{name: value}])
    return [row[0] for row in rows]


def test_uuid5_is_that_of_its_name() -> None:
    spec = {"uuid5": "user:{id}", "namespace": "url", "output": "x"}
    assert called(spec, {"id": 7}, {"id": None}, {}) == [
        [(str(uuid.uuid5(uuid.NAMESPACE_URL, "user:7")),)], [(None,)], [(None,)],
    ]  # fmt: skip
    assert function(spec).function().unique
    assert not function({**spec, "uuid5": "{id}{name}"}).function().unique


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"uuid5": "user", "namespace": "url", "output": "x"}, "names no column"),
        ({"uuid5": "{id}", "namespace": "nowhere", "output": "x"}, "neither a UUID"),
        ({"python": "no function", "inputs": ["id"], "outputs": {"x": "text"}}, "pattern"),
        ({"python": "m:f", "inputs": ["id"], "outputs": {"x": "money"}}, "bigint"),
    ],
)
def test_a_function_that_cannot_be_is_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        function(spec)


def test_a_value_that_is_not_listed() -> None:
    spec = {"values": {"a": "1", "true": "yes"}, "input": "v", "output": "x"}
    assert called(spec, {"v": "a"}, {"v": True}, {"v": None}) == [[("1",)], [("yes",)], [(None,)]]
    with pytest.raises(RecordError, match="not among the listed ones"):
        called(spec, {"v": "secret"})
    assert called({**spec, "missing": "null"}, {"v": "b"}) == [[(None,)]]
    assert called({**spec, "missing": "keep"}, {"v": "b"}) == [[("b",)]]


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([], "gave 0 rows for 1"),
        ([("a",)], "gave something else than 2 values"),
        ([("a", "b")], "gave str for n, which is bigint"),
        ([("a", True)], "gave bool for n"),
        ([("a", 1 << 63)], "gave a number beyond bigint"),
        ([(1, 1)], "gave int for t, which is text"),
    ],
)
def test_what_a_function_gives_is_checked(results: list[Any], said: str) -> None:
    one = RowFunction("the function m:f", ("id",), (("t", "text"), ("n", "bigint")), "", lambda rows: results)
    with pytest.raises(RecordError, match=f"the function m:f {said}"):
        list(Makers((one,)).made([{"id": 1}]))


def test_what_a_function_raises_is_told_without_the_row() -> None:
    def fails(rows: Sequence[Any]) -> Any:
        raise ValueError("a secret value")

    one = RowFunction("the function m:f", ("id",), (("t", "text"),), "", fails)
    with pytest.raises(RecordError) as caught:
        list(Makers((one,)).made([{"id": 1}]))
    assert "raised ValueError" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "value", "elements"),
    [
        ({"split": "v", "as": "x"}, "a, b,,a", ["a", " b", "", "a"]),
        ({"split": "v", "separator": "; ", "as": "x"}, "a; b;c", ["a", "b;c"]),
        ({"split": "v", "as": "x"}, "", []),
        ({"split": "v", "as": "x"}, None, []),
        ({"split": "v", "as": "x"}, [1, None, "a,b"], ["1", None, "a,b"]),
        ({"json": "v", "as": "x"}, '["a", 12345678901234567890.10, null, {"k": [1]}, true, "\\u00e9"]',
         ["a", "12345678901234567890.10", None, '{"k": [1]}', "true", "é"]),
        ({"json": "v", "as": "x"}, "null", []),
        ({"json": "v", "as": "x"}, "[]", []),
    ],
)  # fmt: skip
def test_elements(spec: dict[str, Any], value: object, elements: list[object]) -> None:
    assert exploded(spec, value) == elements


@pytest.mark.parametrize("value", ['{"a": 1}', "7", "[1,", "\ud800"])
def test_what_is_no_list_is_refused(value: str) -> None:
    with pytest.raises(RecordError, match="v holds no JSON array"):
        exploded({"json": "v", "as": "x"}, value)


WIRES = (
    WireColumn("id", "integer", Wire.INT, nullable=False),
    WireColumn("name", "text", Wire.TEXT),
    WireColumn("tags", "text", Wire.TEXT),
    WireColumn("on", "boolean", Wire.BOOL),
)


def mapped(makers: Makers) -> MappedTable:
    form = KeyForm(("id",), ("integer",), (str,), (lambda v: v,), (int,))
    return MappedTable(0, SOURCE, (), WIRES, {}, form, Snapshot(1, 1), makers=makers)


def test_a_row_becomes_as_many_as_its_list_has() -> None:
    made = function({"uuid5": "{id}", "namespace": "url", "output": "key"}).function()
    split = ExplodeSpec.model_validate({"split": "tags", "as": "tag", "ordinal": "pos"}).explode()
    part = mapped(Makers((made,), split))
    key = {n: str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in (1, 2, 3)}
    rows = [
        (0, False, 0, (1, "n", "a,b", True)),
        (1, False, 0, (2, "n", None, None)),
        (2, True, 0, (3, None, None, None)),
        (3, False, 1, (1, "m", None, None)),
    ]
    assert list(of_stream(part, rows, [frozenset(("tags",))])) == [
        (0, False, 0, (1, "n", "a,b", True, key[1], "a", 1)),
        (0, False, 0, (1, "n", "a,b", True, key[1], "b", 2)),
        (1, True, 0, (2, "n", None, None, None, None, None)),
        (2, True, 0, (3, None, None, None, None, None, None)),
        (3, True, 1, (1, "m", None, None, None, None, None)),
    ]
    assert list(of_text(part, [(0, False, ("1", "n", "a,b", "true"))])) == [
        (0, False, ("1", "n", "a,b", "true", key[1], "a", "1")),
        (0, False, ("1", "n", "a,b", "true", key[1], "b", "2")),
    ]


def test_rows_of_which_nothing_is_made_pass_as_they_are() -> None:
    rows = [(0, False, 0, (1, "n", None, True))]
    assert of_stream(mapped(Makers()), rows, ()) is rows


@pytest.mark.parametrize(
    ("kind", "type_name", "value", "text"),
    [
        (Wire.INT, "bigint", -5, "-5"),
        (Wire.FLOAT, "double precision", 0.1, "0.1"),
        (Wire.BOOL, "boolean", False, "false"),
        (Wire.BYTES, "bytea", b"\x00\xff", "\\x00ff"),
        (Wire.DATE, "date", -719_163, "0001-12-31 BC"),
        (Wire.DATE, "date", 2_932_897, "10000-01-01"),
        (Wire.DATE, "date", INFINITY_US, "infinity"),
        (Wire.TIME, "time without time zone", 86_400_000_000, "24:00:00"),
        (Wire.TIME, "time without time zone", 1_500_000, "00:00:01.5"),
        (Wire.TIMESTAMP, "timestamp without time zone", -1, "1969-12-31 23:59:59.999999"),
        (Wire.TIMESTAMP, "timestamp without time zone", -62_135_596_800_000_001, "0001-12-31 23:59:59.999999 BC"),
        (Wire.TIMESTAMP, "timestamp without time zone", -INFINITY_US, "-infinity"),
    ],
)
def test_both_ways_give_one_neutral_value(kind: Wire, type_name: str, value: object, text: str) -> None:
    column = WireColumn("v", type_name, kind)
    assert from_wire(column)(value) == from_text(column)(text)


def test_an_instant_is_one_text() -> None:
    column = WireColumn("v", "timestamp with time zone", Wire.TEXT)
    assert from_wire(column)("2026-01-01T00:00:00.500000Z") == "2026-01-01 00:00:00.5+00"
    assert from_wire(column)("0099-01-01T00:00:00Z") == "0099-01-01 00:00:00+00"


@pytest.mark.parametrize(
    ("text", "element", "values"),
    [
        ("{}", Wire.TEXT, []),
        ("{1,NULL,-3}", Wire.INT, [1, None, -3]),
        ('{a,"b,c","q\\"\\\\","NULL",""}', Wire.TEXT, ["a", "b,c", 'q"\\', "NULL", ""]),
    ],
)
def test_array_texts(text: str, element: Wire, values: list[object]) -> None:
    assert from_text(WireColumn("v", "text[]", Wire.ARRAY, element))(text) == values


def problems(spec: dict[str, Any]) -> list[str]:
    tables = {t.full_name: t for t in (TARGET, IDS)}
    try:
        resolve([TableSpec.model_validate(spec)], {"public.users": SOURCE}, tables, FUNCTIONS)
    except ConfigError as error:
        return [f"{'.'.join(map(str, p.path))}: {p.message}" for p in error.problems]
    return []


TAGS: dict[str, Any] = {
    "from": "public.users",
    "to": "app.tags",
    "explode": {"split": "tags", "as": "t", "ordinal": "n"},
    "key": {"user_id": "id", "tag": "coalesce(trim(t), '')"},
    "columns": {"pos": "n"},
}
ID = {"uuid5": "{id}", "namespace": "url", "output": "made"}


def test_good_entries() -> None:
    assert problems(TAGS) == []
    assert problems({"from": "users", "to": "app.ids", "functions": [ID], "key": {"id": "made"}, "columns": {}}) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"explode": {"split": "nope", "as": "t"}}, "tables.0.explode: public.users has no column nope"),
        ({"explode": {"split": "tags", "as": "name"}}, "tables.0.explode: there is a column name already"),
        ({"key": {"user_id": "id + 1", "tag": "coalesce(t, '')"}}, "does not say which source row it is of"),
        ({"key": {"user_id": "id", "tag": "coalesce(name, '')"}}, "tables.0.key: every element of a list"),
        ({"functions": [{"python": "no.such:thing", "inputs": ["id"], "outputs": {"x": "text"}}]},
         "tables.0.functions.0: the module no.such cannot be imported"),
        ({"functions": [{"python": "json:nothing", "inputs": ["id"], "outputs": {"x": "text"}}]},
         "tables.0.functions.0: the module json has no nothing"),
        ({"functions": [{"lookup": "plans", "key": {"a": "id"}, "outputs": {"x": "b"}}]}, "cannot be read here"),
    ],
)  # fmt: skip
def test_bad_entries_say_what_and_where(changed: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in problems(TAGS | changed)), problems(TAGS | changed)


def test_a_computed_key_that_tells_nothing_apart_is_refused() -> None:
    opaque = {"python": "json:dumps", "inputs": ["id"], "outputs": {"made": "uuid"}}
    spec = {"from": "users", "to": "app.ids", "functions": [opaque], "key": {"id": "coalesce(made, null)"}}
    assert any("two source rows could become one" in problem for problem in problems({**spec, "columns": {}}))
    assert (
        problems({**spec, "functions": [{**opaque, "unique": True}], "columns": {}, "where": "made is not null"}) != []
    )


def test_another_function_is_another_mapping() -> None:
    def fingerprint(**changed: Any) -> str:
        spec = TableSpec.model_validate(TAGS | changed)
        return resolve([spec], {"public.users": SOURCE}, {"app.tags": TARGET}, FUNCTIONS)[0].fingerprint

    same = fingerprint()
    assert fingerprint() == same
    assert fingerprint(explode={"split": "tags", "as": "t", "ordinal": "n", "separator": ";"}) != same
