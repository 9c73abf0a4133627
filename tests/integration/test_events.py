"""Every kind of event that a PostgreSQL source can send, through Debezium, in batches of three, with the daemon killed.

One pipeline has all the tables. What it does is compared with the source after each act, and between acts it may be
killed between the two halves of a change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.stack import Stack
from tests.support.warm import Factory

BIG = "repeat(md5({0}::text), 400)"
"""12,800 characters, which are kept out of line where the storage is external."""
LONG = "n" * 60 + "ame"
ODD = (
    "ID",
    "1st",
    'quo"te',
    "spa ce",
    "ünïcödé 🐎",
    "select",
    "back\\slash",
    "per%cent",
    "Ends.dot",
    "col:on,semi;",
    LONG,
)
"""Names of columns; the first two are the key."""

SOURCE_SQL = """
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TABLE pages (id bigint PRIMARY KEY, kind text, body text, raw bytea, words text[], numbers integer[], doc json,
    tree jsonb, mark text, hits integer);
CREATE TABLE whole_pages (LIKE pages INCLUDING ALL, amounts numeric[]);
ALTER TABLE whole_pages REPLICA IDENTITY FULL;
CREATE TABLE indexed_pages (LIKE pages, PRIMARY KEY (id), code text NOT NULL);
CREATE UNIQUE INDEX indexed_code ON indexed_pages (code);
ALTER TABLE indexed_pages REPLICA IDENTITY USING INDEX indexed_code;

