"""The workload's tables (`workload.py`) as a MariaDB database has them: the target, its mapping, its oracle."""

from __future__ import annotations

from typing import Any

from tests.support.oracle import Question

TARGET_SQL = (
    """CREATE TABLE products (
        product_id bigint PRIMARY KEY, title longtext NOT NULL, price decimal(14,2), note varchar(200), body longtext,
        changed_at datetime(6) NOT NULL
    )""",
    """CREATE TABLE settings (
        owner varchar(100) COLLATE utf8mb4_general_ci, name varchar(100) COLLATE utf8mb4_nopad_bin, value longtext,
        weight decimal(12,3), PRIMARY KEY (owner, name)
    )""",
    """CREATE TABLE documents (
        doc_id uuid PRIMARY KEY, title longtext NOT NULL, content longtext, excerpt longtext NOT NULL, score double
    )""",
    """CREATE TABLE seats (
        zone enum('lower','middle','upper'), number int, label varchar(100) COLLATE utf8mb4_bin NOT NULL UNIQUE,
        holder longtext NOT NULL, PRIMARY KEY (zone, number)
    )""",
    """CREATE TABLE kinds (
        id bigint PRIMARY KEY, i2 smallint, i8 bigint, f4 float, f8 double, n longtext, money decimal(10,2),
        b tinyint(1), t longtext, c char(5), v varchar(20), u uuid, d date, h time(6), h3 time(3), at datetime(6),
        at3 datetime(3), tz datetime(6), tz3 datetime(3), raw longblob, j json, jb json, ip longtext, mac longtext,
        days longtext, words json, numbers json, mood enum('sad','ok')
    )""",
)

SOURCE_SQL = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (
    id bigint PRIMARY KEY, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, money numeric(10,2),
    b boolean, t text, c char(5), v varchar(20), u uuid, d date, h time, h3 time(3), at timestamp, at3 timestamp(3),
    tz timestamptz, tz3 timestamptz(3), raw bytea, j json, jb jsonb, ip inet, mac macaddr, days daterange,
    words text[], numbers bigint[], mood mood
);
CREATE FUNCTION some_kinds(first bigint) RETURNS void LANGUAGE sql AS $$
INSERT INTO kinds (id) VALUES (first);
INSERT INTO kinds VALUES
    (first + 1, 1, 9223372036854775807, 0.1, 0.1, 1.50, 1.50, true, 'a', 'ab', 'v',
     '00000000-0000-0000-0000-000000000001', '2024-02-29', '01:02:03.000004', '01:02:03.5',
     '2024-02-29 01:02:03.000004', '2024-02-29 01:02:03.5', '2024-02-29 01:02:03.000004+05:30',
     '2024-02-29 01:02:03.5-08', '\\x00ff', '{"b": 1,  "a": 2.50, "b": 12345678901234567890}',
     '{"b": 1,  "a": 2.50}', '10.0.0.1', '08:00:2b:01:02:03', '[2024-02-29,2024-03-01]', '{a,NULL,"NULL","x\\"y"}',
     '{1,NULL,-9223372036854775808}', 'ok'),
    (first + 2, -32768, -9223372036854775808, -3.4028235e38, 5e-324, 'NaN', -99999999.99, false, '',
     '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0001-01-01', '00:00', '24:00', '0001-01-01 00:00:00',
     '9999-12-31 23:59:59.999', '1969-12-31 23:59:59.999999Z', '9999-12-31 23:59:59.999Z', '', '5', '"x"',
     '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', 'empty', '{}', '{}', 'sad'),
    (first + 3, 0, 0, 1e-45, 1.7976931348623157e308, -0.000000000000000000001, 0, true, E'äöü 🐘\\t\\n\\\\',
     'äöü', '007', '12345678-1234-1234-1234-123456789012', '1582-10-10', '23:59:59.999999', '00:00:00.001',
     '1970-01-01 00:00:00', '2038-01-19 03:14:08', '2024-03-31 01:30:00Z', '2024-10-27 00:30:00Z', '\\x5c41', 'null',
     'null', '10.0.0.0/8', '00:00:00:00:00:00', '(,2024-01-01)', '{"",","}', '{0}', 'ok');
$$;
"""
"""Every kind of value that MariaDB has, to be made before the backfill, and again while the stream runs."""

TABLES: list[dict[str, Any]] = [
    {
        "from": "public.items",
        "to": "products",
        "key": {"product_id": "id"},
        "columns": {
            "title": "name",
            "price": "cast(cents / 100 as decimal(14,2))",
            "note": "note",
            "body": "body",
            "changed_at": "changed_at",
        },
        "where": "active",
    },
    {
        "from": "public.prefs",
        "to": "settings",
        "key": {"owner": "cast(tenant as char(100))", "name": "cast(name as char(100))"},
        "columns": {"value": "nullif(value, '')", "weight": "weight"},
    },
    {
        "from": "public.docs",
        "to": "documents",
        "key": {"doc_id": "id"},
        "columns": {
            "title": "title",
            "content": "content",
            "excerpt": "concat(title, ': ', coalesce(left(content, 12), '-'))",
            "score": "score",
        },
    },
    {"from": "public.kinds", "to": "kinds"},
    {
        "from": "public.seats",
        "to": "seats",
        "key": {"zone": "zone", "number": "number"},
        "columns": {"label": "cast(label as char(100))", "holder": "coalesce(holder, 'nobody')"},
    },
]

QUESTIONS = (
    Question(
        "products",
        """SELECT id, name, round(cents::numeric * 0.01, 2), note, body,
                  to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')
           FROM items WHERE active = true""",
        "SELECT product_id, title, price, note, body, changed_at FROM products",
    ),
    Question(
        "settings",
        "SELECT tenant, name, CASE WHEN value <> '' THEN value END, weight FROM prefs",
        "SELECT owner, name, value, weight FROM settings",
    ),
    Question(
        "documents",
        """SELECT id, title, content,
                  concat(title, ': ', CASE WHEN content IS NULL THEN '-' ELSE substr(content, 1, 12) END), score
           FROM docs""",
        "SELECT doc_id, title, content, excerpt, score FROM documents",
    ),
    Question(
        "seats",
        "SELECT zone, number, label, CASE WHEN holder IS NULL THEN 'nobody' ELSE holder END FROM seats",
        "SELECT zone, number, label, holder FROM seats",
    ),
    Question(
        "kinds",
        """SELECT id, i2, i8, replace(f4::float8::text, 'e+', 'e'), replace(f8::text, 'e+', 'e'),
                  CASE WHEN n <> 'NaN' THEN trim_scale(n) ELSE n END, money, b::int, t,
                  trim(trailing from c), v, u, to_char(d, 'YYYY-MM-DD'), to_char(h, 'HH24:MI:SS.US'),
                  CASE h3 WHEN '24:00' THEN '24:00:00.000' ELSE to_char(h3, 'HH24:MI:SS.MS') END,
                  to_char(at, 'YYYY-MM-DD HH24:MI:SS.US'), to_char(at3, 'YYYY-MM-DD HH24:MI:SS.MS'),
                  to_char(tz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
                  to_char(tz3 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), raw, j, jb, ip, mac, days,
                  translate(to_json(words)::text, ' ', ''), to_json(numbers), mood FROM kinds""",
        """SELECT id, i2, i8, f4 + 0e0, f8, n, money, b, t, c, v, u, d, h, h3, at, at3, tz, tz3, raw, j, jb, ip, mac,
                  days, words, numbers, mood FROM kinds""",
    ),
)
