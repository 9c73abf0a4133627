"""Transactions far longer than a batch, and truncates with an order: one partition a topic, one daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.warm import Factory

TABLES = ("big", "parents", "children", "logs")
SOURCE_SQL = """
CREATE TABLE big (id integer PRIMARY KEY, v text NOT NULL, n integer);
CREATE TABLE parents (id integer PRIMARY KEY, v text, n integer);
CREATE TABLE children (id integer PRIMARY KEY, v text, n integer REFERENCES parents);
CREATE TABLE logs (id integer PRIMARY KEY, v text, n integer);
INSERT INTO parents SELECT i, 'p' || i, i FROM generate_series(1, 300) i;
INSERT INTO children SELECT i, 'c' || i, i FROM generate_series(1, 300) i;
INSERT INTO logs SELECT i, 'l' || i, i FROM generate_series(1, 300) i;
"""
QUESTIONS = [Question(name, f"SELECT id, v, n FROM {name}", f"SELECT id, v, n FROM app.{name}") for name in TABLES]
Make = Callable[[Settings], Pipeline]


@pytest.fixture
def moved(databases: Databases, pipeline: Make) -> Iterator[Pipeline]:
    """The pipeline, its connector applied."""
    made = pipeline(
        Settings([{"from": f"public.{name}", "to": f"app.{name}"} for name in TABLES], partitions=1, chunk_rows=100)
    )
    at(databases.source_url, SOURCE_SQL)
    columns = "(id integer PRIMARY KEY, v text, n integer)"
    at(databases.target_url, "CREATE SCHEMA app", *(f"CREATE TABLE app.{name} {columns}" for name in TABLES))
    with Factory() as factory:
        made.program, made.launch = (), factory.launch
        made.command("connector", "apply")
        yield made


def at(url: str, *statements: str) -> None:
    with open_url(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize("rows", [100_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_one_transaction_of_many_rows_and_truncates_among_others(
    databases: Databases, moved: Pipeline, rows: int
) -> None:
    """The large one is committed while the daemon streams, killed in the middle of it, and gone on with."""
    source = databases.source_url
    with moved.run() as daemon:
        moved.verify(QUESTIONS, daemon)
        at(
            source,
            f"BEGIN; INSERT INTO big SELECT i, 'v' || i, i FROM generate_series(1, {rows}) i;"
            f" UPDATE big SET n = -n WHERE id % 10 = 0; UPDATE big SET id = -id WHERE id % 1000 = 7;"
            f" DELETE FROM big WHERE id % 100 = 5; COMMIT",
            "UPDATE parents SET v = 'before'",
        )
        consumed = moved.consumed()
        moved.until(daemon, lambda: moved.consumed() > consumed + rows // 4, 240, "a part of the transaction")
        assert moved.consumed() < rows, "it was over before it could be killed in its middle"
        daemon.kill()
    at(
        source,
        "TRUNCATE parents CASCADE",
        "INSERT INTO parents SELECT i, 'after', i FROM generate_series(1, 20) i",
        "INSERT INTO children SELECT i, 'after', i FROM generate_series(1, 20) i",
        "UPDATE logs SET v = 'before'; INSERT INTO logs VALUES (1000, 'before', 1)",
        "BEGIN; UPDATE logs SET v = 'gone'; TRUNCATE logs, children RESTART IDENTITY;"
        " INSERT INTO logs VALUES (1, 'a', 1); UPDATE logs SET n = 2;"
        " SAVEPOINT s; TRUNCATE parents CASCADE; ROLLBACK TO s;"
        " INSERT INTO children VALUES (1, 'b', 1); COMMIT",
        "UPDATE parents SET n = n + 1 WHERE id > 5",
        "BEGIN; TRUNCATE logs; ROLLBACK",
        "INSERT INTO logs VALUES (2, 'c', 1)",
    )
    with moved.run() as daemon:
        moved.verify(QUESTIONS, daemon, timeout_s=400)
        at(source, "TRUNCATE big, logs", "INSERT INTO big VALUES (1, 'new', 1)")
        moved.verify(QUESTIONS, daemon)
