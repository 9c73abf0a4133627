"""A table of twelve columns, its mapping, and an independent word on what the target must contain."""

from __future__ import annotations

from typing import Any

from tests.bench.ground import Ground

SOURCE_SQL = """
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id integer NOT NULL,
    name text NOT NULL,
    email varchar(80),
    status text NOT NULL,
    total_cents integer NOT NULL,
    quantity integer NOT NULL,
    ratio double precision,
    active text NOT NULL,
    notes text,
    created_at timestamp NOT NULL,
    updated_at timestamptz NOT NULL
)
"""

TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.purchases (
    purchase_id bigint PRIMARY KEY,
    buyer_id bigint NOT NULL,
    name text NOT NULL,
    email text,
    status varchar(20) NOT NULL,
    total numeric(12,2) NOT NULL,
    quantity integer NOT NULL,
    ratio double precision,
    active boolean NOT NULL,
    notes text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
)
"""

MAPPING: dict[str, Any] = {
    "from": "public.orders",
    "to": "app.purchases",
    "key": {"purchase_id": "id"},
    "columns": {
        "buyer_id": "cast(customer_id as bigint)",
        "name": "name",
        "email": "lower(email)",
        "status": "cast(status as varchar(20))",
        "total": "cast(total_cents / 100.0 as numeric(12,2))",
        "quantity": "quantity",
        "ratio": "ratio",
        "active": "active = 'Y'",
        "notes": "notes",
        "created_at": "created_at at time zone 'UTC'",
        "updated_at": "updated_at",
    },
}

FILTER = "quantity > 0"

VALUES = """
    n, n % 5000 + 1, 'Customer number ' || n, 'Some.One.' || n || '@Example.org',
    (ARRAY['new', 'paid', 'shipped', 'returned'])[n % 4 + 1], n * 37 % 1000000, n % 50, n / 8.0,
    CASE WHEN n % 3 = 0 THEN 'N' ELSE 'Y' END,
    CASE WHEN n % 10 > 0 THEN 'A longer text that says something about order ' || n || ', and goes on a little' END,
    timestamp '2024-01-01' + n * interval '1 second 3 microseconds', clock_timestamp()
"""

_EXPECTED = """
    id::text, customer_id::text, name, translate(email, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'),
    status, trunc(total_cents / 100) || '.' || lpad((total_cents % 100)::text, 2, '0'), quantity::text, ratio::text,
    CASE active WHEN 'Y' THEN 'true' ELSE 'false' END, notes, created_at::text || '+00', updated_at::text
"""
_ACTUAL = """
    purchase_id::text, buyer_id::text, name, email, status, total::text, quantity::text, ratio::text, active::text,
    notes, created_at::text, updated_at::text
"""
_DIGEST = (
    "SELECT count(*), md5(string_agg(md5(concat_ws('|', {values})), '' ORDER BY {key})) FROM {table} WHERE {where}"
)
"""concat_ws passes nulls over; the columns that can be null differ in their values, so that it does not matter."""


def rows_equal(at: Ground, where: str = "true") -> int:
    """How many rows the target has, all as the source says. Raises RuntimeError for any difference."""
    source = _DIGEST.format(values=_EXPECTED, key="id", table="orders", where=where)
    target = _DIGEST.format(values=_ACTUAL, key="purchase_id", table="app.purchases", where="true")
    expected, actual = at.source.execute(source.encode()).fetchone(), at.target.execute(target.encode()).fetchone()
    if expected is None or expected != actual:
        raise RuntimeError(f"the target differs from the source: {expected} expected, {actual} found")
    return int(expected[0])
