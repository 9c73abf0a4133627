-- The old application's database, as such databases are: names that split what belongs together, flags as characters,
-- money in cents, local timestamps, lists and JSON in text, soft deletes, state as bare numbers, and not one foreign key.

CREATE TABLE customers (
    id            serial PRIMARY KEY,
    first_name    varchar(60)  NOT NULL,
    last_name     varchar(60),
    email         varchar(160) NOT NULL UNIQUE,
    is_active     char(1)      NOT NULL DEFAULT 'Y',        -- 'Y' or 'N'
    balance_cents bigint       NOT NULL DEFAULT 0,          -- may be negative
    tags          text,                                     -- 'vip,newsletter', '' or NULL
    prefs         text,                                     -- JSON; '' and NULL mean none
    created_on    timestamp    NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),  -- UTC, though nothing says so
    deleted_at    timestamp,                                -- soft delete
    notes         text                                      -- often nothing, sometimes many kilobytes
);

CREATE TABLE orders (
    id          bigserial PRIMARY KEY,
    customer_id integer   NOT NULL,
    status      smallint  NOT NULL DEFAULT 0,               -- 0 new, 1 paid, 2 packed, 3 shipped, 9 cancelled
    total_cents integer   NOT NULL DEFAULT 0,
    currency    char(3)   NOT NULL DEFAULT 'EUR',
    placed_at   timestamp NOT NULL,
    shipped     char(1),                                    -- 'Y', 'N' or NULL: nobody knows
    remark      text
);
CREATE INDEX orders_customer ON orders (customer_id);

CREATE TABLE order_lines (
    order_id    bigint        NOT NULL,
    line_no     smallint      NOT NULL,
    sku         varchar(40)   NOT NULL,
    qty         integer       NOT NULL,
    price_cents numeric(14,2) NOT NULL,                     -- fractions of a cent, for screws
    PRIMARY KEY (order_id, line_no)
);

CREATE TABLE sessions (
    token           text    PRIMARY KEY,                    -- a uuid, written as text
    customer_id     integer NOT NULL,
    last_seen_epoch bigint  NOT NULL,                       -- seconds since 1970
    ip              varchar(45)                             -- v4, v6 or NULL
);

CREATE TABLE settings (
    ns         text      NOT NULL,
    name       text      NOT NULL,
    value      text      NOT NULL,                          -- JSON
    updated_at timestamp NOT NULL,
    PRIMARY KEY (ns, name)
);

CREATE TABLE audit_log (
    id          bigserial   PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    actor       varchar(60) NOT NULL,
    action      varchar(40) NOT NULL,
    entity_id   bigint,
    amount      numeric(12,2),
    due_on      date,
    payload     jsonb,
    checksum    bytea
);

-- Written by the demo itself, to measure how long a committed row takes to appear on the other side.
CREATE TABLE probe (
    id      bigint      PRIMARY KEY,
    sent_at timestamptz NOT NULL
);
