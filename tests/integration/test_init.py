"""`changeover init` on real schemas: its file is used as it is written."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daemon.config.model import load
from daemon.wiring import Parts
from mappers.mapping import Entry, Table
from tests.support import renaming, schemas
from tests.support.databases import Databases, open_mariadb, open_url
from tests.support.schemas import engines
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


@dataclass(frozen=True)
class Ends:
    """Two databases of some engines, both empty."""

    source: str
    target: str
    environ: dict[str, str]

    @property
    def urls(self) -> tuple[str, str]:
        """Source and target."""
        return self.environ["SOURCE_URL"], self.environ["TARGET_URL"]

    def make(self, side: str, *statements: str) -> None:
        """Run statements there. Names are in double quotes."""
        engine, url = (self.source, self.urls[0]) if side == "source" else (self.target, self.urls[1])
        if engine == "postgresql":
            with open_url(url) as connection, connection.transaction():
                for statement in statements:
                    connection.execute(statement.encode())
        elif engine == "mariadb":
            with open_mariadb(url) as cursor:
                for statement in statements:
                    cursor.execute(statement)
        else:
            with closing(sqlite3.connect(urlsplit(url).path[1:])) as connection:
                connection.executescript("; ".join(statements))


def _ends(databases: Databases, source: str, target: str, folder: Path) -> Ends:
    path = folder / "new.db"
    path.touch()
    mariadb = databases.on_mariadb() if "mariadb" in (source, target) else ""
    urls = {
        "SOURCE_URL": mariadb if source == "mariadb" else databases.source_url,
        "TARGET_URL": {"postgresql": databases.target_url, "mariadb": mariadb, "sqlite": f"sqlite:///{path}"}[target],
    }
    return Ends(source, target, {**_environ(databases), **urls})


def _command(databases: Databases, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(["--config", str(path), *arguments], _environ(databases))


def _environ(databases: Databases) -> dict[str, str]:
    stack = databases.stack
    return {"SOURCE_URL": databases.source_url, "TARGET_URL": databases.target_url,
            "KAFKA_BOOTSTRAP": stack.kafka, "CONNECT_URL": stack.connect_url}  # fmt: skip


def _entries(path: Path, databases: Databases) -> list[Entry]:
    """The entries of the file as `run` would start with them."""
    return _prepared(path, _environ(databases))


def _prepared(path: Path, environ: dict[str, str]) -> list[Entry]:
    parts = Parts(load(path, environ), path, threading.Event())
    try:
        return [entry for mapped in parts.tables().values() for entry in mapped.entries]
    finally:
        parts.target.close()


def _source_column(entry: Entry, name: str) -> str | None:
    (read,) = entry.expression(name).inputs
    return read


def _children_s() -> float:
    """Processor seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    began, busy = time.monotonic(), _children_s()
    done = _init(databases, "--output", str(path))
    wall, own = time.monotonic() - began, _children_s() - busy
    assert done.returncode == 0, done.stderr
    # Of a machine that others use too, it may have had half or less: what it took itself counts then.
    assert wall < 10 or own < 5, f"{wall:.1f} s, {own:.1f} s its own, for {len(old.result)} tables"
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


