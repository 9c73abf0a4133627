"""What is made of source rows before the mapping sees them: computed columns, lookups, lists that become rows."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon

SPACE = uuid.UUID("5f0c7e5c-3f4c-4e0f-9d1b-0a5d1f1f2f3f")
SOURCE_SQL = """
CREATE TABLE plans (code text PRIMARY KEY, title text NOT NULL, seats integer);
INSERT INTO plans VALUES ('f', 'Free', 1), ('p', 'Pro', 5), ('x', 'Legacy', NULL);
CREATE TABLE users (
    id bigint PRIMARY KEY, plan text NOT NULL, country text, phone text, tags text, labels text[], links jsonb,
    phone1 text, phone2 text, photo bytea, born timestamp, note text
);
ALTER TABLE users ALTER tags SET STORAGE EXTERNAL;
"""
TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.accounts (
    id uuid PRIMARY KEY, old_id bigint NOT NULL UNIQUE, plan text NOT NULL, seats integer, region text,
    prefix text, number text, size bigint, born text, note text
);
CREATE TABLE app.tags (user_id bigint, tag text, place bigint NOT NULL, note text, PRIMARY KEY (user_id, tag));
CREATE TABLE app.labels (user_id bigint, place bigint, label text, PRIMARY KEY (user_id, place));
CREATE TABLE app.links (user_id bigint, place bigint, href text, PRIMARY KEY (user_id, place));
CREATE TABLE app.phones (user_id bigint, phone text, PRIMARY KEY (user_id, phone));
"""
MODULE = """
def parts(rows):
    made = []
    for phone, photo, born in rows:
        if phone is not None and "!" in phone:
            raise ValueError("a phone number without digits: " + phone)
        prefix, _, number = (phone or "").partition(" ")
        made.append((prefix or None, number or None, None if photo is None else len(photo), born))
    return made
"""
USERS = {
    "from": "public.users",
    "to": "app.accounts",
    "functions": [
        {"uuid5": "user:{id}", "namespace": str(SPACE), "output": "account"},
        {"lookup": "public.plans", "key": {"code": "plan"}, "outputs": {"plan_title": "title", "plan_seats": "seats"}},
        {"values": {"de": "EU", "fr": "EU", "us": "NA"}, "input": "country", "output": "region", "missing": "null"},
        {
            "python": "made_rows:parts",
            "inputs": ["phone", "photo", "born"],
            "outputs": {"prefix": "text", "number": "text", "size": "bigint", "birthday": "text"},
        },
    ],
    "key": {"id": "account"},
    "columns": {
        "old_id": "id", "plan": "plan_title", "seats": "cast(plan_seats as integer)", "region": "region",
        "prefix": "prefix", "number": "number", "size": "size", "born": "birthday", "note": "note",
    },
}  # fmt: skip
USERS["columns"]["plan"] = "coalesce(plan_title, 'none')"  # type: ignore[index]
TABLES: list[dict[str, Any]] = [
    USERS,
    {
        "from": "public.users",
        "to": "app.tags",
        "explode": {"split": "tags", "as": "tag", "ordinal": "pos", "duplicates": "first"},
        "where": "trim(tag) <> ''",
        "key": {"user_id": "id", "tag": "coalesce(lower(trim(tag)), '')"},
        "columns": {"place": "pos", "note": "note"},
    },
    {
        "from": "public.users",
        "to": "app.labels",
        "explode": {"split": "labels", "as": "label", "ordinal": "pos"},
        "key": {"user_id": "id", "place": "pos"},
        "columns": {"label": "label"},
    },
    {
        "from": "public.users",
        "to": "app.links",
        "explode": {"json": "links", "as": "link", "ordinal": "pos"},
        "key": {"user_id": "id", "place": "pos"},
        "columns": {"href": "cast(link as jsonb) ->> 'href'"},
        "where": "link is not null",
    },
    {
        "from": "public.users",
        "to": "app.phones",
        "explode": {"columns": ["phone1", "phone2"], "as": "phone_of"},
        "key": {"user_id": "id", "phone": "phone_of"},
    },
]
QUESTIONS = [
    Question(
        "app.accounts",
        """SELECT u.id, p.title, p.seats,
            CASE WHEN country IN ('de', 'fr') THEN 'EU' WHEN country = 'us' THEN 'NA' END,
            nullif(split_part(phone, ' ', 1), ''), nullif(substr(phone, strpos(phone, ' ') + 1), ''),
            length(photo), born::text, note
            FROM users u JOIN plans p ON p.code = u.plan""",
        "SELECT old_id, plan, seats, region, prefix, number, size, born, note FROM app.accounts",
    ),
    Question(
        "app.tags",
        """SELECT DISTINCT ON (id, lower(trim(t))) id, lower(trim(t)), n, note
            FROM users, string_to_table(nullif(tags, ''), ',') WITH ORDINALITY x(t, n)
            WHERE trim(t) <> '' ORDER BY id, lower(trim(t)), n""",
        "SELECT * FROM app.tags",
    ),
    Question(
        "app.labels", "SELECT id, n, t FROM users, unnest(labels) WITH ORDINALITY x(t, n)", "SELECT * FROM app.labels"
    ),
    Question(
        "app.links",
        """SELECT id, n, t ->> 'href' FROM users, jsonb_array_elements(links) WITH ORDINALITY x(t, n)
            WHERE t <> 'null'""",
        "SELECT * FROM app.links",
    ),
    Question(
        "app.phones",
        "SELECT id, phone1 FROM users WHERE phone1 IS NOT NULL UNION ALL "
        "SELECT id, phone2 FROM users WHERE phone2 IS NOT NULL",
        "SELECT * FROM app.phones",
    ),
]
LABELS = ("NULL", "'{}'", "'{a}'", '\'{a,NULL,"with, comma","q\\"uote"}\'', "'{NULL}'", "'{\"NULL\",b,a}'")
LINKS = ("NULL", "'[]'", '\'[{"href": "/a"}, null, {"href": "/é"}]\'', "'[{\"rel\": 1}]'")
TAGS = ("NULL", "''", "'one'", "'One, two,,one , three'", "'x,y,z'", "repeat('long', 2500) || ',b'")


