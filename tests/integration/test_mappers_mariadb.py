"""What runs on MariaDB means what the user wrote: both are run on a real server over the same rows, and must agree.

What runs is tried in sessions of opposite modes too: what `||` and a backslash mean must not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.mariadb.session import SQL_MODE, Raw, connect
from mappers.dialects import MARIADB
from mappers.dialects.mariadb.functions import MariaFunctions
from mappers.dialects.mariadb.words import AGGREGATES, STEADY, UNSTEADY, WORDS
from mappers.expressions import ExpressionError, parse_expression
from mappers.mapping import Column, Entry, Expression, Table, TargetColumn
from mappers.names import words
from mappers.nulls import possibly_null
from mappers.types import compare_types, widens
from tests.support.stack import Stack

EXPRESSIONS = r"""
concat(a, ' ', b)
concat('ord_', id)
concat_ws(',', a, b, n)
'it''s'
'a\'b\\c\n\t"x"\%'
concat('C:\\', a)
name
`Name`
"name"
NAME
s.a
`order`
zone
n + m
n - m
- n
n - -1
n * m * 2
n / m
n div m
n mod m
n % m
mod(n, m)
num * 1.5 + 2
n & 3
n | 8
n ^ 5
~ n
n << 2
n >> 1
n & 3 | 8 ^ 1 << 2
-n ^ 2
1.5e3 + .5 + 2.
(n + m) * 2 / m
a = b
a <> b
a != b
a <=> b
n < m
n <= m and not n >= m
n > m or n is null
flag xor n > 0
not flag
flag is true
flag is not true
flag is unknown
flag is not unknown
n is null = 0
n in (1, 7)
n not in (1, 7)
n between 0 and 10
n not between 0 and 10
a like 'H%'
a not like 'H%'
a like 'a!%%' escape '!'
a like concat(b, '%')
a regexp '^H.*d$'
a rlike 'l+'
a not regexp 'x'
a regexp '\\w+'
a regexp binary_free and n
case when n > 0 then 'pos' when n < 0 then 'neg' else 'zero' end
case n when 7 then 'seven' else 'other' end
case when flag then a end
if(n > 0, a, b)
ifnull(b, 'x')
nvl(b, 'x')
nvl2(b, 1, 2)
nullif(b, '')
coalesce(a, b, 'x')
greatest(n, m)
least(n, m, 0)
isnull(n)
cast(n as char)
cast(a as char(3))
cast(n as varchar(3))
cast(a as binary)
cast(a as binary(4))
cast(num as signed)
cast(num as integer)
cast(abs(n) as unsigned)
cast(n as decimal(12,2))
cast(num as double)
cast(num as float)
cast(dt as date)
cast(dt as datetime)
cast(dt as datetime(3))
cast(d as datetime(6))
cast(dt as time(3))
cast(u as char(36))
cast('123e4567-e89b-12d3-a456-426614174000' as uuid)
cast('::1' as inet6)
convert(a using utf8mb4)
convert(a using latin1)
date '2020-01-31'
time '10:00:00'
timestamp '2020-01-31 10:00:00.5'
d + interval 1 day
d - interval n day
d + interval n + 1 month
dt + interval '1:30' minute_second
dt - interval (n) hour
date_add(d, interval 1 year)
date_sub(d, interval 2 week)
adddate(d, interval 1 day)
subdate(d, 3)
add_months(d, 2)
addtime(dt, '01:00:00')
subtime(dt, '01:00:00')
timestampdiff(second, d, dt)
timestampadd(minute, 5, dt)
datediff(d, '2020-01-01')
timediff(dt, dt)
extract(year from d)
extract(day_hour from dt)
year(d)
quarter(d)
month(d)
week(d)
week(d, 3)
weekofyear(d)
yearweek(d)
day(d)
dayofmonth(d)
dayofweek(d)
dayofyear(d)
weekday(d)
dayname(d)
monthname(d)
hour(dt)
minute(dt)
second(dt)
microsecond(dt)
date(dt)
time(dt)
timestamp(d)
last_day(d)
to_days(d)
to_seconds(dt)
from_days(737000 + n)
makedate(2020, 100)
maketime(1, 2, 3)
sec_to_time(3600)
time_to_sec(tm)
time_format(tm, '%H.%i')
date_format(dt, '%Y-%m-%d %H:%i:%s.%f')
date_format(d, '%M %W')
str_to_date('2020-01-31', '%Y-%m-%d')
from_unixtime(1600000000)
from_unixtime(1600000000 + n, '%Y')
unix_timestamp(dt)
convert_tz(dt, '+00:00', '+05:30')
period_add(202001, 2)
period_diff(202003, 202001)
to_char(dt, 'YYYY-MM-DD')
lower(a)
upper(a)
lcase(a)
ucase(a)
left(a, 2)
right(a, 2)
mid(a, 2, 3)
substring(a, 2, 3)
substring(a from 2 for 3)
substring(a from 2)
substr(a, 2)
substring_index(a, ' ', 1)
trim(b)
trim(both 'H' from a)
trim(leading from b)
trim(trailing 'd' from a)
ltrim(b)
rtrim(b)
lpad(n, 5, '0')
rpad(a, 12, '*')
replace(a, 'l', 'L')
insert(a, 1, 2, 'XX')
reverse(a)
repeat(a, 2)
space(3)
length(a)
lengthb(a)
octet_length(a)
char_length(a)
character_length(a)
bit_length(a)
position('o' in a)
locate('o', a)
locate('o', a, 6)
instr(a, 'o')
field(a, 'x', 'Hello World')
find_in_set('b', 'a,b,c')
elt(2, 'x', 'y')
make_set(5, 'a', 'b', 'c')
export_set(5, 'Y', 'N', ',', 4)
strcmp(a, b)
soundex(a)
ascii(a)
ord(a)
chr(65)
char(72, 105 using utf8mb4)
char(65)
hex(a)
unhex('4142')
bin(abs(n))
oct(abs(n))
conv('ff', 16, 10)
to_base64(a)
from_base64('QUI=')
quote(a)
format(num, 2)
format(num, 1, 'de_DE')
md5(a)
sha(a)
sha1(a)
sha2(a, 256)
crc32(a)
crc32c(a)
regexp_replace(a, 'l+', 'L')
regexp_substr(a, '[a-z]+')
regexp_instr(a, 'o')
abs(n)
sign(f)
ceil(f)
ceiling(f)
floor(f)
round(num, 1)
round(f)
truncate(num, 1)
sqrt(abs(f))
pow(n, 2)
power(n, 2)
exp(1)
ln(2)
log(2, 8)
log2(8)
log10(100)
pi()
sin(f)
cos(f)
tan(f)
cot(f + 5)
asin(0.5)
acos(0.5)
atan(f)
atan2(f, 2)
degrees(f)
radians(f)
bit_count(n)
json_array(a, n)
json_array_append('[1]', '$', 2)
json_array_insert('[1]', '$[0]', 2)
json_compact(j)
json_contains(j, '1', '$.k')
json_contains_path(j, 'one', '$.k')
json_depth(j)
json_detailed(j)
json_equals(j, j)
json_exists(j, '$.k')
json_extract(j, '$.a.b')
json_insert(j, '$.z', 1)
json_keys(j)
json_length(j)
json_loose(j)
json_merge_patch(j, '{"z": 1}')
json_merge_preserve(j, '{"z": 1}')
json_normalize(j)
json_object('a', a, 'n', n)
json_overlaps(j, j)
json_pretty(j)
json_query(j, '$.a')
json_quote(a)
json_remove(j, '$.k')
json_replace(j, '$.k', 2)
json_search(j, 'one', 'c')
json_set(j, '$.k', 2)
json_type(j)
json_unquote(json_extract(j, '$.a.b'))
json_valid(j)
json_value(j, '$.k')
inet_aton('10.0.0.1')
inet_ntoa(167772161)
inet6_aton('::1')
inet6_ntoa(inet6_aton('::1'))
is_ipv4('10.0.0.1')
is_ipv6('::1')
is_ipv4_compat(inet6_aton('::10.0.5.9'))
is_ipv4_mapped(inet6_aton('::ffff:10.0.5.9'))
a collate utf8mb4_nopad_bin < 'b'
lower(a) collate utf8mb4_bin in ('x', b)
e = 'x'
concat(e, y)
y + 1
bt + 0
hex(binary_col)
NULL
TRUE
concat(a, null)
if(a is null, 'none', a)
"""
COLUMNS = {
    "id": "bigint NOT NULL", "a": "varchar(50)", "b": "varchar(50)", "n": "int", "m": "int", "f": "double",
    "num": "decimal(10,2)", "j": "longtext", "d": "date", "dt": "datetime(6)", "tm": "time(3)", "flag": "tinyint(1)",
    "binary_col": "varbinary(20)", "u": "uuid", "Name": "varchar(20)", "zone": "varchar(20)", "order": "varchar(20)",
    "e": "enum('x','y')", "y": "year", "bt": "bit(4)", "binary_free": "varchar(20)", "ts": "timestamp(3) NULL",
}  # fmt: skip
ROWS = r"""
(1, 'Hello World', ' x ', 7, 2, 1.5, 12.34, '{"a":{"b":"c","d":[1,2]},"k":1}', '2024-02-29',
 '2024-02-29 12:34:56.789012', '10:11:12.5', 1, x'01ff', '123e4567-e89b-12d3-a456-426614174001', 'Nm', 'z', 'o', 'x',
 2020, b'101', 'l', '2024-02-29 12:34:56.789'),
