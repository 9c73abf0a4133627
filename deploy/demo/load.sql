-- Fills the old schema: 300,000 rows that are a function of their number, with the values that real tables have:
-- empty strings beside NULLs, quotes, tabs, several scripts, dates before 1970, negative balances, large texts.
-- Every block is one statement; load.py runs them one after another. :scale multiplies the number of rows.

INSERT INTO customers (id, first_name, last_name, email, is_active, balance_cents, tags, prefs, created_on, deleted_at, notes)
SELECT
    i,
    (ARRAY['Ada', 'Łukasz', '美咲', 'O''Brien', 'Zoë', 'Ivan\', 'Nguyễn', 'Åsa', 'José', 'Anne "Annie"'])[1 + i % 10],
    CASE i % 13 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'Family-' || i % 997 END,
    CASE i % 5 WHEN 0 THEN 'User' || i || '@Example.COM ' ELSE 'user' || i || '@example.org' END,
    CASE i % 6 WHEN 0 THEN 'N' ELSE 'Y' END,
    (i::bigint * 7919) % 2000000 - 300000,
    CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'vip' ELSE 'vip, newsletter,,trial-' || i % 7 END,
    CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN ''
        WHEN 2 THEN format('{"theme": "dark", "n": %s, "n2": 1.50, "theme": "light"}', i)
        ELSE format('{"lang":"de","list":[1,2,%s],"deep":{"x":null,"é":"\u00e9\t"}}', i) END,
    timestamp '1968-05-01' + i * interval '9 hours 11 minutes 0.123457 seconds',
    CASE WHEN i % 17 = 0 THEN timestamp '2025-01-01' + i * interval '1 minute' END,
    CASE
        WHEN i % 25 = 0 THEN (SELECT string_agg(md5(i || ':' || j), E'\n') FROM generate_series(1, 260 + i % 90) AS j)
        WHEN i % 3 = 0 THEN E'called\ttwice;\nback\\slash, "quoted" 😀 ' || i
    END
FROM generate_series(1, 40000 * :scale) AS i;

INSERT INTO orders (id, customer_id, status, total_cents, currency, placed_at, shipped, remark)
SELECT
    i, 1 + (i * 31) % (40000 * :scale), (ARRAY[0, 1, 2, 3, 9])[1 + i % 5], (i * 97) % 500000,
    (ARRAY['EUR', 'USD', 'JPY', 'PLN'])[1 + i % 4], timestamp '2019-01-01' + i * interval '37 minutes 0.001 seconds',
    (ARRAY['Y', 'N', NULL])[1 + i % 3], CASE i % 9 WHEN 0 THEN 'leave at the door; ring #' || i WHEN 1 THEN '' END
FROM generate_series(1, 80000 * :scale) AS i;

INSERT INTO order_lines (order_id, line_no, sku, qty, price_cents)
SELECT i, n, 'SKU-' || (i * n) % 4999, 1 + (i + n) % 9, ((i * 13 + n) % 900000) / 4.0
FROM generate_series(1, 80000 * :scale) AS i, generate_series(1, 1 + i % 2) AS n;

INSERT INTO sessions (token, customer_id, last_seen_epoch, ip)
SELECT
    md5('session-' || i)::uuid::text, 1 + (i * 7) % (40000 * :scale), 1700000000 + i * 61,
    CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '2001:db8::' || to_hex(i) ELSE format('10.%s.%s.7', i / 250 % 250, i % 250) END
FROM generate_series(1, 30000 * :scale) AS i;

INSERT INTO settings (ns, name, value, updated_at)
SELECT
    (ARRAY['app', 'Billing', 'billing', 'ui-théme', 'x_y'])[1 + i % 5],
    CASE i % 3 WHEN 0 THEN 'Key ' WHEN 1 THEN 'key.' ELSE 'ключ-' END || i,
    (ARRAY['true', 'null', format('"text %s"', i), format('[%s, 2.50, {"a": "b"}]', i)])[1 + i % 4],
    timestamp '2024-02-29 23:59:59.999999' + i * interval '1 hour'
FROM generate_series(1, 5000 * :scale) AS i;

INSERT INTO audit_log (id, happened_at, actor, action, entity_id, amount, due_on, payload, checksum)
SELECT
    i, timestamptz '2023-03-26 00:30:00+00' + i * interval '11 minutes', 'user' || i % 311,
    (ARRAY['create', 'update', 'delete', 'login'])[1 + i % 4], NULLIF(i % 8, 0) * 1000, (i % 100000) / 100.0 - 400,
    date '1999-12-31' + i % 20000, CASE i % 3 WHEN 0 THEN NULL ELSE jsonb_build_object('row', i, 'was', 'x' || i, 'ok', i % 2 = 0) END,
    CASE i % 7 WHEN 0 THEN NULL ELSE decode(md5(i::text), 'hex') END
FROM generate_series(1, 25000 * :scale) AS i;

SELECT setval('customers_id_seq', (SELECT max(id) FROM customers)), setval('orders_id_seq', (SELECT max(id) FROM orders)),
       setval('audit_log_id_seq', (SELECT max(id) FROM audit_log));
