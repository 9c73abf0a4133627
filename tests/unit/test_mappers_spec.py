"""What the configuration accepts for one entry of `tables:`, and the names in it."""

from __future__ import annotations

import datetime
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mappers.names import quote, split_name
from mappers.spec import TableSpec


def spec(**fields: Any) -> TableSpec:
    return TableSpec.model_validate({"from": "public.users", **fields})


def test_one_line_is_enough() -> None:
    one = spec()
    assert one.source_name == one.target_name == ("public", "users")
    assert (one.columns, one.key, one.where, one.group, one.if_not_empty) == ("*", None, None, "default", "refuse")


def test_scalars_are_sql_literals() -> None:
    columns = {"a": 1, "b": True, "c": None, "d": 1.5, "e": "lower(x)", "f": False, "g": -2}
    assert spec(columns=columns).columns == {
        "a": "1", "b": "TRUE", "c": "NULL", "d": "1.5", "e": "lower(x)", "f": "FALSE", "g": "-2",
    }  # fmt: skip
    assert spec(overrides={"version": 1}).overrides == {"version": "1"}
    assert spec(key={"id": 1}).key == {"id": "1"}
    assert spec(where=True).where == "TRUE"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"colums": {}}, "Extra inputs are not permitted"),
        ({"source": "public.users"}, "Extra inputs are not permitted"),
        ({"columns": {"a": "b"}, "overrides": {"c": "d"}}, 'overrides only go with columns: "*"'),
        ({"columns": {"a": ""}}, "the expression is empty"),
        ({"columns": {"a": datetime.date(2020, 1, 31)}}, "put it in quotes"),
        ({"columns": {"a": float("nan")}}, "put it in quotes"),
        ({"columns": {"a": ["b"]}}, "put it in quotes"),
        ({"columns": "all"}, "'*'"),
        ({"from": "a.b.c"}, "is not a table name"),
        ({"to": "a b"}, "is not a table name"),
        ({"from": ""}, "at least 1 character"),
        ({"key": {}}, "at least one target column"),
        ({"source_key": []}, "at least 1 item"),
        ({"source_key": ["a", "a"]}, "named twice"),
        ({"group": ""}, "at least 1 character"),
        ({"if_not_empty": "merge"}, "'refuse' or 'keep'"),
    ],
)
def test_refusals(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**fields)
    assert says in str(caught.value)


def test_the_source_is_required() -> None:
    with pytest.raises(ValidationError, match="from"):
        TableSpec.model_validate({"to": "app.users"})


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().group = "other"  # type: ignore[misc]


def test_the_published_schema_explains_every_field() -> None:
    schema = TableSpec.model_json_schema()
    assert schema["required"] == ["from"]
    assert schema["additionalProperties"] is False
    assert all(field.get("description") for field in schema["properties"].values())
    scalars = schema["properties"]["overrides"]["additionalProperties"]["anyOf"]
    assert {kind["type"] for kind in scalars} == {"string", "integer", "number", "boolean", "null"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("users", ("public", "users")),
        ("App.Users", ("app", "users")),
        ('"App"."Users"', ("App", "Users")),
        ('"My Schema"."T"', ("My Schema", "T")),
        ('app."we.ird"', ("app", "we.ird")),
        ('"a""b"', ("public", 'a"b')),
        (" app . users ", ("app", "users")),
    ],
)
def test_split_name(text: str, name: tuple[str, str]) -> None:
    assert split_name(text) == name


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', "a b", '""', '"a"b'])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a table name"):
        split_name(text)


@given(st.text(min_size=1), st.text(min_size=1))
def test_quoted_names_survive(schema: str, name: str) -> None:
    assert split_name(f"{quote(schema)}.{quote(name)}") == (schema, name)


@given(st.text(string.ascii_letters + "_é", min_size=1))
def test_unquoted_names_fold_as_in_sql(name: str) -> None:
    folded = "".join(c.lower() if c in string.ascii_letters else c for c in name)
    assert split_name(name) == ("public", folded)