(2, 'it''s', '', -7, 3, -2.5, -0.01, '{"k":null}', '1999-12-31', '1999-12-31 23:59:59', '00:00:00', 0, x'',
 '123e4567-e89b-12d3-a456-426614174002', '', '', '', 'y', 1999, b'0', 'x', '1999-12-31 23:59:59'),
(3, 'a%b_c\\d', 'Ünï😀', 0, 1, 0, 0, '{}', '2000-01-01', '2000-01-01', '23:59:59', 1, 'abc',
 '123e4567-e89b-12d3-a456-426614174003', 'N', 'UTC', 'p', 'x', 2155, b'1', 'y', '2000-01-01'),
(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL)
"""
TRANSLATED = {
    "cast(n as text)": "cast(n as char)",
    "cast(n as character varying(3))": "cast(n as char(3))",
    "cast(a as varchar(3))": "cast(a as char(3))",
    "cast(num as bigint)": "cast(num as signed)",
    "cast(num as integer)": "cast(num as signed)",
    "cast(n as numeric(12, 3))": "cast(n as decimal(12, 3))",
    "cast(num as double precision)": "cast(num as double)",
    "cast(num as real)": "cast(num as double)",
}
"""Standard casts, and what they are on MariaDB."""
WRITTEN = EXPRESSIONS.strip().splitlines()
OTHER_MODES = ",".join(("NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "IGNORE_SPACE", *SQL_MODE))
TEXTS = ("char", "varchar", "enum", "set", "json", "text", "longtext")
TABLE = Table("d", "t", tuple(Column(name, kind) for name, kind in COLUMNS.items()), ("id",))
BY_ARGUMENTS = words("convert_tz unix_timestamp")
JUDGED_UNFIT = words(
    "aes_decrypt aes_encrypt binlog_gtid_pos column_check column_exists column_json column_list compress "
    "concat_operator_oracle decode decode_histogram decode_oracle des_decrypt des_encrypt encode extractvalue "
    "json_merge lpad_oracle ltrim_oracle name_const natural_sort_key old_password password replace_oracle "
    "rpad_oracle rtrim_oracle schemas sformat substr_oracle trim_oracle uncompress uncompressed_length updatexml "
    "wsrep_last_seen_gtid wsrep_last_written_gtid wsrep_sync_wait_upto_gtid"
)
"""Old, secret, internal, or not the same in every release."""


@pytest.fixture(scope="module")
def session(stack: Stack) -> Iterator[Raw]:
    raw = connect(stack.mariadb_url, "target", as_text=True)
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    with raw.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE t ({columns}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        cursor.execute(f"INSERT INTO t VALUES {ROWS}")
    yield raw
    raw.close()


def ask(session: Raw, statement: str) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def made(session: Raw, sql: str) -> tuple[str, list[Any]]:
    """(type, values) of an expression in a strict statement that writes."""
    ask(session, f"CREATE OR REPLACE TEMPORARY TABLE q AS SELECT s.id, ({sql}) AS v FROM t AS s")
    kind = next(row[1] for row in ask(session, "SHOW COLUMNS FROM q") if row[0] == "v")
    return kind, [row[0] for row in ask(session, "SELECT v FROM q ORDER BY id")]


def parsed(text: str) -> Expression:
    return parse_expression(text, TABLE, MariaFunctions(), MARIADB)


@pytest.mark.parametrize("text", WRITTEN)
def test_the_same_values_and_types(text: str, session: Raw) -> None:
    expression = parsed(text)
    written, runs = made(session, text), made(session, expression.sql)
    assert runs == written
    ask(session, f"SET sql_mode = '{OTHER_MODES}'")
    try:
        assert made(session, expression.sql) == written, "the session's mode matters"
    finally:
        ask(session, f"SET sql_mode = '{','.join(SQL_MODE)}'")
    assert widens(written[0], written[0], MARIADB)
    nulls = [value is None for value in runs[1]]
    if not possibly_null(expression, ()):
        assert not any(nulls[:3]), "NULL although no input is"
    if not possibly_null(expression, COLUMNS):
        assert not any(nulls), "NULL although every nullable input is guarded"


@pytest.mark.parametrize(("text", "meant"), TRANSLATED.items())
def test_standard_casts(text: str, meant: str, session: Raw) -> None:
    assert made(session, parsed(text).sql) == made(session, meant)


def test_every_function_of_the_server_was_judged(session: Raw) -> None:
    of_server = {row[0].lower() for row in ask(session, "SELECT FUNCTION FROM information_schema.SQL_FUNCTIONS")}
    assert of_server <= STEADY | UNSTEADY | AGGREGATES | WORDS.syntax | JUDGED_UNFIT | BY_ARGUMENTS
    assert not STEADY & (UNSTEADY | AGGREGATES | JUDGED_UNFIT)


def test_every_allowed_function_was_run() -> None:
    called = {name.lower() for text in WRITTEN for name in re.findall(r"(\w+)\(", text)}
    assert called >= STEADY


@pytest.mark.parametrize(
    "text", ["now()", "rand()", "uuid()", "sleep(0)", "user()", "last_insert_id()", "@@version", "unix_timestamp()"]
)
def test_what_the_server_would_run_is_refused(text: str, session: Raw) -> None:
    assert ask(session, f"SELECT {text}")
    with pytest.raises(ExpressionError):
        parsed(text)


FITS = r"""
n -> int
n -> bigint
n -> decimal(10,0)
n -> double
n > 1 -> tinyint(1)
n > 1 -> bit(1)
n is null or flag -> tinyint unsigned
1 -> tinyint(1)
-1 -> smallint
2020 -> year
case when n > 0 then 1 else 0 end -> tinyint(1)
if(n > 0, 1, -1) -> tinyint
cast(n as signed) -> tinyint
cast(coalesce(n, 0) as unsigned) -> int unsigned
coalesce(cast(m as signed), 0) -> smallint
cast(a as char(20)) -> char(20)
cast(a as char(20)) -> varchar(20)
'x' -> char(1)
concat('a', id) -> varchar(21)
concat(a, b) -> varchar(100)
a -> text
j -> json
json_object('a', a) -> json
lower(j) -> longtext
cast(num as decimal(12,2)) -> decimal(12,2)
cast(num as decimal(20,2)) -> decimal(8,2)
num -> decimal(12,4)
d -> date
d -> datetime
dt -> datetime(6)
cast(dt as datetime) -> timestamp
cast(dt as datetime(3)) -> timestamp(6)
ts -> timestamp(3)
ts -> datetime(6)
e -> enum('y','x','z')
case a when 'it''s' then 'y' else 'x' end -> enum('x','y')
case when flag then 'x' end -> enum('x','y')
'' -> set('x','y')
u -> uuid
binary_col -> varbinary(20)
binary_col -> blob
cast(a as binary(16)) -> binary(16)
bt -> int
bt -> bit(8)
y -> year
NULL -> date
f -> double
pi() -> double
"""


@pytest.mark.parametrize("case", FITS.strip().splitlines())
def test_what_fits_arrives_unchanged(case: str, session: Raw) -> None:
    """Both the rule and the server say so: what a column was given is what it gives back."""
    text, _, wanted = case.partition(" -> ")
    expression = parsed(text)
    kind, values = made(session, expression.sql)
    target = Table("d", "x", (Column("id", "bigint"), Column("v", wanted)), ("id",))
    entry = Entry(0, TABLE, target, ("id",), (TargetColumn("v", expression),), ("id",), None)
    assert compare_types(entry, [("v", kind)]) == []
    collation = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    ask(session, f"CREATE OR REPLACE TEMPORARY TABLE x (id bigint PRIMARY KEY, v {wanted} NULL) {collation}")
    small = "abs(coalesce(s.n, 0)) < 100"
    ask(session, f"INSERT INTO x SELECT s.id, {expression.sql} FROM t AS s WHERE {small} AND coalesce(s.m, 0) >= 0"
                 f" AND ({'unsigned' not in wanted} OR coalesce(s.n, 0) >= 0)")  # fmt: skip
    same = _same("x.v", wanted) + " <=> " + _same(f"({expression.sql})", wanted)
    differ = ask(session, f"SELECT x.v, {expression.sql} FROM x JOIN t AS s ON s.id = x.id WHERE NOT ({same})")
    assert differ == []
    assert values


def _same(value: str, wanted: str) -> str:
    """As bytes, where a collation would decide what is equal."""
    return f"cast({value} as binary)" if wanted.startswith(TEXTS) else value
