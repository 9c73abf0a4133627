"""Text forms and orders of keys: what a fence is named by, and how a key finds its chunk."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.keys import finder, name_of
from connectors.postgresql.keys import key_form
from connectors.wire import Wire, WireColumn
from mappers.mapping import Column, Table


def table(*columns: Column) -> Table:
    return Table("public", "t", columns, tuple(column.name for column in columns))


def form(column: Column, kind: Wire):  # type: ignore[no-untyped-def]
    return key_form(table(column), (column.name,), [WireColumn(column.name, column.type, kind)])


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=20, unique=True), st.integers())
def test_an_integer_key_finds_its_chunk(edges: list[int], key: int) -> None:
    edges.sort()
    find = finder(form(Column("id", "bigint"), Wire.INT), [(str(edge),) for edge in edges])
    assert find is not None
    assert find((key,)) == bisect_right(edges, key)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=10, unique=True), st.text())
def test_c_collated_text_is_ordered_by_its_bytes(edges: list[str], key: str) -> None:
    edges = [edge for edge in edges if "\0" not in edge] or ["a"]
    edges.sort(key=str.encode)
    find = finder(form(Column("k", "text", collation_c=True), Wire.TEXT), [(edge,) for edge in edges])
    assert find is not None
    assert find((key,)) == sum(key.encode() >= edge.encode() for edge in edges)


def test_only_the_source_knows_the_order_of_other_text() -> None:
    assert finder(form(Column("k", "text"), Wire.TEXT), [("a",)]) is None
    assert finder(form(Column("k", "numeric"), Wire.TEXT), [("1",)]) is None


def test_one_chunk_needs_no_order() -> None:
    find = finder(form(Column("k", "text"), Wire.TEXT), [])
    assert find is not None
    assert find(("anything",)) == 0


@pytest.mark.parametrize(
    ("column", "kind", "value", "text"),
    [
        (Column("k", "integer"), Wire.INT, 7, "7"),
        (Column("k", "boolean"), Wire.BOOL, True, "true"),
        (Column("k", "numeric(10,2)"), Wire.TEXT, "1.50", "1.5"),
        (Column("k", "numeric"), Wire.TEXT, "1E+3", "1000"),
        (Column("k", "numeric"), Wire.TEXT, "0.00", "0"),
        (Column("k", "character(5)"), Wire.TEXT, "ab   ", "ab"),
        (Column("k", "date"), Wire.DATE, 0, "1970-01-01"),
        (Column("k", "timestamp without time zone"), Wire.TIMESTAMP, 1_500_000, "1970-01-01 00:00:01.5"),
        (
            Column("k", "timestamp with time zone"),
            Wire.TEXT,
            "2020-01-01T02:00:00.100000+02:00",
            "2020-01-01 00:00:00.1+00",
        ),
        (Column("k", "bytea"), Wire.BYTES, b"\x01\xff", "\\x01ff"),
    ],
)
def test_a_key_is_written_as_postgresql_prints_it(column: Column, kind: Wire, value: object, text: str) -> None:
    assert form(column, kind).texts((value,)) == (text,)


def test_a_key_whose_text_is_not_exact_is_refused() -> None:
    with pytest.raises(ValueError, match="double precision"):
        form(Column("k", "double precision"), Wire.FLOAT)


def test_names_of_different_keys_differ() -> None:
    assert name_of(("a", "b,c")) != name_of(("a,b", "c"))