def row(rng: random.Random, number: int) -> str:
    """The values of one user, as SQL."""
    values = [
        str(number), rng.choice(("'f'", "'p'", "'x'")), rng.choice(("NULL", "'de'", "'us'", "'jp'")),
        rng.choice(("NULL", "'+49 170 1'", "'+1 2'")), rng.choice(TAGS), rng.choice(LABELS), rng.choice(LINKS),
        rng.choice(("NULL", "'1'")), rng.choice(("NULL", "'2'", "'3'")), rng.choice(("NULL", "'\\x00ff'")),
        rng.choice(("NULL", "'2000-02-29 23:59:59.5'", "'0044-03-15 00:00:00 BC'", "'infinity'")),
        rng.choice(("NULL", "'n'", f"'note {number}'")),
    ]  # fmt: skip
    return f"({', '.join(values)})"


def changes(rng: random.Random, rows: int) -> list[str]:
    """Statements that touch lists, notes beside unchanged lists, keys and whole rows."""
    made = []
    for _ in range(rows):
        user, other = rng.randrange(1, rows), rows + rng.randrange(1, rows)
        made.append(
            rng.choice(
                (
                    f"UPDATE users SET tags = {rng.choice(TAGS)} WHERE id = {user}",
                    f"UPDATE users SET note = 'again {rng.random()}' WHERE id = {user}",
                    f"UPDATE users SET labels = {rng.choice(LABELS)}, links = {rng.choice(LINKS)} WHERE id = {user}",
                    f"UPDATE users SET phone1 = {rng.choice(('NULL', chr(39) + '1' + chr(39)))} WHERE id = {user}",
                    f"UPDATE users SET plan = {rng.choice(('chr(102)', 'chr(112)'))} WHERE id = {user}",
                    f"DELETE FROM users WHERE id = {user}",
                    f"DELETE FROM users WHERE id = {other}",
                    f"UPDATE users SET id = {other} WHERE id = {user} AND NOT EXISTS "
                    f"(SELECT FROM users WHERE id = {other})",
                    f"INSERT INTO users VALUES {row(rng, other)} ON CONFLICT (id) DO NOTHING",
                )
            )
        )
    return made


Make = Callable[[Settings], Pipeline]


@pytest.fixture
def made(databases: Databases, pipeline: Make, tmp_path: Path, seed: int) -> Pipeline:
    """The pipeline with its connector applied, and 300 rows."""
    rng = random.Random(seed)
    with open_url(databases.source_url) as source:
        source.execute(SOURCE_SQL.encode())
        source.execute(f"INSERT INTO users VALUES {', '.join(row(rng, n) for n in range(1, 301))}".encode())
    with open_url(databases.target_url) as target:
        target.execute(TARGET_SQL.encode())
    (tmp_path / "made_rows.py").write_text(MODULE)
    found = pipeline(Settings(tables=TABLES, chunk_rows=100, sections={"stream": {"batch_rows_max": 40}}))
    found.command("connector", "apply")
    return found


