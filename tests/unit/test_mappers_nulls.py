"""When an expression can be NULL."""

from __future__ import annotations

import pytest

from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.expressions import parse_expression
from mappers.mapping import Column, Table
from mappers.names import words
from mappers.nulls import possibly_null, proven_present

TABLE = Table("public", "t", tuple(Column(name, "text") for name in ("n", "m", "x", "y")), ("x",))
"""n and m are nullable, x and y are not."""
FUNCTIONS = FunctionCatalog(
    words("lower regexp_match array_length num_nulls split_part jsonb_extract_path_text array_append")
)


def null(text: str, where: str | None = None) -> bool:
    filter_ = parse_expression(where, TABLE, FUNCTIONS) if where else None
    return possibly_null(parse_expression(text, TABLE, FUNCTIONS), {"n", "m"}, proven_present(filter_))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "lower(x)",
        "x || y",
        "x::bigint",
        "'a'",
        "1",
        "true",
        "x + 1",
        "coalesce(n, x)",
        "coalesce(n, m, '')",
        "concat(n, m)",
        "concat_ws(' ', n, m)",
        "format('%s', n)",
        "jsonb_build_object('a', n)",
        "num_nulls(n)",
        "n is null",
        "n is not true",
        "n is distinct from m",
        "array[n]",
        "greatest(n, x)",
        "split_part(x, ',', 1)",
        "case when x then 1 else 2 end",
        "case when n is not null then n else x end",
        "case when n is null then x else n end",
        "case when n = 'a' then n else x end",
        "case when n is null or m is null then x else n || m end",
        "case x when 'a' then 1 else 2 end",
        "case when n then 'a' else 'b' end",
        "substring(x from 2)",
        "substring(x from 1 for 3)",
        "trim(x)",
        "extract(year from x)",
        "x at time zone 'UTC'",
        "x in ('a')",
        "x = any(array['a', y])",
        "interval '1 day'",
        "x like 'a'",
        "x between '1' and y",
        "case when not (n is null) then n else '' end",
        "case when n like 'a%' and m is null then n else x end",
        "nullif(x, '') is null",
    ],
)
def test_never_null(text: str) -> None:
    assert not null(text)


@pytest.mark.parametrize(
    "text",
    [
        "n",
        "null",
        "lower(n)",
        "x || n",
        "n::text",
        "nullif(x, '')",
        "coalesce(n, m)",
        "greatest(n, m)",
        "concat_ws(n, x)",
        "case when x then 1 end",
        "case when x then n else x end",
        "case when x then x else n end",
        "case n when 'a' then n else x end and n",
        "x -> 'a'",
        "x ->> 'a'",
        "x #>> '{a}'",
        "x[1]",
        "substring(x from 'a.*')",
        "regexp_match(x, 'a')",
        "array_length(x, 1)",
        "jsonb_extract_path_text(x, 'a')",
        "n = 'a'",
        "not n",
        "n in ('a')",
        "x in ('a', n)",
        "x in ('a', null)",
        "x = any(y)",
        "x = any(array['a', null])",
        "case when n is null then n else x end",
        "case when n is not null then x else n end",
        "case when n is not null or x then n else '' end",
        "format(n, x)",
        "- n",
        "array_append(x, n)",
    ],
)
def test_possibly_null(text: str) -> None:
    assert null(text)


@pytest.mark.parametrize(
    "where",
    [
        "n is not null",
        "n = 'a'",
        "x = n",
        "n <> '' and x",
        "(n is not null)",
        "not (n is null)",
        "n in ('a')",
        "n like 'a'",
        "n between 'a' and 'b'",
        "n is true",
        "n",
        "n::text <> ''",
        "(n = 'a' or n = 'b')",
        "n not in ('a')",
        "n is not false or n",
    ],
)
def test_a_filter_proves_a_column_present(where: str) -> None:
    proven = where != "n is not false or n"
    assert null("n", where) is not proven


@pytest.mark.parametrize(
    "where", ["n is null", "x = 'a'", "n = 'a' or x", "n is distinct from 'a'", "n is not true", "coalesce(n, '') = ''"]
)
def test_a_filter_that_proves_nothing(where: str) -> None:
    assert null("n", where)
