"""A PostgreSQL database moves into MariaDB on the real stack: kills, verification, resync, dead letters."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import workload, workload_mariadb
from tests.support.databases import Databases, open_mariadb, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon
from tests.support.workload import Writer

ROWS = 6_000
RATE = 60.0
KILLS = 4
QUIET: dict[str, dict[str, Any]] = {"verify": {"continuous": {"enabled": False}}}


@pytest.fixture
def moving(databases: Databases, pipeline: Callable[[Settings], Pipeline]) -> Pipeline:
    """A pipeline into a new database, its connector applied."""
    with open_url(databases.source_url) as source:
        scripts = (workload.SOURCE_SQL, workload.filling(ROWS), workload_mariadb.SOURCE_SQL, "SELECT some_kinds(0)")
        for script in scripts:
            source.execute(script.encode())
    made = pipeline(Settings(workload_mariadb.TABLES, target="mariadb", chunk_rows=400, sections=QUIET))
    run(made, *workload_mariadb.TARGET_SQL)
    made.command("connector", "apply")
    return made


def run(moving: Pipeline, *statements: str) -> list[tuple[Any, ...]]:
    """Statements through the driver alone; the rows of the last."""
    with open_mariadb(moving.target_url) as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def test_a_database_moves_into_mariadb(moving: Pipeline, seed: int) -> None:
    chance = random.Random(seed)
    doctor_is_content(moving)
    with Writer(moving.databases.source_url, seed, ROWS, rate=RATE) as writer:
        for _ in range(KILLS):
            killed_once_under_way(moving, chance)
        with moving.run() as daemon:
            moving.wait_lag_zero(daemon)
            with writer.paused():
                moving.verify(workload_mariadb.QUESTIONS, daemon)
            verified_while_it_streams(moving, daemon)
            with writer.paused():
                every_kind_came_by_either_way(moving, daemon)
                refused_values_are_set_aside(moving, daemon)
                a_table_is_read_again(moving, daemon)
                moving.verify(workload_mariadb.QUESTIONS, daemon)
    assert "target: rows are staged by LOAD DATA LOCAL" in moving.command("status")


def doctor_is_content(moving: Pipeline) -> None:
    """Nothing of the target fails; what collides in a collation is said."""
    found = json.loads(moving.call("doctor", "--output", "json").said)
    target = {f["name"]: f for f in found["findings"] if f["area"] == "target"}
    assert [f for f in target.values() if f["level"] in ("fail", "skipped")] == []
    assert target["engine"]["seen"] == "InnoDB, all of them"
    assert target["loading"]["seen"] == "rows are staged by LOAD DATA LOCAL"
    said = [f for f in found["findings"] if f["area"] == "target" and f["name"] == "collations"]
    assert sorted(f["about"].rpartition(".")[2] for f in said) == ["label", "owner"]


def killed_once_under_way(moving: Pipeline, chance: random.Random) -> None:
    """A life that ends with a SIGKILL at some moment after it has done something."""
    consumed, done = moving.consumed(), len(moving.chunks_done())
    with moving.run() as daemon:
        chunks, events = done + chance.randrange(1, 4), consumed + chance.randrange(1, 150)

        def under_way() -> bool:
            return len(moving.chunks_done()) >= chunks or moving.consumed() >= events

        moving.until(daemon, under_way, 90, "chunks are done, or events applied")
        daemon.kill()


def verified_while_it_streams(moving: Pipeline, daemon: Daemon) -> None:
    """Differences are found, explained and repaired, and none is invented."""
    found = moving.call("verify", "--output", "json", daemon=daemon)
    assert found.code == 0, found.said
    run(
        moving,
        "UPDATE kinds SET f8 = f8 * (1 + 2.220446049250313e-16) WHERE id = 1",
        "UPDATE kinds SET t = NULL WHERE id = 2",
        "UPDATE kinds SET v = 'V' WHERE id = 1",
        "DELETE FROM kinds WHERE id = 3",
        "INSERT INTO kinds (id) VALUES (77)",
        "UPDATE settings SET name = 'name 4' LIMIT 1",
    )
    found = moving.call("verify", "--output", "json", "--table", "public.kinds", daemon=daemon)
    assert found.code == 4, found.said
    report = json.JSONDecoder().raw_decode(found.said[found.said.find('{\n  "version"') :])[0]
    assert sorted((f["kind"], *f["target_key"]) for f in report["findings"]) == [
        ("different", "1"), ("different", "2"), ("extra", "77"), ("missing", "3"),
    ]  # fmt: skip
    told = moving.call("explain", "public.kinds", "1", daemon=daemon)
    assert "different in f8, v" in told.said, told.said
    repaired = moving.call("verify", "--repair", daemon=daemon)
    assert repaired.code == 0, repaired.said


def every_kind_came_by_either_way(moving: Pipeline, daemon: Daemon) -> None:
    """What the backfill read as text and what the stream carried are the same."""
    with open_url(moving.databases.source_url) as source:
        source.execute("SELECT some_kinds(100)")
    moving.wait_lag_zero(daemon)
    columns = [row[0] for row in run(moving, "SHOW COLUMNS FROM kinds")][1:]
    listed = ", ".join(f"hex({name})" for name in columns)
    by_text, by_stream = (
        run(moving, f"SELECT {listed} FROM kinds WHERE id BETWEEN {first} AND {first + 3} ORDER BY id")
        for first in (0, 100)
    )
    assert len(by_text) == 4
    assert by_text == by_stream


def refused_values_are_set_aside(moving: Pipeline, daemon: Daemon) -> None:
    """MariaDB has no infinite date: the row waits for its source to be mended, and others go on."""
    with open_url(moving.databases.source_url) as source:
        source.execute("UPDATE kinds SET d = 'infinity' WHERE id = 1")
        source.execute("UPDATE kinds SET t = 'beside it' WHERE id = 2")
    moving.wait_lag_zero(daemon)
    held = run(moving, "SELECT CAST(d AS char), t FROM kinds WHERE id IN (1, 2) ORDER BY id")
    assert held == [("2024-02-29", "a"), ("0001-01-01", "beside it")]
    letters = moving.command("dlq", "list", daemon=daemon)
    assert "column d" in letters, letters
    with open_url(moving.databases.source_url) as source:
        source.execute("UPDATE kinds SET d = '2025-01-01' WHERE id = 1")
    moving.command("dlq", "retry", "--all", daemon=daemon)


def a_table_is_read_again(moving: Pipeline, daemon: Daemon) -> None:
    """`resync` mends one key, and a whole table, rows that are too many included."""
    run(
        moving,
        "UPDATE kinds SET t = 'damaged' WHERE id = 2",
        "UPDATE products SET title = 'damaged' WHERE product_id % 3 = 0",
        "INSERT INTO products VALUES (1000001, 'too many', NULL, NULL, NULL, '2020-01-01')",
    )
    moving.command("resync", "--table", "public.kinds", "--key", "2", daemon=daemon)
    moving.command("resync", "--table", "public.items", "--all", daemon=daemon)
