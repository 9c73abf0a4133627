"""Tables whose types and keys have edges, for what must be told apart and what must not.

kinds     a column of each type                                     -> app.kinds     compared by ranges
many      200,000 rows                                              -> app.many      compared by ranges
tickets   target key 'T' || id, which does not carry the source's   -> app.tickets   compared by buckets
guests    the target's table keeps rows of others                   -> app.guests
"""

from __future__ import annotations

from typing import Any

MANY = 1_000_000
KINDS, TICKETS, GUESTS = 300, 3_000, 500

SOURCE_SQL = f"""
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE kinds (
    id integer PRIMARY KEY, at timestamptz, at_ms timestamp(3), day date, hour time, f8 double precision, f4 real,
    n numeric, price numeric(12,2), t text, v varchar(40), c char(8), ci citext, j json, jb jsonb, raw bytea,
    u uuid, tags text[], yes boolean, big bigint, mood mood
);
INSERT INTO kinds SELECT i, timestamptz '2024-02-29 23:59:59.999999+00' + i * interval '1 hour',
    timestamp '2024-01-01' + i * interval '1 ms', date '2020-01-01' + i, time '12:00:00.000001',
    i / 7.0, i / 3.0, i / 8.0, i / 100.0,
    'text ' || i, 'vari ' || i, 'c' || i, 'Mixed' || i, json_build_object('a', i, 'b', 'x'),
    jsonb_build_object('a', i, 'b', array[1.5, i]), decode(md5(i::text), 'hex'), md5(i::text)::uuid,
    ARRAY['one', NULL, 'th"ree'], i % 2 = 0, i * 4294967296, (CASE WHEN i % 2 = 0 THEN 'happy' ELSE 'sad' END)::mood
    FROM generate_series(1, {KINDS}) i;
INSERT INTO kinds (id) VALUES (0);
INSERT INTO kinds (id, f8, f4, n, at, day, t) VALUES
    (-1, 'NaN', 'NaN', 'NaN', 'infinity', '-infinity', ''), (-2, '-0', '-0', 0, '-infinity', 'infinity', ' ');
CREATE TABLE many (id bigint PRIMARY KEY, word text NOT NULL, amount numeric(12,2));
INSERT INTO many SELECT i, 'word ' || i, i / 100.0 FROM generate_series(1, {MANY}) i;
CREATE TABLE tickets (id integer PRIMARY KEY, holder text, seats integer);
INSERT INTO tickets SELECT i, 'holder ' || i, i % 9 FROM generate_series(1, {TICKETS}) i;
CREATE TABLE guests (id integer PRIMARY KEY, name text);
INSERT INTO guests SELECT i, 'guest ' || i FROM generate_series(1, {GUESTS}) i;
ANALYZE;
"""

TARGET_SQL = """
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE app.kinds (
    id bigint PRIMARY KEY, at timestamptz, at_ms timestamp, day date, hour time, f8 double precision, f4 real,
    n numeric, price numeric, t text, v text, c char(8), ci citext, j json, jb jsonb, raw bytea,
    u uuid, tags text[], yes boolean, big bigint, mood mood
);
CREATE TABLE app.many (id bigint PRIMARY KEY, word text NOT NULL, amount numeric(14,3));
CREATE TABLE app.tickets (ref text PRIMARY KEY, holder text, seats bigint);
CREATE TABLE app.guests (id integer PRIMARY KEY, name text);
INSERT INTO app.guests SELECT i, 'local ' || i FROM generate_series(100001, 100300) i;
"""

TABLES: list[dict[str, Any]] = [
    {"from": "public.kinds", "to": "app.kinds"},
    {"from": "public.many", "to": "app.many"},
    {
        "from": "public.tickets",
        "to": "app.tickets",
        "key": {"ref": "'T' || id"},
        "columns": {"holder": "upper(holder)", "seats": "seats"},
    },
    {"from": "public.guests", "to": "app.guests", "if_not_empty": "keep"},
]
