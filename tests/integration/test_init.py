"""`changeover init` on real schemas: its file is used as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from daemon.config.model import load
from daemon.wiring import Parts
from mappers.mapping import Entry, Table
from tests.support import renaming, schemas
from tests.support.databases import Databases, open_url
from tests.support.schemas.ddl import statements

PROJECTS = ("rails_shop", "keycloak", "magento", "mastodon", "messaging", "sakila", "clinic")


def _make(url: str, tables: tuple[Table, ...] | list[Table]) -> None:
    with open_url(url) as connection, connection.transaction():
        for statement in statements(tables):
            connection.execute(statement.encode())


def _run(arguments: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environ}
    )


def _init(databases: Databases, *more: str) -> subprocess.CompletedProcess[str]:
    return _run(["init", databases.source_url, databases.target_url, *more], {})


def _command(databases: Databases, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(["--config", str(path), *arguments], _environ(databases))


def _environ(databases: Databases) -> dict[str, str]:
    stack = databases.stack
    return {"SOURCE_URL": databases.source_url, "TARGET_URL": databases.target_url,
            "KAFKA_BOOTSTRAP": stack.kafka, "CONNECT_URL": stack.connect_url}  # fmt: skip


def _entries(path: Path, databases: Databases) -> list[Entry]:
    """The entries of the file as `run` would start with them."""
    parts = Parts(load(path, _environ(databases)), path, threading.Event())
    try:
        return [entry for mapped in parts.tables().values() for entry in mapped.entries]
    finally:
        parts.target.close()


def _source_column(entry: Entry, name: str) -> str | None:
    (read,) = entry.expression(name).inputs
    return read


def _hundred() -> renaming.Moved:
    """The tables of several projects, each in schemas of its own."""
    found: list[Table] = []
    for name in PROJECTS:
        moved = renaming.renamed(
            renaming.start(schemas.load(name)),
            lambda table, name=name: (f"{name}_{table.schema}", table.name),  # type: ignore[misc]
            lambda _, column: column.name,
        )
        found += moved.result
    assert len(found) >= 100
    return renaming.start(found)


def test_a_hundred_tables_in_another_style_need_no_edit_and_take_less_than_ten_seconds(
    databases: Databases, tmp_path: Path
) -> None:
    old = _hundred()
    new = renaming.restyled(old, "snake", "camel", "plural", "t_")
    _make(databases.source_url, old.result)
    _make(databases.target_url, new.result)
    path = tmp_path / "changeover.yaml"
    began = time.monotonic()
    done = _init(databases, "--output", str(path))
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert took < 10, f"{took:.1f} s for {len(old.result)} tables"
    entries = _entries(path, databases)
    made = {entry.target.full_name: entry.source.full_name for entry in entries}
    refused = {target for target, source in new.tables.items() if source.endswith(".film")}
    assert made == {target: source for target, source in new.tables.items() if target not in refused}
    lines = {(e.target.full_name, c.name): _source_column(e, c.name) for e in entries for c in e.columns}
    assert lines == {place: source for place, source in new.columns.items() if place[0] not in refused}
    text = path.read_text()
    assert "tsvector cannot be followed exactly" in text
    assert "0 source tables without a place, 0 target tables that nothing fills" in done.stderr
    password = urlsplit(databases.source_url).password
    assert password and password not in text + done.stderr  # noqa: PT018 (the second half means nothing without the first)


OLD = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, name text, born date, is_vip boolean, tags text[],
    balance money, code char(4), full_text tsvector, "weird ""name" int, len int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE no_key (a int, b text);
CREATE TABLE unique_only (a int NOT NULL UNIQUE, b text);
ALTER TABLE unique_only REPLICA IDENTITY FULL;
CREATE TABLE silent (id int PRIMARY KEY, b text);
ALTER TABLE silent REPLICA IDENTITY NOTHING;
CREATE TABLE times (id int PRIMARY KEY, at timestamp, day date, dur interval, zoned time with time zone);
CREATE TABLE tight (id int PRIMARY KEY, note text);
CREATE TABLE members (user_id int, team_id int, PRIMARY KEY (user_id, team_id));
CREATE TABLE parts (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE schema_migrations (version text PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, total numeric(10,2), placed timestamp);
CREATE VIEW seen AS SELECT * FROM users;
CREATE TABLE "Odd ${HOME} table" ("Some: #column" int PRIMARY KEY, "on" text);
"""
NEW = """
CREATE SCHEMA app; CREATE SCHEMA changeover; CREATE TABLE changeover.users (id int PRIMARY KEY);
CREATE TABLE app.users (user_id bigint PRIMARY KEY, email_address text NOT NULL, name varchar(20), birth_date date,
    is_vip smallint, tags text[], balance numeric(12,2), code text, full_text tsvector, "weird ""name" int, len int);
CREATE TABLE app.no_key (a int PRIMARY KEY, b text);
CREATE TABLE app.unique_only (a int PRIMARY KEY, b text);
CREATE TABLE app.silent (id int PRIMARY KEY, b text);
CREATE TABLE app.times (id int PRIMARY KEY, at timestamptz, day timestamp, dur interval, zoned time with time zone);
CREATE TABLE app.tight (id int PRIMARY KEY, note text NOT NULL, more text NOT NULL DEFAULT 'x');
CREATE TABLE app.members (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int NOT NULL,
    team_id int NOT NULL, UNIQUE (user_id, team_id));
CREATE TABLE app.parts (id int, day date, v text, PRIMARY KEY (id, day));
CREATE TABLE app.schema_migrations (version text PRIMARY KEY);
INSERT INTO app.schema_migrations VALUES ('1');
CREATE TABLE app.orders (id int PRIMARY KEY, user_id bigint REFERENCES app.users, total numeric(10,2),
    placed_at timestamp, twice numeric GENERATED ALWAYS AS (total * 2) STORED);
CREATE TABLE app."Odd ${HOME} table" ("Some: #column" int PRIMARY KEY, "on" text, filler text);
CREATE TABLE app.brand_new (id int PRIMARY KEY);
"""