def test_made_rows_are_followed_compared_and_repaired(made: Pipeline, databases: Databases, seed: int) -> None:
    rng = random.Random(seed + 1)
    with made.run() as daemon:
        with open_url(databases.source_url) as source:
            for statement in changes(rng, 300):
                source.execute(statement.encode())
        made.verify(QUESTIONS, daemon)
        _ids(databases)
        assert json.loads(made.command("verify", "--output", "json"))["equal"] is True
        _damage(made, databases)
        report = made.call("verify", "--output", "json", "--repair")
        found = json.loads(report.said[report.said.index('{\n  "version"') :])
        assert sum(table["repaired"] for table in found["tables"]) == 4, found
        made.verify(QUESTIONS, daemon)
        _refused_and_mended(made, databases, daemon)
        _lookup_changes(made, databases, daemon)


def _ids(databases: Databases) -> None:
    """Every id is version 5 of its name, by RFC 9562's own words."""
    with open_url(databases.target_url) as target:
        rows = target.execute("SELECT id, old_id FROM app.accounts").fetchall()
    assert rows
    for found, old in rows:
        digest = bytearray(hashlib.sha1(SPACE.bytes + f"user:{old}".encode()).digest()[:16])
        digest[6], digest[8] = digest[6] & 0x0F | 0x50, digest[8] & 0x3F | 0x80
        assert found.bytes == bytes(digest), old


def _damage(made: Pipeline, databases: Databases) -> None:
    """An element that differs, one that is missing, one that no list has, and a computed value that differs."""
    with open_url(databases.source_url) as source:
        source.execute("INSERT INTO users (id, plan, tags, labels) VALUES (9001, 'f', 'a,b,c', '{l,m}')")
    made.wait_lag_zero()
    with open_url(databases.target_url) as target:
        target.execute("UPDATE app.tags SET place = 9 WHERE user_id = 9001 AND tag = 'b'")
        target.execute("DELETE FROM app.labels WHERE user_id = 9001 AND place = 2")
        target.execute("INSERT INTO app.tags VALUES (9001, 'extra', 4, NULL)")
        target.execute("UPDATE app.accounts SET plan = 'Gold' WHERE old_id = 9001")


def _refused_and_mended(made: Pipeline, databases: Databases, daemon: Daemon) -> None:
    """A function that raises sets one row aside, and nothing else; a mended row is taken up again."""
    with open_url(databases.source_url) as source:
        source.execute(
            "INSERT INTO users (id, plan, phone, tags) VALUES (9002, 'f', 'no!', 'a'), (9003, 'p', '+1 5', 'b')"
        )
    letters = made.until(daemon, lambda: _letters(made), 60, "a dead letter")
    assert [letter["key"] for letter in letters] == ['["9002"]'], letters
    assert "the function made_rows:parts raised ValueError" in letters[0]["error"]
    assert "no!" not in letters[0]["error"]
    with open_url(databases.source_url) as source:
        source.execute("UPDATE users SET phone = '+1 6' WHERE id = 9002")
    made.wait_lag_zero(daemon)
    made.command("dlq", "retry", "--all")
    made.verify(QUESTIONS, daemon)


def _letters(made: Pipeline) -> list[dict[str, Any]]:
    lines = made.command("dlq", "list", "--output", "json").splitlines()
    found: list[dict[str, Any]] = json.loads(next(line for line in lines if line.startswith('{"version"')))["letters"]
    return found


def _lookup_changes(made: Pipeline, databases: Databases, daemon: Daemon) -> None:
    """A reference table that changes stops the pipeline; rows made anew are right."""
    with open_url(databases.source_url) as source:
        source.execute("UPDATE plans SET title = 'Professional' WHERE code = 'p'")
    daemon.killed = True  # it is to end by itself
    made.until(None, lambda: not daemon.running, 60, "the end of the daemon")
    assert "the reference table public.plans changed" in daemon.output(), daemon.output()
    assert "--rebackfill app.accounts" in daemon.output()
    with made.run("run", "--rebackfill", "app.accounts") as again:
        made.verify(QUESTIONS, again)
