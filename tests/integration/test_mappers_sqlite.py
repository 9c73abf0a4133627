"""What runs on SQLite means what the user wrote, and its values have the storage class that was foretold.

Both forms are run by the library over the same rows; what is said to fit a column comes back from it as it was put in.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from mappers.dialects import SQLITE
from mappers.dialects.sqlite.affinity import affinity
from mappers.dialects.sqlite.functions import AGGREGATES, STEADY, UNSTEADY, SqliteFunctions
from mappers.dialects.sqlite.renderer import WORDS as SYNTAX
from mappers.dialects.sqlite.storage import NUMERIC, UNKNOWN, WORDS, staged_classes, storage_class
from mappers.expressions import ExpressionError, parse_expression
from mappers.mapping import Column, Expression, Table
from mappers.names import words
from mappers.nulls import possibly_null
from mappers.types import widens

EXPRESSIONS = r"""
a || ' ' || b
'ord_' || id
'it''s'
'a\b'
x'01ff'
name
`Name`
"name"
s.a
"order"
n + m
n - m
-n
n - -1
+ n
n * m * 2
n / m
n / 2
n % m
n % 2
f / 2
n * f
n & 3
n | 8
~ n
n << 2
n >> 1
n & 3 | 8
(n + m) * 2 / m
a || (n + m)
(a || n) || m
-n || a
a || n = b
a = b
a == b
a <> b
a != b
n < m
n <= m and not n >= m
n > m or n is null
a is b
a is not b
a is null
a is not null
a isnull
a notnull
not flag
flag is true
flag is not true
n in (1, 7)
n not in (1, 7)
n between 0 and 10
n not between 0 and 10
a like 'h%'
a not like 'h%'
a like 'a!%%' escape '!'
a glob 'H*'
a not glob 'H*'
a collate nocase = 'HELLO WORLD'
a = 'x' collate rtrim
case when n > 0 then 'pos' when n < 0 then 'neg' else 'zero' end
case n when 7 then 'seven' else 'other' end
case when flag then a end
case when n > 0 then n else m end
case when n > 0 then n else f end
iif(n > 0, a, b)
ifnull(b, 'x')
nullif(b, '')
coalesce(a, b, 'x')
coalesce(n, 0)
max(n, m)
min(n, m, 0)
max(n, f)
cast(n as text)
cast(a as text)
cast(a as integer)
cast(num as real)
cast(num as numeric)
cast(f as integer)
cast(f as int)
cast(n as double precision)
cast(a as blob)
cast(d as text)
date(d)
date(d, '+1 day')
date(d, n || ' days')
date(n, 'unixepoch')
time(dt)
datetime(dt)
datetime(dt, 'start of month', '+1 month', '-1 day')
strftime('%Y', d)
strftime('%Y-%m', d)
julianday(d)
unixepoch(dt)
lower(a)
upper(a)
trim(b)
trim(a, 'Hd')
ltrim(b)
rtrim(b)
replace(a, 'l', 'L')
substr(a, 2, 3)
substr(a, -2)
substring(a, 2)
substr(bl, 1, 1)
length(a)
length(bl)
instr(a, 'o')
hex(bl)
hex(a)
quote(a)
char(72, 105)
unicode('H')
unicode(b)
printf('%05d', n)
format('%s-%d', a, n)
printf('%.2f', f)
soundex('Robert')
typeof(n)
glob('H*', a)
like('h%', a)
abs(n)
abs(f)
sign(n)
sign(f)
round(f)
round(n)
round(f, 1)
ceil(f)
ceiling(f)
ceil(n)
floor(f)
trunc(f)
sqrt(abs(f))
pow(n, 2)
power(n, 2)
mod(n, 2)
exp(1)
ln(2)
log(100)
log(2, 8)
log2(8)
log10(100)
pi()
sin(f)
cos(f)
tan(f)
asin(0.5)
acos(0.5)
atan(f)
atan2(f, 2)
sinh(f)
cosh(f)
tanh(f)
asinh(f)
acosh(2)
atanh(0.5)
degrees(f)
radians(f)
zeroblob(2)
json(j)
json_array(a, n)
json_array_length('[1, 2]')
json_extract(j, '$.k')
json_insert(j, '$.z', 1)
json_object('a', a, 'n', n)
json_patch(j, '{"z": 1}')
json_quote(a)
json_remove(j, '$.k')
json_replace(j, '$.k', 2)
json_set(j, '$.k', 2)
json_type(j)
json_type(j, '$.k')
json_valid(j)
j -> 'k'
j ->> 'k'
j ->> '$.a.b'
j -> 'a' ->> 'b'
(j ->> 'k') || 'x'
NULL
TRUE
12
1.5e3 + .5 + 2.
9223372036854775807
99999999999999999999
'007'
a || null
iif(a is null, 'none', a)
"""
STAGED = {
    "id": "INTEGER", "a": "TEXT", "b": "TEXT", "n": "INTEGER", "m": "INTEGER", "f": "REAL", "num": "TEXT",
    "j": "TEXT", "d": "TEXT", "dt": "TEXT", "flag": "INTEGER", "bl": "BLOB", "Name": "TEXT", "order": "TEXT",
    "u": "TEXT",
}  # fmt: skip
TYPES = {"d": "date", "dt": "timestamp(6) without time zone", "u": "uuid", "num": "numeric(10,2)"}
ROWS = [
    (1, "Hello World", " x ", 7, 2, 1.5, "12.30", '{"a":{"b":"c"},"k":1}', "2024-02-29", "2024-02-29 12:34:56.789",
     1, b"\x01\xff", "Nm", "o", "123e4567-e89b-12d3-a456-426614174001"),
    (2, "007", "", -7, 3, -2.0, "-0.01", '{"k":null}', "1999-12-31", "1999-12-31 23:59:59", 0, b"", "", "",
     "00000000-0000-0000-0000-000000000002"),
    (3, "1.10", "Ünï", 0, 1, 0.25, "100000000000000000000.5", "{}", "2000-01-01", "2000-01-01 00:00:00", 1, b"abc",
     "N", "p", "12345678-0000-0000-0000-000000000003"),
    (4, *[None] * 14),
]  # fmt: skip
TABLE = Table("main", "t", tuple(Column(name, TYPES.get(name, "text")) for name in STAGED), ("id",))
WRITTEN = EXPRESSIONS.strip().splitlines()
NOT_IN_EVERY_BUILD = words("concat concat_ws octet_length timediff unhex")
"""Of SQLite's releases after 3.40."""
DECLARED = ("INTEGER", "VARCHAR(20)", "DOUBLE", "DECIMAL(10,2)", "DATETIME", "BOOLEAN", "BLOB", "", "FLOATING POINT")


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (" + ", ".join(f'"{name}" {kind}' for name, kind in STAGED.items()) + ")")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(STAGED))})", ROWS)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def functions(connection: sqlite3.Connection) -> SqliteFunctions:
    return SqliteFunctions(frozenset(row[0] for row in connection.execute(
        "SELECT name FROM pragma_function_list WHERE builtin AND type = 's' AND flags & 0x800"
    )))  # fmt: skip


