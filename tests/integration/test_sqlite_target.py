"""A PostgreSQL database moves into a SQLite file on the real stack: kills, verification, resync, dead letters."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.support import workload, workload_sqlite
from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon
from tests.support.workload import Writer

ROWS = 6_000
RATE = 100.0
KILLS = 6
QUIET: dict[str, dict[str, Any]] = {"verify": {"continuous": {"enabled": False}}}


@contextmanager
def opened(pipeline: Pipeline) -> Iterator[sqlite3.Connection]:
    """The file, through the driver alone."""
    path = pipeline.target_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        yield connection


@pytest.fixture
def moving(databases: Databases, pipeline: Callable[[Settings], Pipeline]) -> Pipeline:
    """A pipeline into a new file, its connector applied."""
    with open_url(databases.source_url) as source:
        for script in (workload.SOURCE_SQL, workload.filling(ROWS), workload_sqlite.SOURCE_SQL, "SELECT some_kinds(0)"):
            source.execute(script.encode())
    settings = Settings(workload_sqlite.TABLES, target="sqlite", chunk_rows=200, sections=QUIET)
    made = pipeline(settings)
    with opened(made) as target:
        target.executescript(workload_sqlite.TARGET_SQL)
    made.command("connector", "apply")
    return made


def test_a_database_moves_into_a_file(moving: Pipeline, seed: int) -> None:
    chance = random.Random(seed)
    looked_at_before_it_starts(moving)
    with Writer(moving.databases.source_url, seed, ROWS, rate=RATE) as writer:
        for _ in range(KILLS):
            killed_once_under_way(moving, chance)
        with moving.run() as daemon:
            moving.start("backfill", beside=daemon)
            moving.wait_lag_zero(daemon)
            with writer.paused():
                moving.verify(workload_sqlite.QUESTIONS, daemon)
            verified_while_it_streams(moving, daemon)
            with writer.paused():
                every_kind_came_by_either_way(moving, daemon)
                refused_values_are_set_aside(moving, daemon)
                a_table_is_read_again(moving, daemon)
                moving.verify(workload_sqlite.QUESTIONS, daemon)
        assert "database is locked" not in moving.log.read_text()


def looked_at_before_it_starts(moving: Pipeline) -> None:
    """`doctor` and `plan` change nothing, and know what a file is."""
    seen = moving.call("doctor")
    assert seen.code == 0, seen.said
    assert "not applicable to a file" in seen.said
    assert "the check itself broke" not in seen.said
    planned = moving.call("plan")
    assert planned.code == 0, planned.said
    with opened(moving) as target:
        assert target.execute("SELECT count(*) FROM products").fetchone() == (0,)


def killed_once_under_way(moving: Pipeline, chance: random.Random) -> None:
    """A life that ends with a SIGKILL at some moment after it has done something."""
    consumed, done = moving.consumed(), len(moving.chunks_done())
    with moving.run() as daemon:
        if chance.random() < 0.5:
            more = done + chance.randrange(1, 6)
            moving.until(
                daemon,
                lambda: len(moving.chunks_done()) >= more or moving.consumed() > consumed + 200,
                90,
                "chunks are done",
            )
        else:
            more = consumed + chance.randrange(1, 150)
            moving.until(daemon, lambda: moving.consumed() >= more, 90, "events are applied")
        daemon.kill()


def verified_while_it_streams(moving: Pipeline, daemon: Daemon) -> None:
    """Differences are found, explained and repaired, and none is invented."""
    found = moving.call("verify", "--output", "json", daemon=daemon)
    assert found.code == 0, found.said
    with opened(moving) as target:
        for statement in (
            "UPDATE kinds SET f8 = f8 * (1 + 2.220446049250313e-16) WHERE id = 1",
            "UPDATE kinds SET t = NULL WHERE id = 2",
            "UPDATE kinds SET n = '1.51' WHERE id = 1",
            "DELETE FROM kinds WHERE id = 3",
            "INSERT INTO kinds (id) VALUES (77)",
            "UPDATE settings SET name = 'name 4' WHERE (owner, name) = (SELECT owner, name FROM settings LIMIT 1)",
        ):
            assert target.execute(statement).rowcount == 1, statement
    found = moving.call("verify", "--output", "json", "--table", "public.kinds", daemon=daemon)
    assert found.code == 4, found.said
    report = json.JSONDecoder().raw_decode(found.said[found.said.find('{\n  "version"') :])[0]
    assert sorted((f["kind"], *f["target_key"]) for f in report["findings"]) == [
        ("different", "1"), ("different", "2"), ("extra", "77"), ("missing", "3"),
    ]  # fmt: skip
    told = moving.call("explain", "public.kinds", "1", daemon=daemon)
    assert "different in f8, n" in told.said, told.said
    repaired = moving.call("verify", "--repair", daemon=daemon)
    assert repaired.code == 0, repaired.said


def every_kind_came_by_either_way(moving: Pipeline, daemon: Daemon) -> None:
    """What the backfill read as text and what the stream carried are the same in the file."""
    with open_url(moving.databases.source_url) as source:
        source.execute("SELECT some_kinds(100)")
    moving.wait_lag_zero(daemon)
    with opened(moving) as target:
        columns = [row[1] for row in target.execute("PRAGMA table_info(kinds)")][1:]
        listed = ", ".join(f"typeof({name}), {name}" for name in columns)
        by_text, by_stream = (
            target.execute(
                f"SELECT {listed} FROM kinds WHERE id BETWEEN ? AND ? ORDER BY id", (first, first + 3)
            ).fetchall()
            for first in (0, 100)
        )
    assert len(by_text) == 4
    assert by_text == by_stream
    assert dict(zip(columns, by_text[1][1::2], strict=True)) == {
        "i2": 1, "i8": 2**63 - 1, "f4": 0.10000000149011612, "f8": 0.1, "n": "1.5", "money": 1.5, "b": 1, "t": "a",
        "c": "ab", "v": "v", "u": "00000000-0000-0000-0000-000000000001", "d": "2024-02-29", "h": "01:02:03.000004",
        "h3": "01:02:03.500000", "at": "2024-02-29 01:02:03.000004", "at3": "2024-02-29 01:02:03.500000",
        "tz": "2024-02-28 19:32:03.000004Z", "tz3": "2024-02-29 09:02:03.500000Z", "raw": b"\x00\xff",
        "j": '{"b": 1,  "a": 2.50}', "jb": '{"a": 2.50, "b": 1}', "ip": "10.0.0.1", "mac": "08:00:2b:01:02:03",
        "span": '["2024-02-28 19:32:03.000000Z",)', "days": "[2024-02-29,2024-03-02)",
        "words": '["a",null,"NULL","x\\"y"]', "numbers": "[1,null,-9223372036854775808]", "mood": "ok",
    }  # fmt: skip


def refused_values_are_set_aside(moving: Pipeline, daemon: Daemon) -> None:
    """NaN has no form in a REAL column: the row waits for its source to be mended."""
    with open_url(moving.databases.source_url) as source:
        source.execute("UPDATE kinds SET f8 = 'NaN' WHERE id = 1")
        source.execute("UPDATE kinds SET t = 'beside it' WHERE id = 2")
    moving.wait_lag_zero(daemon)
    with opened(moving) as target:
        assert target.execute("SELECT f8, t FROM kinds WHERE id IN (1, 2) ORDER BY id").fetchall() == [
            (0.1, "a"), (5e-324, "beside it"),
        ]  # fmt: skip
    letters = moving.command("dlq", "list", daemon=daemon)
    assert "column f8: NaN cannot be stored" in letters
    with open_url(moving.databases.source_url) as source:
        source.execute("UPDATE kinds SET f8 = 2 WHERE id = 1")
    moving.command("dlq", "retry", "--all", daemon=daemon)


def a_table_is_read_again(moving: Pipeline, daemon: Daemon) -> None:
    """`resync` mends one key, and a whole table, rows that are too many included."""
    with opened(moving) as target:
        target.execute("UPDATE kinds SET t = 'damaged' WHERE id = 2")
        target.execute("UPDATE products SET title = 'damaged' WHERE product_id % 3 = 0")
        target.execute("INSERT INTO products VALUES (1000001, 'too many', NULL, NULL, NULL, NULL, '')")
    moving.command("resync", "--table", "public.kinds", "--key", "2", daemon=daemon)
    moving.command("resync", "--table", "public.items", "--all", daemon=daemon)
