-- The new application's schema. It is clean: real types, real constraints, one name for one thing.
-- No foreign keys yet: tables stream apart from one another, so references are added after the cutover.

CREATE SCHEMA app;

-- accounts and profiles are both made from the old table `customers`, soft-deleted ones left behind.
CREATE TABLE app.accounts (
    account_id  integer       PRIMARY KEY,
    email       text          NOT NULL UNIQUE,
    active      boolean       NOT NULL,
    balance     numeric(12,2) NOT NULL,
    created_at  timestamptz   NOT NULL,
    imported_at timestamptz   NOT NULL DEFAULT now(),       -- the new schema's own; the mapping does not know it
    CHECK (email = lower(email) AND email LIKE '%@%')
);
CREATE INDEX accounts_created ON app.accounts (created_at);

CREATE TABLE app.profiles (
    account_id  integer PRIMARY KEY,
    full_name   text    NOT NULL CHECK (full_name <> ''),
    tags        text,                                       -- kept as the comma list it was
    preferences jsonb   NOT NULL CHECK (jsonb_typeof(preferences) = 'object'),
    notes       text,
    headline    text    NOT NULL                            -- from several old columns, the large one among them
);
CREATE INDEX profiles_preferences ON app.profiles USING gin (preferences jsonb_path_ops);

CREATE TABLE app.orders (
    order_ref  text          PRIMARY KEY CHECK (order_ref LIKE 'ord\_%'),
    legacy_id  bigint        NOT NULL UNIQUE,
    account_id integer       NOT NULL,
    status     text          NOT NULL CHECK (status IN ('new', 'paid', 'packed', 'shipped', 'cancelled')),
    total      numeric(12,2) NOT NULL CHECK (total >= 0),
    currency   text          NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    placed_at  timestamptz   NOT NULL,
    shipped    boolean,
    remark     text
);
CREATE INDEX orders_account ON app.orders (account_id, placed_at DESC);
CREATE INDEX orders_open ON app.orders (placed_at) WHERE status IN ('new', 'paid', 'packed');

CREATE TABLE app.order_items (
    order_ref  text          NOT NULL,
    position   integer       NOT NULL CHECK (position > 0),
    order_id   bigint        NOT NULL,
    line_no    smallint      NOT NULL,
    sku        text          NOT NULL,
    quantity   integer       NOT NULL CHECK (quantity > 0),
    unit_price numeric(16,4) NOT NULL,
    line_total numeric(20,4) NOT NULL,
    PRIMARY KEY (order_ref, position)
);
CREATE INDEX order_items_sku ON app.order_items (sku);

CREATE TABLE app.sessions (
    session_id   uuid        PRIMARY KEY,
    legacy_token text        NOT NULL UNIQUE,               -- as it was spelt: two spellings could be one uuid
    account_id   integer     NOT NULL,
    last_seen_at timestamptz NOT NULL,
    ip           inet
);
CREATE INDEX sessions_account ON app.sessions (account_id);

CREATE TABLE app.settings (
    namespace  text        NOT NULL,
    name       text        NOT NULL,
    value      jsonb       NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (namespace, name)
);

-- The same on both sides: one line of mapping each.
CREATE TABLE app.audit_log (
    id          bigint      PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    actor       varchar(60) NOT NULL,
    action      varchar(40) NOT NULL,
    entity_id   bigint,
    amount      numeric(12,2),
    due_on      date,
    payload     jsonb,
    checksum    bytea
);

CREATE TABLE app.probe (
    id      bigint      PRIMARY KEY,
    sent_at timestamptz NOT NULL
);