def parsed(text: str, functions: SqliteFunctions) -> Expression:
    return parse_expression(text, TABLE, functions, SQLITE)


def values(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, str]]:
    return connection.execute(f"SELECT {sql}, typeof({sql}) FROM t AS s ORDER BY id").fetchall()


@pytest.mark.parametrize("text", WRITTEN)
def test_the_same_values_of_the_class_foretold(
    text: str, connection: sqlite3.Connection, functions: SqliteFunctions
) -> None:
    expression = parsed(text, functions)
    written, runs = values(connection, text), values(connection, expression.sql)
    assert runs == written
    said = storage_class(expression, staged_classes(TABLE, STAGED))
    allowed = {WORDS: {"text"}, NUMERIC: {"integer", "real"}, "NULL": set()}.get(said or "", {(said or "").lower()})
    assert said is None or {kind for _, kind in runs} - {"null"} <= allowed
    nulls = [value is None for value, _ in runs]
    if not possibly_null(expression, ()):
        assert not any(nulls[:3]), "NULL although no input is"
    if not possibly_null(expression, STAGED):
        assert not any(nulls), "NULL although every nullable input is guarded"


@pytest.mark.parametrize("declared", DECLARED)
def test_what_fits_a_column_comes_back_from_it(
    declared: str, connection: sqlite3.Connection, functions: SqliteFunctions
) -> None:
    """Of everything above, in every kind of column; and each kind of column takes something."""
    fitting = 0
    for text in WRITTEN:
        expression = parsed(text, functions)
        said = storage_class(expression, staged_classes(TABLE, STAGED)) or UNKNOWN
        if not widens(said, declared, SQLITE):
            continue
        fitting += 1
        connection.execute("DROP TABLE IF EXISTS x")
        connection.execute(f"CREATE TABLE x (v {declared})")
        connection.execute(f"INSERT INTO x SELECT {expression.sql} FROM t AS s ORDER BY id")
        stored = connection.execute("SELECT v, typeof(v) FROM x ORDER BY rowid").fetchall()
        assert stored == values(connection, expression.sql), f"{text} in {declared} ({affinity(declared)})"
    assert fitting > (2 if declared == "BLOB" else 10)


