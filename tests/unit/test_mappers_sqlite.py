"""SQLite's dialect: what gets through, exactly as it will run; what is refused; which values a column keeps."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mappers.dialects import SQLITE
from mappers.dialects.sqlite.affinity import affinity
from mappers.dialects.sqlite.functions import STEADY, SqliteFunctions
from mappers.dialects.sqlite.lexer import tokenize
from mappers.dialects.sqlite.storage import UNKNOWN, WORDS, staged_classes, storage_class
from mappers.expressions import ExpressionError, is_injective, parse_expression
from mappers.mapping import Column, Expression, Table
from mappers.names import quote, words
from mappers.nulls import possibly_null, proven_present
from mappers.resolve import resolve
from mappers.spec import TableSpec
from mappers.tokens import Kind
from mappers.types import compare_types, widens

STAGED = {
    "id": "INTEGER",
    "a": "TEXT",
    "b": "TEXT",
    "n": "INTEGER",
    "f": "REAL",
    "d": "TEXT",
    "bl": "BLOB",
    "Name": "TEXT",
}
TYPES = {"d": "date", "id": "bigint", "n": "integer"}
TABLE = Table("public", "t", tuple(Column(name, TYPES.get(name, "text"), name != "id") for name in STAGED), ("id",))
FUNCTIONS = SqliteFunctions(STEADY)


def parsed(text: str, table: Table = TABLE) -> Expression:
    return parse_expression(text, table, FUNCTIONS, SQLITE)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("name", 's."Name"'),
        ("`NAME`", 's."Name"'),
        ('"name"', 's."Name"'),
        ("t.a", 's."a"'),
        ("'ord_' || id", "'ord_' || s.\"id\""),
        (r"'a\b'", r"'a\b'"),
        ("x'01FF'", "x'01FF'"),
        ("a == b", 's."a" == s."b"'),
        ("a is not b", 's."a" IS NOT s."b"'),
        ("a is not distinct from b", 's."a" IS NOT DISTINCT FROM s."b"'),
        ("a notnull", 's."a" NOTNULL'),
        ("a glob 'x*'", "s.\"a\" GLOB 'x*'"),
        ("glob('x*', a)", "GLOB ('x*', s.\"a\")"),
        ("a collate nocase = b", 's."a" COLLATE nocase = s."b"'),
        ("cast(a as double precision)", 'cast(s."a" AS REAL)'),
        ("cast(a as bigint)", 'cast(s."a" AS INTEGER)'),
        ("replace(a, 'x', 'y')", "replace(s.\"a\", 'x', 'y')"),
        ("date(d, '+1 day')", "date(s.\"d\", '+1 day')"),
        ("date(d, n || ' days')", 'date(s."d", s."n" || \' days\')'),
        ("strftime('%Y', d)", "strftime('%Y', s.\"d\")"),
        ("max(n, 0)", 'max(s."n", 0)'),
        ("a || (n + 1)", 's."a" || (s."n" + 1)'),
        ("a ->> '$.x'", "s.\"a\" ->> '$.x'"),
        ("iif(n > 0, a, b)", 'iif(s."n" > 0, s."a", s."b")'),
    ],
)
def test_what_runs_is_what_was_meant(text: str, runs: str) -> None:
    assert parsed(text).sql == runs
    assert parsed(runs).sql == runs, "rendering is stable"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a::text", ":: is PostgreSQL's", "cast(x as type)"),
        ("[a]", "names in brackets", '"name"'),
        ("a -- hidden", "a comment", "YAML"),
        ("a /* hidden */", "a comment", "YAML"),
        (":a", "variables", "the value itself"),
        ("?1", "variables", "the value itself"),
        ("a;", "a semicolon", "one expression"),
        ("(select 1)", "SELECT is not allowed", "no subqueries"),
        ("a in t", "has no column t", "there are"),
        ("a match 'x'", "MATCH is not allowed", "no subqueries"),
        ("a regexp 'x'", "REGEXP is not allowed", "no subqueries"),
        ("date '2020-01-01'", "no date literals", "the text alone"),
        ("cast(a as varchar(20))", "a cast to varchar", "substr(x, 1, 20)"),
        ("cast(a as boolean)", "a cast to boolean", "x <> 0"),
        ("cast(a as date)", "a cast to date", "date(x)"),
        ("cast(a as timestamp)", "a cast to timestamp", "datetime(x)"),
        ("cast(a as decimal(10,2))", "a cast to decimal", "round(x * 100)"),
        ("cast(a as numeric(10,2))", "does not heed", "round(x, 2)"),
        ("cast(a as money)", "a cast to money", "integer, real"),
        ("current_timestamp", "depends on when", "source column"),
        ("random()", "depends on when", "source column"),
        ("now()", "depends on when", "source column"),
        ("date()", "date depends on when", "'now'"),
        ("date('now')", "date depends on when", "'now'"),
        ("date(' NOW ')", "date depends on when", "'now'"),
        ("strftime('%Y')", "strftime depends on when", "'now'"),
        ("datetime(d, 'localtime')", "datetime depends on when", "'localtime'"),
        ("datetime(d, coalesce(a, 'utc'))", "datetime depends on when", "'utc'"),
        ("date(d, a)", "a modifier of date", "'+1 day'"),
        ("max(n)", "over many rows", "one source row"),
        ("count(a)", "over many rows", "one source row"),
        ("load_extension(a)", "depends on when", "source column"),
        ("slugify(a)", "not allowed or does not exist", "SQLite's own functions"),
        ("nme", "public.t has no column nme", "did you mean Name?"),
    ],
)
def test_what_is_refused_says_what_to_write(text: str, message: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parsed(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_function_that_this_build_has_not_is_refused() -> None:
    with pytest.raises(ExpressionError, match="has no function unhex"):
        parse_expression("unhex(a)", TABLE, SqliteFunctions(STEADY - {"unhex"}), SQLITE)


@given(st.text(max_size=40))
@example("a;b")
@example("x'0'")
def test_any_text_is_refused_or_stable(text: str) -> None:
    """Nothing but ExpressionError is ever raised, and what comes out goes in again unchanged."""
    try:
        expression = parsed(text)
    except ExpressionError:
        return
    assert parsed(expression.sql) == expression


FRAGMENTS = sorted(
    words(
        "a `Name` lower( ) ( 'x' || - -- ; select from case when then end 1 , . s t in not is null random as cast( "
        "text over * /* */ ? union distinct glob like -> date( 'now' raise collate nocase isnull"
    )
)


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12))
def test_what_gets_through_holds_nothing_dangerous(pieces: list[str]) -> None:
    try:
        out = parsed(" ".join(pieces)).sql
    except ExpressionError:
        return
    found = [token.text for token in tokenize(out) if token.kind in (Kind.WORD, Kind.MARK, Kind.OPERATOR)]
    assert {"select", "over", "union", "random", "raise", ";", "--"}.isdisjoint(found)
    assert found.count("(") == found.count(")")


@given(st.text(min_size=1, max_size=20).filter(lambda t: "\0" not in t))
def test_any_column_name_can_be_quoted(name: str) -> None:
    table = Table("d", "t", (Column(name, "text"),), ())
    assert parsed(quote(name), table).sql == f"s.{quote(name)}"


CLASSES = """
TEXT: a
TEXT: '12'
TEXT: a || n
TEXT: cast(n as text)
TEXT: strftime('%Y', d)
TEXT: coalesce(a, 'x')
TEXT: substr(a, 1)
TEXT: a -> 'x'
TEXT: a collate nocase
WORDS: d
WORDS: 'a'
WORDS: cast(d as text)
WORDS: date(a)
WORDS: iif(n, d, null)
INTEGER: n
INTEGER: true
INTEGER: 12
INTEGER: n + 1
INTEGER: -n
INTEGER: n / 2
INTEGER: n & 1
INTEGER: a = b
INTEGER: not a
INTEGER: a is null
INTEGER: a like 'x'
INTEGER: cast(a as integer)
INTEGER: coalesce(n, null)
INTEGER: case when n then 1 else 2 end
INTEGER: nullif(n, 0)
INTEGER: max(n, 1)
INTEGER: abs(n)
INTEGER: length(a)
INTEGER: unixepoch(d)
REAL: f
REAL: 1.0
REAL: 99999999999999999999
REAL: n * f
REAL: cast(a as real)
REAL: round(n)
BLOB: bl
BLOB: x'00'
NULL: null
None: a + 1
None: -a
None: coalesce(n, f)
None: case when n then 1 else 'x' end
None: max(n, f)
None: abs(a)
None: substr(bl, 1)
None: a ->> 'x'
None: json_extract(a, '$')
None: (a || n) + 1
None: unixepoch(d, 'subsec')
NUMERIC: cast(a as numeric)
""".strip().splitlines()
NAMED = {"WORDS": WORDS, "None": None}


@pytest.mark.parametrize("case", CLASSES)
def test_storage_class(case: str) -> None:
    made, _, text = case.partition(": ")
    assert storage_class(parsed(text), staged_classes(TABLE, STAGED)) == NAMED.get(made, made)


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("INTEGER", "INTEGER"), ("int", "INTEGER"), ("BIGINT UNSIGNED", "INTEGER"), ("FLOATING POINT", "INTEGER"),
        ("VARCHAR(20)", "TEXT"), ("CLOB", "TEXT"), ("text", "TEXT"), ("BLOB", "NONE"), ("", "NONE"), ("REAL", "REAL"),
        ("DOUBLE PRECISION", "REAL"), ("FLOAT", "REAL"), ("DECIMAL(10,2)", "NUMERIC"), ("BOOLEAN", "NUMERIC"),
        ("DATETIME", "NUMERIC"), ("STRING", "NUMERIC"), ("JSON", "NUMERIC"), ("ANY", "NONE"),
        ("text COLLATE NOCASE", "TEXT"),
    ],
)  # fmt: skip
def test_affinity(declared: str, kept: str) -> None:
    assert affinity(declared) == kept


@pytest.mark.parametrize(
    ("text", "wanted", "hint"),
    [
        ("n", "INTEGER", None),
        ("n", "DECIMAL(10,2)", None),
        ("d", "DATE", None),
        ("a", "VARCHAR(3)", None),
        ("bl", "BLOB", None),
        ("a ->> 'x'", "", None),
        ("null", "REAL", None),
        ("a = 'x'", "BOOLEAN", None),
        ("cast(a as numeric)", "DECIMAL(10,2)", None),
        ("a", "INTEGER", "write cast(a as integer), which reads other text as 0"),
        ("f", "INTEGER", "write cast(f as integer)"),
        ("n", "TEXT", "write cast(n as text)"),
        ("n", "REAL", "write cast(n as real)"),
        ("a ->> 'x'", "TEXT", "write cast(a ->> 'x' as text)"),
        ("a", "DECIMAL(10,2)", "declare the column TEXT"),
        ("a", "DATETIME", "declare the column TEXT"),
        ("f", "NUMERIC", "declare the column REAL"),
        ("bl", "NUMERIC", "declare the column without a type"),
        ("a", "BLOB", "write cast(a as blob)"),
        ("bl", "TEXT", "write cast(bl as text)"),
    ],
)
def test_what_a_column_keeps(text: str, wanted: str, hint: str | None) -> None:
    target = Table("main", "x", (Column("id", "INTEGER"), Column("v", wanted)), ("id",))
    spec = TableSpec.model_validate({"from": "t", "to": "main.x", "columns": {"id": "id", "v": text}})
    (entry,) = resolve([spec], {"public.t": TABLE}, {"main.x": target}, FUNCTIONS, dialect=SQLITE)
    staged = staged_classes(TABLE, STAGED)
    described = [(c.name, storage_class(c.expression, staged) or UNKNOWN) for c in entry.columns]
    problems = compare_types(entry, described)
    assert len(problems) == (hint is not None)
    assert all(hint in problem.hint for problem in problems if hint)
    assert widens("INTEGER", "INTEGER", SQLITE)


@pytest.mark.parametrize(
    ("text", "of", "yes"),
    [
        ("a", "text", True),
        ("'x' || a", "bigint", True),
        ("'x' || a || 'y'", "uuid", True),
        ("cast(a as text)", "int(11)", True),
        ("cast(a as integer)", "bigint", True),
        ("cast(a as integer)", "text", False),
        ("cast(a as real)", "bigint", False),
        ("'x' || a", "double precision", False),
        ("hex(a)", "bytea", True),
        ("a || b", "text", False),
        ("lower(a)", "text", False),
    ],
)
def test_injective(text: str, of: str, yes: bool) -> None:
    assert is_injective(parsed(text), {"a": of, "b": of}) is yes


@pytest.mark.parametrize(
    "text", ["a", "a || 'x'", "a / 2", "iif(n is null, 0, n)", "ifnull(n, 0)", "hex(n)", "n is a", "printf('%s', n)"]
)
def test_never_null(text: str) -> None:
    assert not possibly_null(parsed(text), ["n"])


@pytest.mark.parametrize(
    "text",
    ["n", "a / b", "a / 0", "a % (f)", "date(a)", "iif(a, n, 1)", "a -> 'x'", "max(a, n)", "substr(a, 1)", "n || a"],
)
def test_possibly_null(text: str) -> None:
    assert possibly_null(parsed(text), ["n"])


def test_what_a_filter_proves() -> None:
    assert proven_present(parsed("a is not null and b = 'x' and n is true")) == {"a", "b", "n"}
    assert proven_present(parsed("a is b")) == frozenset(), "both may be NULL"
