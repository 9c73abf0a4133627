"""Rows that the target refuses: set aside, settled by reading the source again, and the ledger adds up."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon

SOURCE_SQL = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, age integer NOT NULL, note text);
INSERT INTO users SELECT n, 'u' || n || '@example.org', n % 90, 'first' FROM generate_series(1, 3000) n;
"""
TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.people (
    id bigint PRIMARY KEY, email text NOT NULL UNIQUE, age smallint NOT NULL CHECK (age < 150), note varchar(20)
);
"""
TABLES: list[dict[str, Any]] = [
    {
        "from": "public.users",
        "to": "app.people",
        "key": {"id": "id"},
        "columns": {"email": "email", "age": "cast(age as smallint)", "note": "cast(note as varchar(20))"},
    }
]
QUESTIONS = [
    Question(
        "app.people", "SELECT id, email, age, left(note, 20) FROM users", "SELECT id, email, age, note FROM app.people"
    )
]
Make = Callable[[Settings], Pipeline]


class Moved:
    """A pipeline between the two tables, and what a person does about its dead letters."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def source(self, *statements: str) -> None:
        """One transaction a statement."""
        with open_url(self.pipeline.databases.source_url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def target(self, statement: str) -> None:
        """At the target, behind the daemon's back."""
        with open_url(self.pipeline.databases.target_url) as connection:
            connection.execute(statement.encode())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the target."""
        with open_url(self.pipeline.databases.target_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def letters(self, *arguments: str) -> list[dict[str, Any]]:
        """What `dlq list` says."""
        lines = self.pipeline.command("dlq", "list", "--output", "json", *arguments).splitlines()
        found: list[dict[str, Any]] = json.loads(next(line for line in lines if line.startswith('{"version"')))[
            "letters"
        ]
        return found

    def equal(self, daemon: Daemon) -> None:
        """Everything is there, and the ledger balances."""
        self.pipeline.verify(QUESTIONS, daemon)


@pytest.fixture
def moved(databases: Databases, pipeline: Make) -> Callable[..., Moved]:
    """Makes the pipeline, its connector applied."""

    def make(source_sql: str = SOURCE_SQL, partitions: int = 2, **letters: Any) -> Moved:
        for url, statements in ((databases.source_url, source_sql), (databases.target_url, TARGET_SQL)):
            with open_url(url) as connection:
                connection.execute(statements.encode())
        sections = {"dead_letters": letters} if letters else {}
        found = pipeline(Settings(tables=TABLES, chunk_rows=700, partitions=partitions, sections=sections))
        found.command("connector", "apply")
        return Moved(found)

    return make


def test_refused_rows_are_set_aside_and_settled_from_the_source(moved: Callable[..., Moved]) -> None:
    at = moved(mask=["email"])
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        at.source("UPDATE users SET note = 'fine' WHERE id BETWEEN 1 AND 400")
        at.pipeline.wait_lag_zero(daemon)
        at.source(
            "UPDATE users SET age = 151 WHERE id IN (7, 2000)",
            "UPDATE users SET age = 40000, note = 'too large' WHERE id = 9",
            "UPDATE users SET note = 'after' WHERE id = 10",
        )
        at.pipeline.wait_lag_zero(daemon)
        assert at.ask("SELECT id, age, note FROM app.people WHERE id IN (7, 9, 10) ORDER BY id") == [
            (7, 7, "fine"), (9, 9, "fine"), (10, 10, "after"),
        ]  # fmt: skip
        found = {json.loads(letter["key"])[0]: letter for letter in at.letters()}
        assert {key: letter["reason"] for key, letter in found.items()} == {
            "7": "constraint", "2000": "constraint", "9": "type",
        }  # fmt: skip
        event = json.loads(found["9"]["event"])
        assert (event["op"], event["id"], event["age"], event["email"]) == ("u", 9, 40000, "***")
        assert at.pipeline.events("dead_lettered") == 3
        status = at.pipeline.status()
        assert status.balanced
        assert status.raw["dead_letters_open"] == 3

        at.source("UPDATE users SET note = 'parked' WHERE id = 7", "UPDATE users SET age = 33 WHERE id = 9")
        at.pipeline.wait_lag_zero(daemon)
        assert at.pipeline.events("held") == 2
        assert {json.loads(letter["key"])[0]: letter["parked"] for letter in at.letters()} == {
            "7": 1,
            "2000": 0,
            "9": 1,
        }
        told = at.pipeline.call("explain", "public.users", "7")
        assert told.code == 4, told.said
        assert "constraint" in told.said
        assert "(1 parked)" in told.said
        assert "dead-lettered" in told.said
        assert "parked" in told.said.split("events:")[1]

        refused = at.pipeline.call("dlq", "retry", "--all")
        assert refused.code == 1
        assert "1 of 3 settled" in refused.said
        at.target("ALTER TABLE app.people DROP CONSTRAINT people_age_check")
        at.pipeline.command("dlq", "retry", "--table", "public.users", "--reason", "the check was too strict")
        assert at.letters() == []
        settled = at.letters("--all")
        assert {letter["state"] for letter in settled} == {"retried"}
        assert {letter["note"] for letter in settled} == {None, "the check was too strict"}
        at.source("UPDATE users SET note = 'goes on' WHERE id IN (7, 9)")
        at.equal(daemon)
        assert at.pipeline.events("held") == 2


def test_a_skipped_letter_leaves_the_row_and_lets_the_next_event_through(moved: Callable[..., Moved]) -> None:
    at = moved()
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        at.source("UPDATE users SET age = 200 WHERE id = 5")
        at.pipeline.wait_lag_zero(daemon)
        (letter,) = at.letters()
        number = str(letter["id"])
        assert at.pipeline.call("dlq", "skip", number).code == 2, "a reason is needed"
        at.pipeline.command("dlq", "skip", number, "--reason", "a test account")
        (settled,) = at.letters("--all")
        assert (settled["state"], settled["note"]) == ("skipped", "a test account")
        assert settled["closed_by"]
        assert at.pipeline.call("dlq", "skip", number, "--reason", "again").code == 1
        assert at.ask("SELECT age FROM app.people WHERE id = 5") == [(5,)]
        at.source("UPDATE users SET age = 50 WHERE id = 5")
        at.equal(daemon)


def test_rows_of_a_chunk_are_set_aside_too(moved: Callable[..., Moved]) -> None:
    bad = "UPDATE users SET age = 500 WHERE id % 500 = 3; UPDATE users SET email = 'u1@example.org' WHERE id = 1500;"
    at = moved(SOURCE_SQL + bad)
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        found = {json.loads(letter["key"])[0]: letter for letter in at.letters()}
        assert sorted(map(int, found)) == [3, 503, 1003, 1500, 1503, 2003, 2503]
        assert found["1500"]["reason"] == "constraint"
        assert found["3"]["chunk"] == 0
        assert at.ask("SELECT count(*) FROM app.people") == [(3000 - 7,)]
        at.source(
            "UPDATE users SET age = 5 WHERE age = 500", "UPDATE users SET email = 'new@example.org' WHERE id = 1500"
        )
        at.pipeline.wait_lag_zero(daemon)
        assert at.pipeline.events("held") == 7
        at.pipeline.command("dlq", "retry", "--all")
        at.equal(daemon)


def test_a_systematic_fault_stops_at_its_event(moved: Callable[..., Moved]) -> None:
    at = moved(max=3, partitions=1)  # what is before an event is before it in its partition
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        at.source(
            "UPDATE users SET note = 'before' WHERE id <= 50", "UPDATE users SET age = age + 1000 WHERE id > 2900"
        )
        daemon.wait(60)
        assert daemon.exit_code == 1
        daemon.killed = True
    said = daemon.output()
    assert "violates check constraint" in said
    assert "dead_letters.max is 3" in said
    assert "offset" in said
    assert len(at.letters()) <= 3
    assert at.ask("SELECT count(*) FROM app.people WHERE note = 'before'") == [(50,)]
    at.target("ALTER TABLE app.people DROP CONSTRAINT people_age_check")
    with at.pipeline.run() as daemon:
        at.pipeline.until(daemon, lambda: at.pipeline.events("consumed"), 60, "the daemon to go on")
        at.pipeline.command("dlq", "retry", "--all")
        at.equal(daemon)


def test_two_source_rows_with_one_unique_value(moved: Callable[..., Moved]) -> None:
    at = moved()
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        at.source("UPDATE users SET email = 'u1@example.org' WHERE id = 2", "UPDATE users SET note = 'x' WHERE id = 3")
        at.pipeline.wait_lag_zero(daemon)
        (letter,) = at.letters()
        assert (json.loads(letter["key"]), letter["reason"]) == (["2"], "constraint")
        assert at.ask("SELECT email, note FROM app.people WHERE id IN (2, 3) ORDER BY id") == [
            ("u2@example.org", "first"), ("u3@example.org", "x"),
        ]  # fmt: skip
        at.source("UPDATE users SET email = 'other@example.org' WHERE id = 1")
        at.pipeline.wait_lag_zero(daemon)
        at.pipeline.command("dlq", "retry", str(letter["id"]))
        at.equal(daemon)


def test_letters_survive_kills(moved: Callable[..., Moved], seed: int) -> None:
    at = moved(max=1000, per_minute_max=1000)
    chance = random.Random(seed)
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        daemon.kill()
    for _ in range(4):
        number = chance.randrange(1, 2500)
        at.source(
            f"UPDATE users SET age = age + 300 WHERE id BETWEEN {number} AND {number + 4}",
            f"UPDATE users SET note = 'n{number}' WHERE id BETWEEN {number - 50} AND {number + 200}",
        )
        before = at.pipeline.consumed()
        with at.pipeline.run() as daemon:
            wanted = before + chance.randrange(1, 250)
            at.pipeline.until(daemon, lambda wanted=wanted: at.pipeline.consumed() >= wanted, 60, f"{wanted} events")
            daemon.kill()
    with at.pipeline.run() as daemon:
        at.pipeline.wait_lag_zero(daemon)
        keys = [letter["key"] for letter in at.letters()]
        assert len(keys) == len(set(keys)), "two open letters of one key"
        assert keys
        at.target("ALTER TABLE app.people DROP CONSTRAINT people_age_check")
        at.pipeline.command("dlq", "retry", "--all")
        at.equal(daemon)