CREATE TABLE ranks (id integer PRIMARY KEY, place integer UNIQUE DEFERRABLE INITIALLY DEFERRED, who text);
CREATE TABLE staff (id integer PRIMARY KEY, boss integer REFERENCES staff DEFERRABLE INITIALLY DEFERRED, name text);
CREATE TABLE eggs (id integer PRIMARY KEY, hen integer, note text);
CREATE TABLE hens (id integer PRIMARY KEY, egg integer REFERENCES eggs DEFERRABLE INITIALLY DEFERRED, note text);
ALTER TABLE eggs ADD FOREIGN KEY (hen) REFERENCES hens DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE readings (id integer, zone integer, value integer, PRIMARY KEY (id, zone)) PARTITION BY RANGE (zone);
CREATE TABLE readings_low PARTITION OF readings FOR VALUES FROM (0) TO (10);
CREATE TABLE readings_high PARTITION OF readings FOR VALUES FROM (10) TO (100) PARTITION BY LIST (zone);
CREATE TABLE readings_high_10 PARTITION OF readings_high FOR VALUES IN (10);
CREATE TABLE readings_high_rest PARTITION OF readings_high DEFAULT;
CREATE TABLE moves (id integer PRIMARY KEY, mood mood, note text);
CREATE TABLE keyless (code text NOT NULL, part integer NOT NULL, note text);
CREATE UNIQUE INDEX keyless_key ON keyless (code, part);
ALTER TABLE keyless REPLICA IDENTITY USING INDEX keyless_key;
"""
TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.ranks (id integer PRIMARY KEY, place integer UNIQUE, who text);
CREATE TABLE app.staff (id integer PRIMARY KEY, boss integer REFERENCES app.staff, name text);
CREATE TABLE app.eggs (id integer PRIMARY KEY, hen integer, note text);
CREATE TABLE app.hens (id integer PRIMARY KEY, egg integer REFERENCES app.eggs, note text);
ALTER TABLE app.eggs ADD FOREIGN KEY (hen) REFERENCES app.hens;
CREATE TABLE app.readings (id integer, zone integer, value integer, PRIMARY KEY (id, zone));
CREATE TABLE app.moves (id bigint PRIMARY KEY, mood text, note text);
CREATE TABLE app.keyless (code text, part integer, note text, PRIMARY KEY (code, part));
"""
PAGES = "id bigint, kind text, body text, raw bytea, words text[], numbers integer[], doc json, tree jsonb,"
PAGES += " mark text, hits integer"
STORED = ("body", "raw", "words", "numbers", "doc", "tree")
SCHEMA, TABLE, PLAIN = "Sch ema.1", 'Tä"ble 🐎', "order"
"""Odd names of a schema and two tables in it."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def odd_table(schema: str, table: str, *, key: str = "text") -> str:
    columns = [f"{quoted(name)} {key} NOT NULL" for name in ODD[:2]] + [f"{quoted(name)} text" for name in ODD[2:]]
    names = f"{quoted(ODD[0])}, {quoted(ODD[1])}"
    return f"CREATE TABLE {quoted(schema)}.{quoted(table)} ({', '.join(columns)}, PRIMARY KEY ({names}))"


def tables() -> list[dict[str, Any]]:
    odd = f"{quoted(SCHEMA)}.{quoted(TABLE)}"
    turned = {ODD[2 + (n + 1) % (len(ODD) - 2)]: quoted(name) for n, name in enumerate(ODD[2:])}
    turned[ODD[3]] = f"{quoted(ODD[4])} || '%(x)s' || {quoted(ODD[2])}"
    pages = [
        {"from": f"public.{name}", "to": f"app.{name}", "overrides": {"head": "kind || left(body, 3)"}}
        for name in ("pages", "whole_pages", "indexed_pages")
    ]
    pages[2]["source_key"] = ["code"]
    plain = [{"from": f"public.{name}", "to": f"app.{name}"} for name in ("ranks", "staff", "eggs", "hens", "readings")]
    moves = {"from": "public.moves", "to": "app.moves", "overrides": {"mood": "cast(mood as text)"}}
    keyless = {"from": "public.keyless", "to": "app.keyless", "source_key": ["code", "part"]}
    return [
        *pages,
        *plain,
        moves,
        keyless,
        {"from": odd, "to": f'"Ziel"."{LONG}"', "columns": turned, "key": {n: quoted(n) for n in ODD[:2]}},
        {"from": f"{quoted(SCHEMA)}.{quoted(PLAIN)}", "to": f'"Ziel".{quoted(PLAIN)}'},
    ]


def questions() -> list[Question]:
    odd, keys = f"{quoted(SCHEMA)}.{quoted(TABLE)}", [quoted(name) for name in ODD[:2]]
    rest = [quoted(name) for name in ODD[2:]]
    turned = {rest[(n + 1) % len(rest)]: name for n, name in enumerate(rest)}
    turned[quoted(ODD[3])] = f"{quoted(ODD[4])} || '%(x)s' || {quoted(ODD[2])}"
    found = [
        Question("odd", f"SELECT {', '.join([*keys, *(turned[name] for name in rest)])} FROM {odd}",
                 f"SELECT {', '.join([*keys, *rest])} FROM \"Ziel\".{quoted(LONG)}"),
        Question("order", f"SELECT * FROM {quoted(SCHEMA)}.{quoted(PLAIN)}", f'SELECT * FROM "Ziel".{quoted(PLAIN)}'),
        Question("moves", "SELECT id, mood, note FROM moves", "SELECT id, mood, note FROM app.moves"),
        Question("keyless", "SELECT code, part, note FROM keyless", "SELECT code, part, note FROM app.keyless"),
    ]  # fmt: skip
    big = ", ".join(f"md5({name}::text)" for name in STORED)
    for name in ("pages", "whole_pages", "indexed_pages"):
        more = {"whole_pages": ", amounts::text", "indexed_pages": ", code"}.get(name, "")
        wanted = f"SELECT id, kind, {big}, mark, hits{more}, kind || substr(body, 1, 3) FROM {name}"
        found.append(Question(name, wanted, f"SELECT id, kind, {big}, mark, hits{more}, head FROM app.{name}"))
    for name, columns in (
        ("ranks", "id, place, who"), ("staff", "id, boss, name"), ("eggs", "id, hen, note"), ("hens", "id, egg, note"),
        ("readings", "id, zone, value"),
    ):  # fmt: skip
        found.append(Question(name, f"SELECT {columns} FROM {name}", f"SELECT {columns} FROM app.{name}"))
    return found


def fill(connection: psycopg.Connection) -> None:
    pages = (
        f"SELECT i, 'k' || i, {BIG.format('i')}, decode({BIG.format('i')}, 'hex'), ARRAY[{BIG.format('i')}, NULL, ''],"
        f" (SELECT array_agg(i * n) FROM generate_series(1, 3000) n), json_build_object('a', {BIG.format('i')}),"
        f" jsonb_build_object('a', {BIG.format('i')}, 'n', 12345678901234567890), 'm', 0"
    )
    for name, more in (("pages", ""), ("whole_pages", ", ARRAY[1.50, NULL]"), ("indexed_pages", ", 'c' || i")):
        for column in STORED:
            connection.execute(f"ALTER TABLE {name} ALTER {column} SET STORAGE EXTERNAL".encode())
        connection.execute(f"INSERT INTO {name} {pages}{more} FROM generate_series(1, 12) i".encode())
    for name in (TABLE, PLAIN):
        values = ", ".join([f"'k' || i || '{n}'" for n in (1, 2)] + [f"'v{n} ' || i" for n in range(len(ODD) - 2)])
        table = f"{quoted(SCHEMA)}.{quoted(name)}"
        connection.execute(f"INSERT INTO {table} SELECT {values} FROM generate_series(1, 12) i".encode())
    for statement in (
        "INSERT INTO ranks SELECT i, i, 'r' || i FROM generate_series(1, 12) i",
        "INSERT INTO staff SELECT i, CASE WHEN i > 1 THEN i / 2 END, 's' || i FROM generate_series(1, 12) i",
        "BEGIN; INSERT INTO eggs SELECT i, i, 'e' || i FROM generate_series(1, 6) i;"
        " INSERT INTO hens SELECT i, i, 'h' || i FROM generate_series(1, 6) i; COMMIT",
        "INSERT INTO readings SELECT i, i % 15, i FROM generate_series(1, 20) i",
        "INSERT INTO moves SELECT i, 'low', 'm' || i FROM generate_series(1, 30) i",
        "INSERT INTO keyless SELECT 'c' || i, i, 'x' FROM generate_series(1, 10) i",
    ):
        connection.execute(statement.encode())


class Events:
    """The pipeline with all tables, and what is done at its source."""

    def __init__(self, databases: Databases, pipeline: Pipeline) -> None:
        self.databases = databases
        self.pipeline = pipeline
        self.questions = questions()

    def source(self, *statements: str) -> None:
        """Each is a transaction, unless it says BEGIN."""
        with open_url(self.databases.source_url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def together(self, *statements: str) -> None:
        """All are one transaction."""
        with psycopg.connect(self.databases.source_url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def target(self, *statements: str) -> None:
        """Behind the daemon's back."""
        with open_url(self.databases.target_url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, query: str) -> Any:
        """One value of the target."""
        with open_url(self.databases.target_url) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    def equal(self, daemon: Daemon) -> None:
        """Everything is there, and the ledger balances."""
        assert self.pipeline.verify(self.questions, daemon) > 100


