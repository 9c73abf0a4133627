"""Verification on the real stack: what is equal is found equal, what is not is found, and nothing is invented."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import edges, workload
from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon
from tests.support.stack import Stack

ROWS = 8_000
QUIET: dict[str, dict[str, Any]] = {"verify": {"continuous": {"enabled": False}}}
Make = Callable[[Settings], Pipeline]


@dataclass
class Result:
    """How `changeover verify` ended, and its report; empty where it made none."""

    code: int
    said: str
    report: dict[str, Any]

    @property
    def found(self) -> set[tuple[str, str, str]]:
        """(target table, kind, target key) of each difference."""
        return {(f["target"], f["kind"], ",".join(map(str, f["target_key"]))) for f in self.report["findings"]}

    def columns(self, table: str, key: str) -> dict[str, tuple[str | None, str | None]]:
        """Column -> (expected, actual), of one difference."""
        for found in self.report["findings"]:
            if found["target"] == table and ",".join(map(str, found["target_key"])) == key:
                return {column["name"]: (column["expected"], column["actual"]) for column in found["columns"]}
        raise AssertionError(f"{table} {key} was not found: {self.said}")


def verify(pipeline: Pipeline, *arguments: str, daemon: Daemon | None = None) -> Result:
    """Run it to its end, whatever its exit code."""
    done = pipeline.call("verify", "--output", "json", *arguments, daemon=daemon)
    start = done.said.find('{\n  "version"')
    report = json.JSONDecoder().raw_decode(done.said[start:])[0] if start >= 0 else {}
    return Result(done.code, done.said, report)


def clean(pipeline: Pipeline, *arguments: str, daemon: Daemon | None = None) -> Result:
    """A verification that must find both sides equal."""
    result = verify(pipeline, *arguments, daemon=daemon)
    assert result.code == 0, result.said
    assert result.report["equal"], result.said
    return result


def plant(pipeline: Pipeline, *statements: str) -> None:
    """Change the target behind the daemon's back."""
    with open_url(pipeline.databases.target_url) as target:
        for statement in statements:
            assert target.execute(statement.encode()).rowcount != 0, statement


def backfilled(pipeline: Pipeline, daemon: Daemon) -> None:
    """Wait until every chunk is done."""

    def done() -> bool:
        chunks = pipeline.chunks()
        return bool(chunks) and all(chunk.state == "done" for chunk in chunks.values())

    pipeline.until(daemon, done, 120, "every chunk is done")


# -- one pipeline for all that only looks ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, Daemon]]:
    """A pipeline that streams. Each test leaves both sides equal."""
    databases = Databases(stack, f"v{os.getpid()}")
    try:
        workload.create(databases.source_url, databases.target_url, ROWS)
        for url, script in ((databases.source_url, edges.SOURCE_SQL), (databases.target_url, edges.TARGET_SQL)):
            with open_url(url) as connection:
                connection.execute(script.encode())
        tables = [*workload.TABLES, *edges.TABLES]
        settings = Settings(tables=tables, chunk_rows=50_000, partitions=1, sections=QUIET)
        pipeline = Pipeline(databases, tmp_path_factory.mktemp("verify"), settings)
        pipeline.command("connector", "apply")
        with pipeline.run() as daemon:
            backfilled(pipeline, daemon)
            yield pipeline, daemon
    finally:
        databases.drop()


def test_equal_sides_are_equal(live: tuple[Pipeline, Daemon]) -> None:
    pipeline, daemon = live
    report = clean(pipeline, daemon=daemon).report
    assert {table["source"]: table["compared_by"] for table in report["tables"]} == {
        "public.items": "ranges",
        "public.prefs": "ranges",
        "public.docs": "ranges",
        "public.seats": "buckets",
        "public.kinds": "ranges",
        "public.many": "ranges",
        "public.tickets": "buckets",
        "public.guests": "ranges",
    }
    assert {table["source"] for table in report["tables"] if not table["extra_rows_checked"]} == {"public.guests"}
    assert report["rows"] > edges.MANY + edges.KINDS + edges.TICKETS + ROWS // 2


