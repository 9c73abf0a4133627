"""What the expression gate lets through, exactly as it will run, and what it refuses, with the hint."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.dialects.postgresql.lexer import tokenize
from mappers.expressions import ExpressionError, is_injective, parse_expression, plain_column, shown
from mappers.mapping import Column, Table
from mappers.names import quote, words
from mappers.tokens import Kind

NAMES = ["id", "a", "b", "first", "Name", "j", "arr", "ts", "zone", "time", "order", "user", 'we"ird', "ünï", "escape"]
USERS = Table("public", "users", tuple(Column(name, "text") for name in NAMES), ("id",))
FUNCTIONS = FunctionCatalog(
    words("lower upper md5 left right lpad length split_part strpos substr btrim regexp_replace date_part mod")
)


def sql(text: str) -> str:
    return parse_expression(text, USERS, FUNCTIONS).sql


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, USERS, FUNCTIONS)
    return caught.value


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("ID", 's."id"'),
        ('"Name"', 's."Name"'),
        ('"order" || "user"', 's."order" || s."user"'),
        ('"we""ird"', 's."we""ird"'),
        ("ünï", 's."ünï"'),
        ("users.a || Users.B || s.a", 's."a" || s."b" || s."a"'),
        ("'legacy_' || id", "'legacy_' || s.\"id\""),
        ("'it''s'", "'it''s'"),
        ("$$it's$$", "'it''s'"),
        ("$x$a$$b$x$", "'a$$b'"),
        (r"E'a\n\'b'", r"E'a\n\'b'"),
        ("a::text::Integer", 's."a"::text::integer'),
        ("a::numeric(10,2)", 's."a"::numeric(10, 2)'),
        ("a::timestamp(3) with time zone", 's."a"::timestamp(3) with time zone'),
        ("a::double precision", 's."a"::double precision'),
        ('a::app."Mood"[]', 's."a"::"app"."Mood"[]'),
        ("cast(lower(a) as character varying(20))", 'cast(lower(s."a") AS character varying(20))'),
        ("j -> 'a' ->> 'b'", "s.\"j\" -> 'a' ->> 'b'"),
        ("j #>> '{a,b}'", "s.\"j\" #>> '{a,b}'"),
        ("j ? 'k'", "s.\"j\" ? 'k'"),
        ("time at time zone zone", 's."time" AT TIME ZONE s."zone"'),
        ("a like 'x!%' escape '!'", "s.\"a\" LIKE 'x!%' ESCAPE '!'"),
        ("escape like 'x'", "s.\"escape\" LIKE 'x'"),
        ("a !~* 'x' is null", "s.\"a\" !~* 'x' IS NULL"),
        ("a is not distinct from b", 's."a" IS NOT DISTINCT FROM s."b"'),
        ("a not in ('x', b)", 's."a" NOT IN (\'x\', s."b")'),
        ("a between 1 and 2", 's."a" BETWEEN 1 AND 2'),
        ("array[a, b][1]", 'ARRAY[s."a", s."b"][1]'),
        ("arr[1:2]", 's."arr"[1 : 2]'),
        ("a - -1", 's."a" - - 1'),
        ("a ^ 2 # 3 / 4 % 5", 's."a" ^ 2 # 3 / 4 % 5'),
        ("extract(YEAR from ts)", 'extract(year FROM s."ts")'),
        ("extract('epoch' from ts)", "extract('epoch' FROM s.\"ts\")"),
        ("date_part('year', ts)", "date_part('year', s.\"ts\")"),
        ("substring(a from 1 for 2)", 'substring(s."a" FROM 1 FOR 2)'),
        ("substr(a, 1, 2)", 'substr(s."a", 1, 2)'),
        ("trim(both 'x' from a)", "trim(BOTH 'x' FROM s.\"a\")"),
        ("overlay(a placing 'x' from 1)", "overlay(s.\"a\" PLACING 'x' FROM 1)"),
        ("position('x' in a)", "position('x' IN s.\"a\")"),
        ("case when a then 'x' else b end", 'CASE WHEN s."a" THEN \'x\' ELSE s."b" END'),
        ("case a when 'x' then 1 end", "CASE s.\"a\" WHEN 'x' THEN 1 END"),
        ("coalesce(a, nullif(b, ''))", 'coalesce(s."a", nullif(s."b", \'\'))'),
        ("ts + interval '1 day'", "s.\"ts\" + interval '1 day'"),
        ("date '2020-01-31'", "date '2020-01-31'"),
        ("a = any(arr)", 's."a" = ANY (s."arr")'),
        ("a collate \"C\" < 'x'", 's."a" COLLATE "C" < \'x\''),
        ("a is not unknown", 's."a" IS NOT UNKNOWN'),
        ("mod(a, 3)", 'mod(s."a", 3)'),
        ("to_timestamp(a / 1000.0)", 'to_timestamp(s."a" / 1000.0)'),
        ("NULL", "NULL"),
        ("TRUE", "TRUE"),
        ("1e3", "1e3"),
    ],
)
def test_what_runs_is_what_was_meant(text: str, runs: str) -> None:
    assert sql(text) == runs
    assert parse_expression(runs, USERS, FUNCTIONS).sql == runs, "rendering is stable"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("select 1", "SELECT is not allowed", "no subqueries"),
        ("(select password from secrets)", "SELECT is not allowed", "no subqueries"),
        ("exists(select 1)", "EXISTS is not allowed", "no subqueries"),
        ("a = any(select 1)", "SELECT is not allowed", "no subqueries"),
        ("array(select 1)", "SELECT is not allowed", "no subqueries"),
        ("a in (table users)", "TABLE is not allowed", "no subqueries"),
        ("(values (1))", "VALUES is not allowed", "no subqueries"),
        ("a; drop table users", "a semicolon", "one expression"),
        ("a -- hidden", "a comment", "YAML comment"),
        ("a /* hidden */ || b", "a comment", "YAML comment"),
        ("a--1", "a comment", "YAML comment"),
        ("count(a)", "works over many rows", "one source row"),
        ("string_agg(a, ',')", "works over many rows", "one source row"),
        ("lower(a) over ()", "OVER is not allowed", "no subqueries"),
        ("lower(a) filter (where b)", "FILTER is not allowed", "no subqueries"),
        ("unnest(arr)", "several rows", "one value"),
        ("generate_series(1, 3)", "several rows", "one value"),
        ("now()", "depends on when", "source column"),
        ("random()", "depends on when", "source column"),
        ("gen_random_uuid()", "depends on when", "source column"),
        ("current_date", "depends on when", "source column"),
        ("CURRENT_TIMESTAMP", "depends on when", "source column"),
        ("session_user", "depends on when", "source column"),
        ("age(ts)", "depends on when", "source column"),
        ("'now'::timestamptz", "means the moment", "constant"),
        ("date ' Today '", "means the moment", "constant"),
        ("$$tomorrow$$::date", "means the moment", "constant"),
        ("cast('tomorrow 12:00' as timestamp)", "means the moment", "constant"),
        ("pg_sleep(10)", "system function", "constant"),
        ("PG_READ_FILE('/etc/passwd')", "system function", "constant"),
        ("nextval('s')", "depends on when", "source column"),
        ("lowr(a)", "function lowr is not allowed", "did you mean lower"),
        ("dblink('x')", "function dblink is not allowed", "immutable functions"),
        ('"lower"(a)', "is quoted", "without quotes"),
        ("pg_catalog.lower(a)", "not the source table", "without a schema"),
        ("public.evil(a)", "not the source table", "without a schema"),
        ("s.lower(a)", "is not a column", "just the column"),
        ("other.a", "not the source table", "public.users"),
        ("public.users.a", "not the source table", "public.users"),
        ("emale", "has no column emale", "there are"),
        ("frist", "has no column frist", "did you mean first"),
        ("Name", "has no column name", 'write "Name"'),
        ('"NAME"', "has no column NAME", "did you mean Name"),
        ("order", "reserved word", 'write "order"'),
        ("user", "reserved word", 'write "user"'),
        ("limit", "LIMIT is not allowed", "no subqueries"),
        ("*", "a star", "one value"),
        ("users.*", "is not a column", "table.column"),
        ("a AS b", "AS is only allowed inside cast", "name on the left"),
        ("cast(a as text) as b", "AS is only allowed inside cast", "name on the left"),
        ("lower(a as text)", "AS is only allowed inside cast", "name on the left"),
        ("(a, b)", "a list of values", "one value"),
        ("row(a, b)", "ROW is not allowed", "no subqueries"),
        ("lower(variadic arr)", "VARIADIC is not allowed", "no subqueries"),
        ("lower(x => a)", "operator => is not supported", "function"),
        ("a := 1", "is not understood", ""),
        ("$1", "parameters", "value itself"),
        (":x", "has no column x", "there are"),
        (":a", "a parameter", "one value"),
        ("?", "a parameter", "one value"),
        ("@x", "operator @", "function"),
        ("{{x}}", "is not understood", ""),
        ("a operator(pg_catalog.+) b", "OPERATOR is not allowed", "no subqueries"),
        ("a::regclass", "cast to regclass", "system catalogue"),
        ("a::_regclass", "cast to _regclass", "system catalogue"),
        ("a::regproc[]", "cast to regproc", "system catalogue"),
        ("cast('x' as \"regrole\")", "cast to regrole", "system catalogue"),
        ("a::pg_catalog.regclass", "cast to pg_catalog", "system catalogue"),
        ("regclass 'x'", "has no column regclass", "there are"),
        ("a::numeric(b)", "whole numbers", ""),
        ("a::numeric(1", "whole numbers", ""),
        ("a::", "name of a type", "text"),
        ('a collate "de_DE"', "collations", '"C"'),
        ("interval '1' day", "day after the interval literal", "'1 day'"),
        ("U&'x'", "not supported", "E'…'"),
        ("x'1F'", "not supported", "E'…'"),
        ("'a' 'b'", "two strings", "||"),
        ("'open", "not closed", ""),
        (r"E'\x41'", "escape in the string is not supported", r"\n"),
        ('"open', "not closed", ""),
        ("$$open", "parameters", ""),
        ("a b", "not an SQL expression", "brackets"),
        ("(a", "not an SQL expression", "brackets"),
        ("a)", "not an SQL expression", "brackets"),
        ("a, b", "not an SQL expression", "brackets"),
        ("case when a then 1", "not an SQL expression", "brackets"),
        ("(a).b", "a dot", "->>"),
        ("1..2", "is not understood", ""),
        ("0x1f", "is not understood", ""),
        ("1_000", "is not understood", ""),
        ("  ", "empty", "NULL"),
        ("a\0", "NUL", ""),
        ("a +- 1", "operator +-", "put a space"),
        ("(" * 5000 + "a" + ")" * 5000, "nested too deeply", "source"),
        ("a" + " || a" * 9000, "longer than", "source"),
    ],
)
def test_refusals(text: str, message: str, hint: str) -> None:
    error = refused(text)
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    "name", ["version", "filter", "values", "random", "now", "row", "unknown", "at", "date", "interval"]
)
def test_words_that_are_not_reserved_are_columns_where_the_table_has_them(name: str) -> None:
    table = Table("public", "t", (Column(name, "text"),), ())
    assert parse_expression(f"lower({name})", table, FUNCTIONS).sql == f'lower(s."{name}")'
    if name not in ("unknown", "date"):
        with pytest.raises(ExpressionError):
            parse_expression(f"{name}(1)", table, FunctionCatalog(frozenset(("now", "random"))))


def test_lineage_is_what_is_read() -> None:
    found = parse_expression("case when a = 'b' then lower(\"Name\") else j ->> 'first' end", USERS, FUNCTIONS)
    assert found.inputs == {"a", "Name", "j"}
    assert parse_expression("'a' || 1", USERS, FUNCTIONS).inputs == frozenset()


def test_age_of_two_times_is_allowed_and_only_of_two() -> None:
    assert sql("age(ts, ts)") == 'age(s."ts", s."ts")'
    assert "depends" in refused("age((ts), array[1,2][1], ts)").message


def test_pg_functions_are_refused_even_if_a_catalogue_lists_them() -> None:
    catalog = FunctionCatalog(frozenset(("pg_size_pretty", "now", "lower")))
    for text in ("pg_size_pretty(1)", "now()"):
        with pytest.raises(ExpressionError):
            parse_expression(text, USERS, catalog)


def test_the_hint_for_hints_reads_like_the_mapping() -> None:
    assert shown(parse_expression('lower("Name" || a)', USERS, FUNCTIONS)) == 'lower("Name" || a)'


def test_plain_columns() -> None:
    assert plain_column(parse_expression("((a))", USERS, FUNCTIONS)) == "a"
    assert plain_column(parse_expression("a::text", USERS, FUNCTIONS)) is None


@pytest.mark.parametrize(
    ("text", "of", "yes"),
    [
        ("a", "text", True),
        ("(a)::text", "bigint", True),
        ("a::bigint", "integer", True),
        ("a::bigint", "numeric", False),
        ("a::integer", "bigint", False),
        ("'x_' || a", "bigint", True),
        ("'x_' || a || '_y'", "uuid", True),
        ("a || '_y'", "character varying(20)", True),
        ("'x' || a", "jsonb", False),
        ("'x' || a", "character(3)", False),
        ("'x' || a::text", "timestamp(3) without time zone", True),
        ("'x' || a", "int(11)", True),
        ("'x' || a", "bigint unsigned", True),
        ("'x' || a", "varchar(20)", True),
        ("'x' || a::text", "datetime(6)", True),
        ("'x' || a", "double", False),
        ("a::bigint", "mediumint(8) unsigned", True),
        ("a::bigint", "numeric(20,0)", True),
        ("a::bigint", "numeric(20,2)", False),
        ("a::varchar(3)", "text", False),
        ("a::uuid", "text", False),
        ("a::text::bigint", "text", False),
        ("lower(a)", "text", False),
        ("a || a", "text", False),
        ("a + 1", "bigint", False),
        ("'x'", "text", False),
    ],
)
def test_injective(text: str, of: str, yes: bool) -> None:
    assert is_injective(parse_expression(text, USERS, FUNCTIONS), {"a": of}) is yes


@given(st.text(max_size=40))
@example("a;b")
@example("'\\' || a --'")
def test_any_text_is_refused_or_stable(text: str) -> None:
    """Nothing but ExpressionError is ever raised, and what comes out goes in again unchanged."""
    try:
        expression = parse_expression(text, USERS, FUNCTIONS)
    except ExpressionError:
        return
    assert parse_expression(expression.sql, USERS, FUNCTIONS) == expression


FRAGMENTS = [
    "a",
    '"Name"',
    "lower(",
    ")",
    "(",
    "'x'",
    "::",
    "text",
    "||",
    "-",
    "--",
    ";",
    "select",
    "from",
    "case",
    "when",
    "then",
    "end",
    "[",
    "]",
    "1",
    ",",
    ".",
    "s",
    "users",
    "in",
    "not",
    "is",
    "null",
    "pg_sleep",
    "as",
    "cast(",
    "array",
    "over",
    "*",
    "/*",
    "*/",
    "$$",
    "E'\\''",
    "interval",
    "union",
    "regclass",
]


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12))
def test_what_gets_through_holds_nothing_dangerous(pieces: list[str]) -> None:
    try:
        out = parse_expression(" ".join(pieces), USERS, FUNCTIONS).sql
    except ExpressionError:
        return
    found = [token.text for token in tokenize(out) if token.kind in (Kind.WORD, Kind.MARK, Kind.OPERATOR)]
    assert {"select", "over", "union", "pg_sleep", "regclass", ";", "--"}.isdisjoint(found)
    assert found.count("(") == found.count(")")


@given(st.text(min_size=1, max_size=20).filter(lambda t: "\0" not in t))
def test_any_column_name_can_be_quoted(name: str) -> None:
    table = Table("public", "t", (Column(name, "text"),), ())
    expression = parse_expression(quote(name), table, FUNCTIONS)
    assert expression.inputs == {name}
    assert expression.sql == f"s.{quote(name)}"


@given(
    st.text(max_size=30).filter(
        lambda t: "\0" not in t and t.strip().lower() not in {"now", "today", "tomorrow", "yesterday"}
    )
)
def test_any_text_can_be_a_constant(value: str) -> None:
    literal = "'" + value.replace("'", "''") + "'"
    expression = parse_expression(literal, USERS, FUNCTIONS)
    assert expression.sql == literal
    assert expression.inputs == frozenset()


def test_sqlglot_is_only_imported_when_something_is_parsed() -> None:
    code = "import sys, mappers.resolve, mappers.projection, mappers.types; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=".").returncode == 0