@pytest.fixture(scope="module")
def events(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    """The tables with a few rows, the connector, and small batches. The daemon is the tests' to start."""
    databases = Databases(stack, f"ev{os.getpid()}")
    with Factory() as factory:
        try:
            _make(databases)
            sections = {"stream": {"batch_rows_max": 3}, "dead_letters": {"max": 0}}
            settings = Settings(tables(), partitions=3, chunk_rows=30, sections=sections)
            pipeline = Pipeline(databases, tmp_path_factory.mktemp("events"), settings)
            pipeline.program, pipeline.launch = (), factory.launch
            pipeline.command("connector", "apply")
            yield Events(databases, pipeline)
        finally:
            databases.drop()


def _make(databases: Databases) -> None:
    with open_url(databases.source_url) as source:
        source.execute(SOURCE_SQL.encode())
        source.execute(f"CREATE SCHEMA {quoted(SCHEMA)}".encode())
        for name in (TABLE, PLAIN):
            source.execute(odd_table(SCHEMA, name).encode())
        fill(source)
    with open_url(databases.target_url) as target:
        target.execute(TARGET_SQL.encode())
        for name, more in (
            ("pages", "PRIMARY KEY (id)"),
            ("whole_pages", "amounts numeric[], PRIMARY KEY (id)"),
            ("indexed_pages", "code text PRIMARY KEY"),
        ):
            target.execute(f"CREATE TABLE app.{name} ({PAGES}, head text, {more})".encode())
        target.execute(b'CREATE SCHEMA "Ziel"')
        for name in (LONG, PLAIN):
            target.execute(odd_table("Ziel", name).encode())


Act = Callable[[Events], None]


def toast(at: Events) -> None:
    """A large value that did not change: the row there, absent, deleted after; carried within a batch."""
    for name in ("pages", "whole_pages", "indexed_pages"):
        more = {"whole_pages": ", ARRAY[2.5]", "indexed_pages": ", 'again'"}.get(name, "")
        move = "code = code || id" if name == "indexed_pages" else "id = id + 100"
        at.target(f"DELETE FROM app.{name} WHERE id IN (2, 3, 4)")
        at.source(
            f"UPDATE {name} SET hits = hits + 1 WHERE id = 1",
            f"UPDATE {name} SET hits = hits + 1 WHERE id = 2",  # absent at the target
            f"UPDATE {name} SET hits = hits + 1 WHERE id = 3; DELETE FROM {name} WHERE id = 3",
            f"UPDATE {name} SET kind = 'mixed with a large one' WHERE id IN (4, 5)",
            f"UPDATE {name} SET hits = NULL, mark = NULL WHERE id = 5; UPDATE {name} SET hits = 1 WHERE id = 5",
            f"UPDATE {name} SET {move} WHERE id IN (6, 7)",
        )
        at.together(
            f"UPDATE {name} SET body = {BIG.format('(hits + 7)')} WHERE id = 8",
            f"UPDATE {name} SET hits = 5 WHERE id = 8",
            f"UPDATE {name} SET raw = NULL, words = '{{}}', doc = '[]' WHERE id = 8",
            f"UPDATE {name} SET mark = 'carried' WHERE id = 8",
            f"UPDATE {name} SET hits = 6 WHERE id = 9",
            f"DELETE FROM {name} WHERE id = 9",
            f"UPDATE {name} SET hits = 6 WHERE id = 10",
            f"DELETE FROM {name} WHERE id = 10",
            f"INSERT INTO {name} SELECT 10, 'again', {BIG.format('10')}, NULL, NULL, NULL, NULL, NULL, NULL, 3{more}",
            f"UPDATE {name} SET hits = 4 WHERE id = 10",
            f"UPDATE {name} SET id = 211, hits = 2 WHERE id = 11",
            f"UPDATE {name} SET mark = 'moved, then changed' WHERE id = 211",
            f"UPDATE {name} SET id = 11 WHERE id = 211",
        )


def unique_values(at: Events) -> None:
    """Two rows exchange a unique value, three go round, one moves to a new row while the old one goes."""
    at.source(
        "UPDATE ranks SET place = 3 - place WHERE id IN (1, 2)",
        "UPDATE ranks SET place = CASE place WHEN 5 THEN 3 ELSE place + 1 END WHERE place BETWEEN 3 AND 5",
        "BEGIN; DELETE FROM ranks WHERE id = 6; INSERT INTO ranks VALUES (106, 6, 'heir'); COMMIT",
        "BEGIN; INSERT INTO ranks VALUES (107, 7, 'first'); DELETE FROM ranks WHERE id = 7; COMMIT",
        "BEGIN; UPDATE ranks SET id = 900 WHERE id = 8; UPDATE ranks SET id = 8 WHERE id = 9;"
        " UPDATE ranks SET id = 9 WHERE id = 900; COMMIT",
        "UPDATE ranks SET place = NULL WHERE id IN (10, 11)",
        "UPDATE ranks SET place = 13 - place WHERE place IN (1, 12)",
    )


def foreign_keys(at: Events) -> None:
    """A row and the one it refers to, in either order, on partitions of their own; and two that refer to each other."""
    at.source(
        "BEGIN; INSERT INTO staff VALUES (50, 51, 'first'), (51, 52, 'second'), (52, 50, 'third'); COMMIT",
        "BEGIN; UPDATE staff SET boss = 50 WHERE boss = 1; DELETE FROM staff WHERE id = 1; COMMIT",
        "UPDATE staff SET boss = id WHERE id IN (3, 4)",
        "BEGIN; INSERT INTO hens VALUES (60, 60, 'h'); INSERT INTO eggs VALUES (60, 60, 'e'); COMMIT",
        "BEGIN; UPDATE eggs SET id = id + 100; UPDATE hens SET egg = egg + 100; COMMIT",
        "BEGIN; DELETE FROM hens WHERE id = 2; DELETE FROM eggs WHERE id = 102; COMMIT",
        "BEGIN; UPDATE hens SET id = 1000 + id; UPDATE eggs SET hen = 1000 + hen; COMMIT",
    )


def partitions(at: Events) -> None:
    """Rows of a partitioned table, which travel under its own name; they move between partitions, and one is new."""
    at.source(
        "UPDATE readings SET value = -value",
        "UPDATE readings SET zone = zone + 10 WHERE zone < 5",
        "UPDATE readings SET zone = 0 WHERE zone = 10",
        "CREATE TABLE readings_top PARTITION OF readings FOR VALUES FROM (100) TO (200)",
        "INSERT INTO readings SELECT i, 150, i FROM generate_series(1, 5) i",
        "UPDATE readings SET zone = 160 + zone % 7 WHERE id < 3",
        "DELETE FROM readings_high WHERE id % 3 = 0",
    )


def transactions(at: Events) -> None:
    """Savepoints, subtransactions that fail, transactions in two phases, and messages of others and of our prefix."""
    at.source("ALTER TYPE mood ADD VALUE 'late'")
    at.together(
        "UPDATE moves SET note = 'outer' WHERE id < 10",
        "SAVEPOINT a",
        "UPDATE moves SET note = 'never' WHERE id < 10",
        "DELETE FROM moves WHERE id = 5",
        "SAVEPOINT b",
        "INSERT INTO moves VALUES (500, 'low', 'never')",
        "ROLLBACK TO SAVEPOINT b",
        "ROLLBACK TO SAVEPOINT a",
        "SAVEPOINT c",
        "UPDATE moves SET note = 'inner', mood = 'late' WHERE id = 7",
        "SELECT pg_logical_emit_message(true, 'changeover', 'inside')",
        "RELEASE SAVEPOINT c",
        "DO $$ BEGIN FOR i IN 1..8 LOOP BEGIN UPDATE moves SET note = note || i WHERE id = 8;"
        " IF i % 2 = 0 THEN RAISE 'odd only'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END;"
        " END LOOP; END $$",
    )
    at.source(
        "SELECT pg_logical_emit_message(true, 'changeover', 'no JSON at all'), pg_logical_emit_message(false,"
        " 'changeover', '{\"kind\": 7}'), pg_logical_emit_message(false, 'changeover.x', ''),"
        " pg_logical_emit_message(true, 'others', 'hello'), pg_logical_emit_message(false, '', '\\x00ff'::bytea)",
        "BEGIN; UPDATE moves SET note = 'prepared' WHERE id = 11; DELETE FROM moves WHERE id = 12;"
        " PREPARE TRANSACTION 'kept'",
        "BEGIN; UPDATE moves SET note = 'never' WHERE id = 13; PREPARE TRANSACTION 'given up'",
        "UPDATE moves SET note = 'beside' WHERE id = 14",
        "ROLLBACK PREPARED 'given up'",
        "COMMIT PREPARED 'kept'",
        "BEGIN; UPDATE moves SET note = 'never'; ROLLBACK",
        "BEGIN; UPDATE moves SET note = 'one key, many times'; UPDATE moves SET note = note || id;"
        " DELETE FROM moves WHERE id = 15; INSERT INTO moves VALUES (15, 'high', 'reborn'); UPDATE moves SET id = 1016"
        " WHERE id = 16; UPDATE moves SET id = 16 WHERE id = 1016; UPDATE moves SET mood = NULL WHERE id = 16; COMMIT",
    )


def odd_names(at: Events) -> None:
    """Names that need quotes, in keys, values and expressions, and in the topics' names."""
    for name in (TABLE, PLAIN):
        table, (one, two, *rest) = f"{quoted(SCHEMA)}.{quoted(name)}", [quoted(column) for column in ODD]
        changes = ", ".join(f"{column} = {column} || '''\"\\{{}}'" for column in rest)
        at.source(
            f"UPDATE {table} SET {changes} WHERE {one} = 'k21'",
            f"UPDATE {table} SET {one} = 'ä\"\\ 🐎', {two} = '' WHERE {one} = 'k31'",
            f"UPDATE {table} SET {rest[0]} = NULL, {rest[-1]} = repeat('x', 9000) WHERE {one} = 'k41'",
            f"UPDATE {table} SET {rest[1]} = 'beside a large one' WHERE {one} = 'k41'",
            f"DELETE FROM {table} WHERE {one} = 'k51'",
            f"INSERT INTO {table} ({one}, {two}) VALUES ('new', 'new')",
        )


def keyless(at: Events) -> None:
    """A table without a primary key: its key is the configured one, and changes."""
    at.source(
        "UPDATE keyless SET note = 'changed' WHERE part < 4",
        "UPDATE keyless SET part = part + 100 WHERE part BETWEEN 3 AND 6",
        "DELETE FROM keyless WHERE part > 104",
        "INSERT INTO keyless VALUES ('c5', 5, 'again')",
    )


ACTS: Sequence[Act] = (toast, unique_values, foreign_keys, partitions, transactions, odd_names, keyless)


def test_every_event_is_applied(events: Events) -> None:
    """All acts at once, so that their events share batches; then again one after another on what they left."""
    with events.pipeline.run() as daemon:
        events.equal(daemon)
        for act in ACTS:
            act(events)
        events.equal(daemon)
        assert events.ask("SELECT count(*) FROM changeover.source_shape") == len(tables())
        daemon.killed = True
        daemon.terminate()
        assert daemon.wait(30) == 0, daemon.output()
    said = daemon.output(1000)
    assert "ignored" not in said, said
    assert "verified" not in said, said


def test_a_key_changes_partitions_and_the_daemon_dies_between_its_halves(events: Events) -> None:
    """The new rows' places at the target are taken for a while: the daemon waits with one half applied, and dies."""
    keys = (20, 21, 22, 23)
    with events.pipeline.run() as daemon:
        events.equal(daemon)
    for url, table in ((events.databases.source_url, "moves"), (events.databases.target_url, "app.moves")):
        with open_url(url) as connection:
            found = connection.execute(f"SELECT count(*) FROM {table} WHERE id IN {keys}".encode()).fetchone()
            assert found == (len(keys),)
    with ExitStack() as held:
        blockers = {}
        for key in keys:
            blocker = held.enter_context(psycopg.connect(events.databases.target_url))
            blocker.execute("INSERT INTO app.moves VALUES (%s)", (key + 10_000,))
            blockers[key] = blocker
        for key in keys:
            events.source(f"UPDATE moves SET id = id + 10000, note = 'moved' WHERE id = {key}")
        for key in keys:
            with events.pipeline.run() as daemon:
                until(lambda: _waits_for(events), 30, lambda: f"a new row waits: {daemon.output(5)}")
                daemon.kill()
            blockers.pop(key).rollback()
    with events.pipeline.run() as daemon:
        events.equal(daemon)


def test_a_target_role_that_cannot_leave_foreign_keys_unchecked_is_told_what_it_needs(events: Events) -> None:
    """Tables arrive in no mutual order; with the right that the lines name, it goes on."""
    role, parts = f"weak_{events.databases.name}", urlsplit(events.databases.target_url)
    weak = urlunsplit(parts._replace(netloc=f"{role}:weak@{parts.hostname}:{parts.port}"))
    events.target(
        f"CREATE ROLE {role} LOGIN PASSWORD 'weak'",
        f"GRANT CREATE, TEMPORARY ON DATABASE {events.databases.name} TO {role}",
        *(
            f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}"
            for schema in ("app", '"Ziel"')
        ),
        *(f"GRANT ALL ON ALL {what} IN SCHEMA changeover TO {role}" for what in ("TABLES", "SEQUENCES")),
        f"GRANT USAGE, CREATE ON SCHEMA changeover TO {role}",
    )
    try:
        refused = events.pipeline.start("run", target_url=weak)
        assert refused.wait(30) == 2, refused.output()
        lines = refused.output(100).splitlines()
        for table in ("staff", "eggs", "hens"):
            (line,) = (line for line in lines if f"app.{table} has foreign keys" in line)
            assert "GRANT SET ON PARAMETER session_replication_role TO the target's role" in line
        assert len(lines) == 3, lines
        events.target(f"GRANT SET ON PARAMETER session_replication_role TO {role}")
        with events.pipeline.run(target_url=weak) as daemon:
            events.source(
                "BEGIN; INSERT INTO hens VALUES (70, 70, 'h'); INSERT INTO eggs VALUES (70, 70, 'e'); COMMIT",
                "BEGIN; INSERT INTO staff VALUES (71, 70, 'before its boss'), (70, 71, 'boss'); COMMIT",
            )
            events.equal(daemon)
    finally:
        events.target(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_table_without_replica_identity_is_refused_and_mended(events: Events, tmp_path: Path) -> None:
    """Its deletes would not say which row: refused before anything runs, by every command that would use it."""
    events.source("CREATE TABLE loose (id integer PRIMARY KEY)", "ALTER TABLE loose REPLICA IDENTITY NOTHING")
    events.target("CREATE TABLE app.loose (id integer PRIMARY KEY)")
    loose = Pipeline(events.databases, tmp_path, Settings([{"from": "public.loose", "to": "app.loose"}]))
    loose.program, loose.launch = events.pipeline.program, events.pipeline.launch
    mends = set()
    for command in (("run",), ("plan",), ("connector", "apply")):
        done = loose.call(*command)
        assert done.code == 2, done.said
        (line,) = done.said.splitlines()
        found = re.search(r"public\.loose.* replica identity .*; (ALTER TABLE .+ REPLICA IDENTITY \w+)$", line)
        assert found is not None, line
        mends.add(found[1])
    for mend in mends:
        events.source("ALTER TABLE loose REPLICA IDENTITY NOTHING", mend)
        assert "replica identity" not in loose.call("run").said


def _waits_for(events: Events) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    return bool(events.ask(waiting))