def test_what_cannot_be_as_it_is_becomes_a_comment_and_the_rest_runs(databases: Databases, tmp_path: Path) -> None:
    for url, script in ((databases.source_url, OLD), (databases.target_url, NEW)):
        with open_url(url) as connection:
            connection.execute(script.encode())
    path = tmp_path / "changeover.yaml"
    done = _init(databases, "--output", str(path), "--exclude", "app.brand_*")
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    live = {entry.source.name: entry for entry in _entries(path, databases)}
    assert live.keys() == {"users", "unique_only", "times", "members", "parts", "orders", "Odd ${HOME} table"}
    users = {column.name: _source_column(live["users"], column.name) for column in live["users"].columns}
    assert users == {"user_id": "id", "email_address": "email", "birth_date": "born", "is_vip": "is_vip",
                     "tags": "tags", "code": "code", 'weird "name': 'weird "name'}  # fmt: skip
    assert {c.name for c in live["times"].columns} == {"id", "day"}
    assert {c.name for c in live["orders"].columns} == {"id", "user_id", "total", "placed_at"}
    assert live["members"].key == ("user_id", "team_id")
    assert live["unique_only"].source_key == ("a",)
    for said in (
        "# not in force: public.no_key has no primary key",
        "# not in force: public.silent has replica identity nothing",
        "app.schema_migrations has rows: it keeps the history",
        "money cannot be followed exactly: its text depends on lc_monetary and Debezium rounds it",
        "interval cannot be followed exactly",
        "which time zone are its values of?",
        "is NOT NULL, but the expression may be NULL; write coalesce(note, <a value>)",
        "integer cannot be followed exactly: it is generated",
    ):
        assert said in text, text
    assert "brand_new" not in text
    plan = _command(databases, path, "plan")
    assert plan.returncode == 0, plan.stdout + plan.stderr


def test_schemas_can_be_chosen_and_doubt_be_set(databases: Databases) -> None:
    with open_url(databases.source_url) as connection:
        connection.execute("CREATE SCHEMA one; CREATE TABLE one.a (id int PRIMARY KEY, tel text);"
                           "CREATE SCHEMA two; CREATE TABLE two.b (id int PRIMARY KEY)")  # fmt: skip
    with open_url(databases.target_url) as connection:
        connection.execute("CREATE TABLE a (id int PRIMARY KEY, phone text); CREATE TABLE b (id int PRIMARY KEY)")
    chosen = _init(databases, "--schema", "one")
    assert "from: one.a" in chosen.stdout
    assert "phone: tel" in chosen.stdout
    assert "two.b" not in chosen.stdout
    strict = _init(databases, "--min-confidence", "0.99")
    assert "# phone: tel" in strict.stdout
    assert _init(databases, "--min-confidence", "2").returncode == 2
    nothing = _init(databases, "--schema", "none")
    assert nothing.returncode == 1
    assert "tables: []" in nothing.stdout