def test_affinity_changes_what_was_refused(connection: sqlite3.Connection, functions: SqliteFunctions) -> None:
    for text, declared in (
        ("a", "INTEGER"),
        ("num", "DECIMAL(10,2)"),
        ("n", "DOUBLE"),
        ("n", "TEXT"),
        ("f", "NUMERIC"),
    ):
        expression = parsed(text, functions)
        connection.execute("DROP TABLE IF EXISTS x")
        connection.execute(f"CREATE TABLE x (v {declared})")
        connection.execute(f"INSERT INTO x SELECT {expression.sql} FROM t AS s ORDER BY id")
        stored = connection.execute("SELECT v, typeof(v) FROM x ORDER BY rowid").fetchall()
        assert stored != values(connection, expression.sql), f"{text} in {declared} would have been exact"
        assert not widens(storage_class(expression, staged_classes(TABLE, STAGED)) or UNKNOWN, declared, SQLITE)


def test_every_function_of_the_library_was_judged(connection: sqlite3.Connection) -> None:
    judged_unfit = words(
        "likelihood likely unlikely sqlite_log subtype bm25 fts3_tokenizer fts5 fts5_source_id highlight match "
        "matchinfo offsets optimize rtreecheck rtreedepth rtreenode snippet"
    )
    listed = {row[0] for row in connection.execute("SELECT name FROM pragma_function_list WHERE type = 's'")}
    listed -= {name for name in listed if name.startswith(("fts", "->", "json_group", "jsonb", "sqlite_", "geopoly"))}
    assert listed <= STEADY | UNSTEADY | AGGREGATES | SYNTAX.syntax | judged_unfit
    assert not STEADY & (UNSTEADY | AGGREGATES | judged_unfit)


def test_every_allowed_function_was_run() -> None:
    called = {name.lower() for text in WRITTEN for name in re.findall(r"(\w+)\(", text)}
    assert called | NOT_IN_EVERY_BUILD >= STEADY


@pytest.mark.parametrize("text", ["random()", "date('now')", "current_timestamp", "changes()", "max(n)", "count(*)"])
def test_what_the_library_would_run_is_refused(
    text: str, connection: sqlite3.Connection, functions: SqliteFunctions
) -> None:
    assert connection.execute(f"SELECT {text} FROM t").fetchall()
    with pytest.raises(ExpressionError):
        parsed(text, functions)
