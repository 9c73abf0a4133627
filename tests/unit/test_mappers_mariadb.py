"""MariaDB's dialect: what gets through, exactly as it will run; what is refused, with the hint; what fits what."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mappers.dialects import MARIADB
from mappers.dialects.mariadb.functions import MariaFunctions
from mappers.dialects.mariadb.lexer import tokenize
from mappers.expressions import ExpressionError, is_injective, parse_expression, plain_column, shown
from mappers.mapping import Column, Expression, Table
from mappers.names import quote, words
from mappers.nulls import possibly_null, proven_present
from mappers.resolve import resolve
from mappers.spec import TableSpec
from mappers.tokens import Kind
from mappers.types import compare_types, widens

NAMES = ["id", "a", "b", "n", "d", "Name", "twice", "TWICE", "day", "order", "key", "user", 'we"ird', "ünï"]
USERS = Table("public", "Users", tuple(Column(name, "text") for name in NAMES), ("id",))
BACKSLASH = "char(92 USING utf8mb4)"


def parsed(text: str, table: Table = USERS) -> Expression:
    return parse_expression(text, table, MariaFunctions(), MARIADB)


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parsed(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("ID", 's."id"'),
        ("name", 's."Name"'),
        ("`NAME`", 's."Name"'),
        ('"name"', 's."Name"'),
        ("TWICE", 's."TWICE"'),
        ("users.a = s.b", 's."a" = s."b"'),
        ('"we""ird"', 's."we""ird"'),
        ("ünï", 's."ünï"'),
        ("`order`", 's."order"'),
        ("key", 's."key"'),
        ("user", 's."user"'),
        ("concat('legacy_', id)", "concat('legacy_', s.\"id\")"),
        (r"'a\'b\n'", "'a''b\n'"),
        (r"'a\\b'", f"concat('a', {BACKSLASH}, 'b')"),
        (r"a regexp '\\d'", f"s.\"a\" REGEXP concat('', {BACKSLASH}, 'd')"),
        ("a like 'x!%' escape '!'", "s.\"a\" LIKE 'x!%' ESCAPE '!'"),
        ("cast(a as unsigned integer)", 'cast(s."a" AS UNSIGNED)'),
        ("cast(a as character varying(20))", 'cast(s."a" AS CHAR(20))'),
        ("cast(a as bigint)", 'cast(s."a" AS SIGNED)'),
        ("cast(a as numeric(10,2))", 'cast(s."a" AS DECIMAL(10, 2))'),
        ("cast(a as datetime(6))", 'cast(s."a" AS DATETIME(6))'),
        ("cast(a as inet6)", 'cast(s."a" AS INET6)'),
        ("replace(a, 'x', 'y')", "replace(s.\"a\", 'x', 'y')"),
        ("d + interval 1 day", 's."d" + INTERVAL 1 DAY'),
        ("d - interval n + 1 day", 's."d" - INTERVAL (s."n" + 1) DAY'),
        ("d - interval day day", 's."d" - INTERVAL (s."day") DAY'),
        ("d + interval '1:30' minute_second", "s.\"d\" + INTERVAL '1:30' MINUTE_SECOND"),
        ("timestampdiff(second, d, d)", 'timestampdiff(SECOND, s."d", s."d")'),
        ("extract(year from d)", 'extract(year FROM s."d")'),
        ("mod(n, 2) + n mod 2 + n div 2", 'mod(s."n", 2) + s."n" MOD 2 + s."n" DIV 2'),
        ("convert(a using utf8mb4)", 'convert(s."a" USING utf8mb4)'),
        ("trim(both 'x' from a)", "trim(BOTH 'x' FROM s.\"a\")"),
        ("if(a <=> b, 1, 0)", 'if(s."a" <=> s."b", 1, 0)'),
        ("a is not unknown", 's."a" IS NOT UNKNOWN'),
        ("a collate utf8mb4_bin = 'x'", "s.\"a\" COLLATE utf8mb4_bin = 'x'"),
        ("unix_timestamp(d)", 'unix_timestamp(s."d")'),
        ("convert_tz(d, '+00:00', '-5:30')", "convert_tz(s.\"d\", '+00:00', '-5:30')"),
        ("date '2020-01-31'", "date '2020-01-31'"),
        ("day", 's."day"'),
    ],
)
def test_what_runs_is_what_was_meant(text: str, runs: str) -> None:
    assert parsed(text).sql == runs
    assert parsed(runs).sql == runs, "rendering is stable"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a || b", "operator ||", "concat(a, b)"),
        ("a && b", "operator &&", "AND"),
        ("!a", "operator !", "NOT"),
        ("a -> '$.x'", "operator ->", "json_extract"),
        ("a::text", ":: is PostgreSQL's", "cast(x as type)"),
        ("a -- hidden", "a comment", "YAML"),
        ("a # hidden", "a comment", "YAML"),
        ("a /*! hidden */", "a comment", "YAML"),
        ("a;", "a semicolon", "one expression"),
        ("@x", "variables", "the value itself"),
        ("@@sql_mode", "variables", "the value itself"),
        ("n := 1", "operator :=", "the value itself"),
        ("?", "variables", "the value itself"),
        ("x'41'", "literals written", "unhex"),
        ("0x41", "literals written", "unhex"),
        ("b'101'", "literals written", "unhex"),
        ("_latin1'a'", "literals written", "unhex"),
        ("N'a'", "literals written", "unhex"),
        (r"'a\0'", "NUL", "leave it out"),
        (r"'a\'", "a quote is not closed", ""),
        (r"a like '100\%'", "a backslash in a pattern", "escape '!'"),
        ("'a' 'b'", "two strings", "join them"),
        ("(select 1)", "SELECT is not allowed", "no subqueries"),
        ("exists(select 1)", "EXISTS is not allowed", "no subqueries"),
        ("a = any(select 1)", "ANY is not allowed", "no subqueries"),
        ("match(a) against ('x')", "MATCH is not allowed", "no subqueries"),
        ("values(a)", "VALUES is not allowed", "no subqueries"),
        ("binary a", "BINARY is not allowed", "no subqueries"),
        ("row(1, 2)", "ROW is not allowed", "no subqueries"),
        ("now()", "depends on when", "source column"),
        ("current_timestamp", "depends on when", "source column"),
        ("rand(1)", "depends on when", "source column"),
        ("uuid()", "depends on when", "source column"),
        ("user()", "depends on when", "source column"),
        ("last_insert_id()", "depends on when", "source column"),
        ("get_lock('x', 1)", "depends on when", "source column"),
        ("sleep(1)", "depends on when", "source column"),
        ("load_file('/etc/passwd')", "depends on when", "source column"),
        ("unix_timestamp()", "depends on when", "source column"),
        ("convert_tz(d, 'UTC', 'Europe/Berlin')", "names of zones", "offsets"),
        ("convert_tz(d, a, '+00:00')", "names of zones", "offsets"),
        ("count(*)", "over many rows", "one source row"),
        ("group_concat(a)", "over many rows", "one source row"),
        ("lowr(a)", "not allowed or does not exist", "did you mean lower?"),
        ("slugify(a)", "not allowed or does not exist", "MariaDB's own functions"),
        ("convert(a, char)", "convert(x, type)", "cast(x as type)"),
        ("convert(a using koi8r)", "character set koi8r", "utf8mb4"),
        ("cast(a as timestamp)", "a cast to timestamp", "datetime(6)"),
        ("cast(a as boolean)", "a cast to boolean", "x <> 0"),
        ("cast(a as smallint)", "a cast to smallint", "signed"),
        ("cast(a as json)", "a cast to json", "char"),
        ("cast(a as decimal)", "decimal without digits", "decimal(p, s)"),
        ("cast(a as date(3))", "DATE takes no number", "cast(x as date)"),
        ("cast(a as enum('x'))", "a cast to enum", "char"),
        ("d + interval 1", "INTERVAL needs", "interval 1 day"),
        ("timestampdiff(a, d, d)", "is a unit of time", "timestampdiff(second"),
        ("a collate utf8mb4_general_ci", "collations", "utf8mb4_nopad_bin"),
        ("order", "order is a reserved word", '"order"'),
        ("Twice", "Twice could be twice or TWICE", "as the source has it"),
        ("nme", "public.Users has no column nme", "did you mean Name?"),
        ("other.a", "other is not the source table", "public.Users"),
        ("a=-1", "operator =-", "a space"),
        ("'x", "a quote is not closed", ""),
        ("", "the expression is empty", "NULL"),
    ],
)
def test_what_is_refused_says_what_to_write(text: str, message: str, hint: str) -> None:
    error = refused(text)
    assert message in error.message
    assert hint in error.hint


@given(st.text(max_size=40))
@example("a;b")
@example("'\\' or a #'")
@example("interval")
@example("interval day")
def test_any_text_is_refused_or_stable(text: str) -> None:
    """Nothing but ExpressionError is ever raised, and what comes out goes in again unchanged."""
    try:
        expression = parsed(text)
    except ExpressionError:
        return
    assert parsed(expression.sql) == expression


FRAGMENTS = sorted(
    words(
        r"a `Name` lower( ) ( 'x' '\\' || - -- # ; select from case when then end 1 , . s users in not is null sleep "
        "as cast( char interval day mod over * /* */ @ union convert( using utf8mb4 like timestampdiff( second char("
    )
)


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12))
def test_what_gets_through_holds_nothing_dangerous(pieces: list[str]) -> None:
    try:
        out = parsed(" ".join(pieces)).sql
    except ExpressionError:
        return
    assert "\\" not in out
    found = [token.text for token in tokenize(out) if token.kind in (Kind.WORD, Kind.MARK, Kind.OPERATOR)]
    assert {"select", "over", "union", "sleep", ";", "--", "||"}.isdisjoint(found)
    assert found.count("(") == found.count(")")


@given(st.text(min_size=1, max_size=20).filter(lambda t: "\0" not in t))
def test_any_column_name_can_be_quoted(name: str) -> None:
    table = Table("d", "t", (Column(name, "text"),), ())
    assert parsed(quote(name), table).inputs == {name}
    assert parsed("`" + name.replace("`", "``") + "`", table).sql == f"s.{quote(name)}"


@given(st.text(max_size=30).filter(lambda t: "\0" not in t))
def test_any_text_can_be_a_constant_and_no_mode_matters(value: str) -> None:
    out = parsed("'" + value.replace("\\", "\\\\").replace("'", "''") + "'").sql
    assert "\\" not in out
    pieces = [token.text[1:-1].replace("''", "'") for token in tokenize(out) if token.kind is Kind.STRING]
    assert "\\".join(pieces) == value


@pytest.mark.parametrize("kind", ["time", "time(3)", "time without time zone"])
def test_a_time_of_day_is_no_date(kind: str) -> None:
    table = Table("d", "t", (Column("x", kind),), ())
    with pytest.raises(ExpressionError, match="the day on which it is asked"):
        parsed("cast(x as datetime(6))", table)
    assert parsed("cast(x as time)", table)
    assert parsed("cast(x as datetime)", Table("d", "t", (Column("x", "timestamp(3)"),), ()))


def test_helpers_know_the_dialect() -> None:
    assert plain_column(parsed("((name))")) == "Name"
    assert shown(parsed("concat(Name, a)")) == 'concat("Name", a)'
    assert proven_present(parsed("a is not null and (b = 'x' or b regexp 'y')")) == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "of", "yes"),
    [
        ("a", "text", True),
        ("concat('x_', a)", "bigint", True),
        ("concat('x_', a, '_y')", "bigint(20) unsigned", True),
        ("concat('x_', cast(a as char))", "uuid", True),
        (r"concat('x\\', a)", "int(11)", True),
        ("concat('x_', a)", "character varying(20)", True),
        ("concat('x_', a)", "double precision", False),
        ("concat('x_', a)", "float", False),
        ("concat(a, b)", "text", False),
        ("concat(a, a)", "text", False),
        ("cast(a as char)", "datetime(6)", True),
        ("cast(a as char(3))", "text", True),
        ("cast(a as signed)", "integer", True),
        ("cast(a as signed)", "text", False),
        ("cast(a as unsigned)", "bigint", False),
        ("hex(a)", "binary(16)", True),
        ("lower(a)", "text", False),
        ("a + 1", "bigint", False),
        ("'x'", "text", False),
    ],
)
def test_injective(text: str, of: str, yes: bool) -> None:
    assert is_injective(parsed(text), {"a": of, "b": of}) is yes


@pytest.mark.parametrize(
    "text",
    [
        "a", "concat(a, 'x')", "coalesce(n, 1)", "ifnull(n, 0)", "if(n is null, 0, n)", "if(n > 1, n, 0)", "n is null",
        "case when n is not null then n else 0 end", "concat_ws(',', n, n)", "cast(a as signed)", "a / 2", "a <=> n",
        "replace(a, 'x', 'y')", "isnull(n)", "field(n, 'x')", "year(a)", "'x'", "nvl(n, 'x')",
    ],
)  # fmt: skip
def test_never_null(text: str) -> None:
    assert not possibly_null(parsed(text), ["n"])


@pytest.mark.parametrize(
    "text",
    [
        "n", "concat(a, n)", "nullif(a, 'x')", "if(a, n, 1)", "if(a, 1, null)", "case when a then 1 end", "sqrt(a)",
        "json_value(a, '$.x')", "str_to_date(a, '%Y')", "elt(1, a)", "unhex(a)", "inet_aton(a)", "greatest(a, n)",
        "a + interval 1 day", "date_add(a, interval 1 day)", "concat_ws(n, a)", "regexp_replace(n, 'x', '')", "null",
        "dayname(a)", "datediff(a, a)", "coalesce(n, null)",
    ],
)  # fmt: skip
def test_possibly_null(text: str) -> None:
    assert possibly_null(parsed(text), ["n"])


WIDENS: Sequence[tuple[str, str]] = [
    ("int(11)", "int(10)"),
    ("int", "bigint(20)"),
    ("tinyint(1)", "boolean"),
    ("int(10) unsigned", "bigint(20)"),
    ("smallint(5) unsigned", "mediumint(8)"),
    ("int(11)", "decimal(10,0)"),
    ("int(11)", "double"),
    ("smallint(6)", "float"),
    ("bit(3)", "bit(8)"),
    ("bit(3)", "tinyint(4)"),
    ("year(4)", "year(4)"),
    ("decimal(10,2)", "decimal(12,2)"),
    ("decimal(10,2) unsigned", "decimal(10,2)"),
    ("float", "double"),
    ("double(17,0)", "double"),
    ("char(5)", "varchar(5)"),
    ("char(5)", "char(6)"),
    ("varchar(5)", "varchar(5)"),
    ("varchar(63)", "tinytext"),
    ("varchar(16383)", "text"),
    ("varchar(20) character set latin1", "varchar(20)"),
    ("varchar(20) character set ascii", "varchar(20) character set latin1"),
    ("varchar(255)", "text character set utf8mb4 collate utf8mb4_bin"),
    ("text", "mediumtext"),
    ("longtext", "json"),
    ("json", "longtext"),
    ("date", "datetime"),
    ("datetime", "datetime(3)"),
    ("timestamp(3)", "datetime(6)"),
    ("timestamp", "timestamp(3)"),
    ("time", "time(6)"),
    ("enum('a','b')", "enum('b','a','c')"),
    ("enum('it''s')", "enum('it''s','x')"),
    ("set('a','b')", "set('x','a','y','b')"),
    ("binary(4)", "varbinary(4)"),
    ("varbinary(255)", "tinyblob"),
    ("blob", "longblob"),
    ("uuid", "uuid"),
    ("point", "geometry"),
    ("binary(0)", "date"),
]
NARROWS: Sequence[tuple[str, str]] = [
    ("bigint(20)", "int(11)"),
    ("int(11)", "int(10) unsigned"),
    ("bigint(20) unsigned", "bigint(20)"),
    ("bigint(20)", "double"),
    ("int(11)", "float"),
    ("int(11)", "decimal(9,0)"),
    ("int(11)", "decimal(12,2) unsigned"),
    ("int(11)", "varchar(20)"),
    ("int(11)", "year(4)"),
    ("int(11)", "double(10,2)"),
    ("bit(8)", "tinyint(4)"),
    ("decimal(10,2)", "decimal(10,1)"),
    ("decimal(10,2)", "decimal(10,3)"),
    ("decimal(10,2)", "decimal(10,2) unsigned"),
    ("decimal(10,2)", "double"),
    ("decimal(10,0)", "bigint(20)"),
    ("double", "float"),
    ("double", "double(10,2)"),
    ("varchar(5)", "char(5)"),
    ("varchar(6)", "varchar(5)"),
    ("text", "varchar(16383)"),
    ("tinytext", "char(255)"),
    ("varchar(16384)", "text"),
    ("varchar(64)", "tinytext"),
    ("longtext", "text"),
    ("varchar(20)", "varchar(20) character set latin1"),
    ("varchar(20)", "varchar(20) character set utf8mb3"),
    ("text character set latin1", "text"),
    ("varchar(20)", "enum('a')"),
    ("enum('a','b')", "enum('a')"),
    ("enum('a')", "enum('A')"),
    ("enum('a')", "varchar(20)"),
    ("set('a','b')", "set('b','a')"),
    ("datetime", "date"),
    ("datetime", "timestamp"),
    ("datetime(6)", "datetime(3)"),
    ("date", "timestamp"),
    ("time(3)", "time"),
    ("varbinary(4)", "binary(4)"),
    ("binary(4)", "binary(5)"),
    ("varbinary(300)", "tinyblob"),
    ("varchar(20)", "varbinary(80)"),
    ("blob", "text"),
    ("varchar(36)", "uuid"),
    ("uuid", "varchar(36)"),
    ("geometry", "point"),
    ("varchar(20) /*M!100301 COMPRESSED*/", "varchar(20)"),
]


@pytest.mark.parametrize(("narrow", "wide"), WIDENS)
def test_widens(narrow: str, wide: str) -> None:
    assert widens(narrow, wide, MARIADB)


@pytest.mark.parametrize(("source", "target"), NARROWS)
def test_does_not_widen(source: str, target: str) -> None:
    assert not widens(source, target, MARIADB)


def test_widening_is_transitive() -> None:
    types = sorted({name for pair in (*WIDENS, *NARROWS) for name in pair} - {"binary(0)"})
    wider = {(a, b) for a in types for b in types if widens(a, b, MARIADB)}
    lost = [(a, b, c) for a, b in wider for x, c in wider if x == b and not widens(a, c, MARIADB)]
    assert lost == []


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_spelling_is_judged(one: str, other: str) -> None:
    assert widens(one, other, MARIADB) in (True, False)


@pytest.mark.parametrize(
    ("text", "made", "wanted", "hint"),
    [
        ("a = b", "int(1)", "tinyint(1)", None),
        ("a = b or n", "int(1)", "bit(1)", None),
        ("if(a, 1, 0)", "int(2)", "tinyint(3) unsigned", None),
        ("if(a, 1, -1)", "int(2)", "tinyint(3) unsigned", "cast(if(a, 1, - 1) as unsigned)"),
        ("300", "int(3)", "tinyint(4)", "cast(300 as signed)"),
        ("1999", "int(4)", "year(4)", None),
        ("99", "int(2)", "year(4)", "change the column's type"),
        ("cast(a as signed)", "bigint(20)", "smallint(6)", None),
        ("coalesce(cast(a as signed), 0)", "bigint(20)", "smallint(6)", None),
        ("cast(n as unsigned)", "bigint(20) unsigned", "int(10) unsigned", None),
        ("cast(a as binary(16))", "varbinary(16)", "binary(16)", None),
        ("cast(a as binary(15))", "varbinary(15)", "binary(16)", "as binary(16))"),
        ("cast(a as signed) + 1", "bigint(22)", "smallint(6)", "as signed"),
        ("cast(a as char(5))", "varchar(5)", "char(5)", None),
        ("cast(a as char(6))", "varchar(6)", "char(5)", "cast(cast(a AS CHAR(6)) as char(5)), which cuts"),
        ("a", "varchar(50)", "char(50)", "cast(a as char(50)), which cuts"),
        ("'x'", "varchar(1)", "char(5)", None),
        ("'x '", "varchar(2)", "char(5)", "cast('x ' as char(5))"),
        ("a", "longtext", "varchar(255)", "cast(a as char(255)), which cuts longer values"),
        ("a", "longtext", "text", "MODIFY the column to longtext, or write cast(a as char(16383))"),
        ("a", "varchar(20)", "varchar(20) character set latin1", "CHARACTER SET utf8mb4"),
        ("cast(n as decimal(20,2))", "decimal(20,2)", "decimal(10,2)", None),
        ("cast(n as decimal(20,3))", "decimal(20,3)", "decimal(10,2)", "as decimal(10, 2)), which rounds"),
        ("n / 100", "decimal(14,4)", "decimal(12,2)", "cast(n / 100 as decimal(12, 2)), which rounds"),
        ("cast(d as datetime(3))", "datetime(3)", "timestamp(3)", None),
        ("cast(d as datetime(6))", "datetime(6)", "timestamp(3)", "as datetime(3))"),
        ("d", "datetime", "timestamp", "cast(d as datetime)"),
        ("case a when 'x' then 'new' else 'old' end", "varchar(3)", "enum('old','new')", None),
        ("case a when 'x' then 'New' else 'old' end", "varchar(3)", "enum('old','new')", "the column's own labels"),
        ("case a when 'x' then '1' else 2 end", "varchar(1)", "enum('1','2')", "the column's own labels"),
        ("a", "varchar(3)", "enum('x')", "write case a when 'x' then 'x' … end"),
        ("null", "binary(0)", "geometry", None),
        ("a", "varchar(3)", "geometry", "change the column's type"),
        ("a", "varchar(36)", "uuid", "cast(a as uuid)"),
        ("a", "varchar(36)", "inet6", "cast(a as inet6)"),
        ("n", "double", "double(10,2)", "MODIFY the column to double"),
        ("n", "int(11)", "double(10,2) zerofill odd", "leave the column out"),
    ],
)
def test_what_the_mapping_itself_says_of_a_type(text: str, made: str, wanted: str, hint: str | None) -> None:
    columns = (Column("id", "bigint"), Column("x", wanted, nullable=True))
    targets = {"public.t": Table("public", "t", columns, ("id",))}
    spec = TableSpec.model_validate({"from": "public.Users", "to": "t", "columns": {"id": "id", "x": text}})
    spec = spec.model_copy(update={"source": 'public."Users"'})
    (entry,) = resolve([spec], {"public.Users": SOURCE}, targets, MariaFunctions(), dialect=MARIADB)
    problems = compare_types(entry, [("id", "bigint(20)"), ("x", made)])
    assert [problem.path for problem in problems] == ([] if hint is None else [("tables", 0, "columns", "x")])
    assert all(hint in problem.hint and made in problem.message for problem in problems if hint)


SOURCE = Table(
    "public",
    "Users",
    tuple(Column(name, "bigint" if name == "id" else "text", name != "id") for name in NAMES),
    ("id",),
)