ENGINES = (("mariadb", "postgresql"), ("postgresql", "mariadb"), ("postgresql", "sqlite"), ("mariadb", "sqlite"))
ODD = {
    "postgresql": (
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE TABLE odd_things (thing_id uuid PRIMARY KEY, mood mood NOT NULL, labels text[], total_sum numeric,"
        " paid money, notes text, seen_at timestamptz, state char(4), amount numeric(18,4))",
    ),
    "mariadb": (
        "CREATE TABLE odd_things (thing_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, mood enum('sad','happy')"
        " NOT NULL, is_cheap tinyint(1) NOT NULL, mid_size mediumint unsigned, made_in year, tag_list set('a','b'),"
        " on_sale bit(1), raw_key binary(16), state char(4), seen_at timestamp NULL, read_at datetime, place point,"
        " token uuid, notes text, amount decimal(18,4))",
        "CREATE TABLE no_keys (a int, b int)",
    ),
}
"""At a source: what another engine has no like of, and what does not travel."""
ODD_NEW = {
    ("postgresql", "mariadb"): """CREATE TABLE "OddThings" ("ThingID" char(36) PRIMARY KEY,
        "Mood" enum('happy','sad','calm') NOT NULL, "Labels" json, "TotalSum" decimal(20,4), "Paid" decimal(10,2),
        "Notes" varchar(20), "SeenAt" timestamp(6) NULL, "State" char(4), "Amount" decimal(18,4))""",
    ("postgresql", "sqlite"): """CREATE TABLE "OddThings" ("ThingID" TEXT NOT NULL PRIMARY KEY, "Mood" TEXT NOT NULL,
        "Labels" TEXT, "TotalSum" NUMERIC, "Paid" TEXT, "Notes" VARCHAR(20), "SeenAt" TIMESTAMP, "State" CHAR(4),
        "Amount" DECIMAL(18,4))""",
    ("mariadb", "postgresql"): """CREATE TYPE feeling AS ENUM ('happy', 'sad', 'calm');
        CREATE TABLE "OddThings" ("ThingID" bigint PRIMARY KEY, "Mood" feeling NOT NULL, "IsCheap" boolean NOT NULL,
        "MidSize" integer, "MadeIn" smallint, "TagList" text, "OnSale" boolean, "RawKey" bytea, "State" char(4),
        "SeenAt" timestamptz, "ReadAt" timestamptz, "Place" bytea, "Token" uuid, "Notes" varchar(20),
        "Amount" numeric(18,4));
        CREATE TABLE "NoKeys" ("A" int PRIMARY KEY, "B" int)""",
    ("mariadb", "sqlite"): """CREATE TABLE "OddThings" ("ThingID" TEXT NOT NULL PRIMARY KEY, "Mood" TEXT NOT NULL,
        "IsCheap" BOOLEAN NOT NULL, "MidSize" INT, "MadeIn" INT, "TagList" TEXT, "OnSale" BOOLEAN, "RawKey" BLOB,
        "State" CHAR(4), "SeenAt" TIMESTAMP, "ReadAt" DATETIME, "Place" BLOB, "Token" UUID, "Notes" VARCHAR(20),
        "Amount" DECIMAL(18,4)); CREATE TABLE "NoKeys" ("A" INTEGER PRIMARY KEY, "B" INTEGER)""",
}
ODD_SAID = {
    ("postgresql", "mariadb"): {
        "TotalSum": "numeric holds numbers that decimal(20,4) does not",
        "Paid": "money cannot be followed exactly: its text depends on lc_monetary",
        "Notes": "it cuts longer values: are there any?",
    },
    ("postgresql", "sqlite"): {
        "TotalSum": "declare the column TEXT: this one makes 1.1 of '1.10'",
        "Paid": "money cannot be followed exactly: its text depends on lc_monetary",
        "Amount": "declare the column TEXT: this one makes 1.1 of '1.10'",
    },
    ("mariadb", "postgresql"): {
        "ReadAt": "which time zone are its values of?",
        "Place": "point cannot be followed exactly: Debezium sends geometry of its own instead of the value",
        "Notes": "it cuts longer values: are there any?",
    },
    ("mariadb", "sqlite"): {
        "Place": "point cannot be followed exactly: Debezium sends geometry of its own instead of the value",
        "Amount": "declare the column TEXT: this one makes 1.1 of '1.10'",
    },
}
"""Target columns that somebody must decide, and what is said of them. All others are right as they are."""


@pytest.mark.parametrize(("source", "target"), ENGINES)
def test_another_style_on_another_engine_needs_no_edit(
    databases: Databases, source: str, target: str, tmp_path: Path
) -> None:
    ends = _ends(databases, source, target, tmp_path)
    home = databases.name if source == "mariadb" else "public"
    plain = engines.common([*schemas.load("messaging"), *schemas.load("northwind")])
    away = {"postgresql": "public", "mariadb": databases.name, "sqlite": "main"}[target]
    old = renaming.start([engines.moved(table, home) for table in plain])
    new = renaming.restyled(old, "snake", "camel", "plural", "t_", away)
    ends.make("source", *engines.statements(engines.declared(plain, source), source), *ODD[source])
    shape = renaming.restyled(renaming.start(plain), "snake", "camel", "plural", "t_").result
    ends.make("target", *engines.statements(engines.declared(shape, target), target), ODD_NEW[source, target])
    path = tmp_path / "changeover.yaml"
    done = _run(["init", *ends.urls, "--output", str(path)], {})
    assert done.returncode == 0, done.stderr
    entries, text = _prepared(path, ends.environ), path.read_text()
    odd = [entry for entry in entries if entry.target.name == "OddThings"]
    same = [entry for entry in entries if entry not in odd]
    assert {e.target.full_name: e.source.full_name for e in same} == new.tables
    lines = {(e.target.full_name, c.name): _source_column(e, c.name) for e in same for c in e.columns}
    assert lines == new.columns
    assert odd, text
    said = ODD_SAID[source, target]
    assert {c.name for c in odd[0].columns} == {c.name for c in odd[0].target.columns} - said.keys()
    for name, why in said.items():
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"# {name}: ")]
        assert why in line
    assert ("no_keys has no primary key" in text) == (source == "mariadb")
    assert "0 source tables without a place, 0 target tables that nothing fills" in done.stderr
    password = urlsplit(ends.urls[0]).password
    assert password
    assert password not in text + done.stderr


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