def test_what_differs_in_spelling_only_is_equal(live: tuple[Pipeline, Daemon]) -> None:
    pipeline, daemon = live
    plant(
        pipeline,
        """UPDATE app.kinds SET j = json_build_object('b', 'x', 'a', id) WHERE id = 1""",
        """UPDATE app.kinds SET j = '{"a": 0, "b": "x", "a" :2.0}' WHERE id = 2""",
        """UPDATE app.kinds SET jb = '{"b": [1.500, 3.00], "a": 3e0}' WHERE id = 3""",
        """UPDATE app.kinds SET n = n::numeric(30, 12), price = price::numeric(12, 7) WHERE id = 4""",
        """UPDATE app.kinds SET c = rtrim(c), at = at AT TIME ZONE 'UTC' AT TIME ZONE 'UTC' WHERE id = 5""",
        """UPDATE app.kinds SET t = t, v = v WHERE id = 6""",
    )
    clean(pipeline, "--table", "public.kinds", daemon=daemon)


EDGES = {
    7: ("at", "at + interval '1 microsecond'"),
    8: ("at_ms", "at_ms + interval '1 microsecond'"),
    9: ("day", "day + 1"),
    10: ("hour", "time '12:00:00.000002'"),
    11: ("f8", "f8 * (1 + 2.220446049250313e-16)"),
    12: ("f4", "f4 * 1.0000001192092896"),
    13: ("n", "-n"),
    14: ("price", "price + 0.01"),
    15: ("t", "t || ' '"),
    16: ("v", "upper(v)"),
    17: ("c", "' ' || left(c, 7)"),
    18: ("ci", "lower(ci::text)"),
    19: ("j", """'{"a": 19, "b": "X"}'"""),
    20: ("jb", """'{"a": -20, "b": [1.5, 20]}'"""),
    21: ("raw", "set_byte(raw, 0, (get_byte(raw, 0) + 1) % 256)"),
    22: ("u", "(left(u::text, 35) || (CASE right(u::text, 1) WHEN '0' THEN '1' ELSE '0' END))::uuid"),
    23: ("tags", "ARRAY['one', 'NULL', 'th\"ree']"),
    24: ("yes", "NOT yes"),
    25: ("big", "25"),
    26: ("mood", "'sad'"),
    27: ("t", "NULL"),
    28: ("n", "'NaN'"),
    0: ("t", "''"),
    -1: ("t", "NULL"),
    -2: ("f8", "0"),
}
"""Row of app.kinds -> the column that is changed, and to what."""


def test_every_planted_difference_is_found_and_repaired(live: tuple[Pipeline, Daemon]) -> None:
    pipeline, daemon = live
    plant(
        pipeline,
        *(f"UPDATE app.kinds SET {column} = {value} WHERE id = {number}" for number, (column, value) in EDGES.items()),
        "UPDATE app.many SET word = 'Word 123457' WHERE id = 123457",
        "DELETE FROM app.products WHERE product_id = 12",
        "INSERT INTO app.products VALUES (1000001, 'x', 1, NULL, NULL, now())",
        "UPDATE app.settings SET name = 'name 4' WHERE name = 'Name 4'",
        "DELETE FROM app.seats WHERE zone = 'upper' AND number = 5",
        "UPDATE app.seats SET holder = holder || ' ' WHERE zone = 'middle' AND number = 7",
        "INSERT INTO app.tickets VALUES ('T999999', 'NOBODY', 1)",
        "UPDATE app.tickets SET seats = NULL WHERE ref = 'T77'",
        "DELETE FROM app.tickets WHERE ref = 'T78'",
        "UPDATE app.guests SET name = 'guest' WHERE id = 3",
        "DELETE FROM app.guests WHERE id = 4",
    )
    expected = {("app.kinds", "different", str(number)) for number in EDGES} | {
        ("app.many", "different", "123457"),
        ("app.products", "missing", "12"),
        ("app.products", "extra", "1000001"),
        ("app.settings", "missing", "tenant-4,Name 4"),
        ("app.settings", "extra", "tenant-4,name 4"),
        ("app.seats", "missing", "upper,5"),
        ("app.seats", "different", "middle,7"),
        ("app.tickets", "extra", "T999999"),
        ("app.tickets", "different", "T77"),
        ("app.tickets", "missing", "T78"),
        ("app.guests", "different", "3"),
        ("app.guests", "missing", "4"),
    }
    found = verify(pipeline, daemon=daemon)
    assert found.code == 4, found.said
    assert found.found == expected
    assert found.report["differences"] == len(expected)
    for number, (column, _) in EDGES.items():
        assert list(found.columns("app.kinds", str(number))) == [column]
    assert found.columns("app.many", "123457") == {"word": ("word 123457", "Word 123457")}
    assert found.columns("app.tickets", "T77") == {"seats": ("5", None)}
    repaired = clean(pipeline, "--repair", daemon=daemon)
    assert repaired.report["repaired"] == len(expected)
    clean(pipeline, daemon=daemon)
