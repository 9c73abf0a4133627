"""The workload's tables (`workload.py`) as a SQLite file has them: the target, its mapping, its oracle."""

from __future__ import annotations

from typing import Any

from tests.support.oracle import Question

TARGET_SQL = """
CREATE TABLE products (
    product_id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    price TEXT,
    cents DECIMAL(10,2),
    note TEXT,
    body TEXT,
    changed_at DATETIME NOT NULL
);
CREATE TABLE settings (owner TEXT, name TEXT, value TEXT, weight TEXT, PRIMARY KEY (owner, name)) WITHOUT ROWID;
CREATE TABLE documents (
    doc_id TEXT PRIMARY KEY, title TEXT NOT NULL, content TEXT, excerpt TEXT NOT NULL, score REAL
) STRICT;
CREATE TABLE kinds (
    id INTEGER PRIMARY KEY, i2 INTEGER, i8 INTEGER, f4 REAL, f8 REAL, n TEXT, money DECIMAL(10,2), b BOOLEAN, t TEXT,
    c CHAR(5), v VARCHAR(20), u UUID, d DATE, h TIME, h3 TIME, at DATETIME, at3 DATETIME, tz TIMESTAMP, tz3 TIMESTAMP,
    raw BLOB, j TEXT, jb TEXT, ip TEXT, mac TEXT, span TEXT, days TEXT, words TEXT, numbers TEXT, mood TEXT
);
CREATE TABLE seats (
    zone TEXT, number INTEGER, label TEXT NOT NULL UNIQUE, holder TEXT NOT NULL, PRIMARY KEY (zone, number)
);
"""

SOURCE_SQL = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (
    id bigint PRIMARY KEY, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, money numeric(10,2),
    b boolean, t text, c char(5), v varchar(20), u uuid, d date, h time, h3 time(3), at timestamp, at3 timestamp(3),
    tz timestamptz, tz3 timestamptz(3), raw bytea, j json, jb jsonb, ip inet, mac macaddr, span tstzrange,
    days daterange, words text[], numbers bigint[], mood mood
);
CREATE FUNCTION some_kinds(first bigint) RETURNS void LANGUAGE sql AS $$
INSERT INTO kinds (id) VALUES (first);
INSERT INTO kinds VALUES
    (first + 1, 1, 9223372036854775807, 0.1, 0.1, 1.50, 1.50, true, 'a', 'ab', 'v',
     '00000000-0000-0000-0000-000000000001', '2024-02-29', '01:02:03.000004', '01:02:03.5',
     '2024-02-29 01:02:03.000004', '2024-02-29 01:02:03.5', '2024-02-29 01:02:03.000004+05:30',
     '2024-02-29 01:02:03.5-08', '\\x00ff', '{"b": 1,  "a": 2.50}', '{"b": 1,  "a": 2.50}', '10.0.0.1',
     '08:00:2b:01:02:03', '[2024-02-29 01:02:03+05:30,)', '[2024-02-29,2024-03-01]', '{a,NULL,"NULL","x\\"y"}',
     '{1,NULL,-9223372036854775808}', 'ok'),
    (first + 2, -32768, -9223372036854775808, -3.4028235e38, 5e-324, -0.000000000000000000001, -99999999.99, false, '',
     '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0044-03-15 BC', '00:00', '24:00', '0044-03-15 12:00:00 BC',
     '1970-01-01 00:00:00', '1969-12-31 23:59:59.999999Z', '9999-12-31 23:59:59.999Z', '', '5', '"x"',
     '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', 'empty', 'empty', '{}', '{}', 'sad'),
    (first + 3, 0, 0, 'inf', '-inf', 'NaN', 0, true, E'äöü 🐘\\t\\n\\\\', 'äöü', '007',
     '12345678-1234-1234-1234-123456789012', 'infinity', '23:59:59.999999', '00:00:00.001', 'infinity', '-infinity',
     '-infinity', 'infinity', '\\x41', 'null', 'null', '10.0.0.0/8', '00:00:00:00:00:00', '(,)', '(,2024-01-01)',
     '{"",","}', '{0}', 'ok');
$$;
"""
"""Every kind of value, to be made before the backfill, and again while the stream runs."""

TABLES: list[dict[str, Any]] = [
    {
        "from": "public.items",
        "to": "products",
        "key": {"product_id": "id"},
        "columns": {
            "title": "name",
            "price": "case when cents is not null then printf('%d.%02d', cents / 100, cents % 100) end",
            "cents": "cents",
            "note": "note",
            "body": "body",
            "changed_at": "changed_at",
        },
        "where": "active",
    },
    {
        "from": "public.prefs",
        "to": "main.settings",
        "key": {"owner": "tenant", "name": "name"},
        "columns": {"value": "nullif(value, '')", "weight": "weight"},
    },
    {
        "from": "public.docs",
        "to": "main.documents",
        "key": {"doc_id": "id"},
        "columns": {
            "title": "title",
            "content": "content",
            "excerpt": "title || ': ' || coalesce(substr(content, 1, 12), '-')",
            "score": "score",
        },
    },
    {"from": "public.kinds"},
    {
        "from": "public.seats",
        "key": {"zone": "zone", "number": "number"},
        "columns": {"label": "label", "holder": "coalesce(holder, 'nobody')"},
    },
]

QUESTIONS = (
    Question(
        "products",
        """SELECT id, name, cents / 100 || '.' || lpad((cents % 100)::text, 2, '0'), cents, note, body,
                  to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"Z"')
           FROM items WHERE active = true""",
        "SELECT product_id, title, price, cents, note, body, changed_at FROM products",
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
)
