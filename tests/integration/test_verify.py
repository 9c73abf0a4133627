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
from tests.support.workload import Writer

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
    assert report["rows"] > edges.MANY + edges.KINDS + edges.TICKETS + ROWS // 2, report


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
    told = pipeline.call("explain", "public.many", "123457", daemon=daemon)
    assert "public.many -> app.many: different in word" in told.said
    repaired = clean(pipeline, "--repair", daemon=daemon)
    assert repaired.report["repaired"] == len(expected)
    clean(pipeline, daemon=daemon)


def test_differences_are_found_and_none_invented_while_500_changes_a_second_stream(
    live: tuple[Pipeline, Daemon], seed: int
) -> None:
    pipeline, daemon = live
    with open_url(pipeline.databases.source_url) as source:
        source.execute("INSERT INTO items SELECT i, 'still', 5, true FROM generate_series(900001, 900100) i")
    pipeline.wait_lag_zero(daemon)
    with Writer(pipeline.databases.source_url, seed, ROWS, rate=500) as writer:
        clean(pipeline, daemon=daemon)
        plant(
            pipeline,
            "UPDATE app.products SET title = 'Still' WHERE product_id = 900050",
            "DELETE FROM app.products WHERE product_id = 900051",
            "INSERT INTO app.products VALUES (1000001, 'x', 1, NULL, NULL, now())",
            "INSERT INTO app.seats VALUES ('upper', 30000, 'Nobody''s', 'x')",
            "UPDATE app.many SET amount = -amount WHERE id = 199999",
        )
        found = verify(pipeline, daemon=daemon)
        assert found.code == 4, found.said
        assert found.found == {
            ("app.products", "different", "900050"),
            ("app.products", "missing", "900051"),
            ("app.products", "extra", "1000001"),
            ("app.seats", "extra", "upper,30000"),
            ("app.many", "different", "199999"),
        }
        assert sum(table["suspects"] for table in found.report["tables"]) > 5, "nothing was in flight"
        repaired = clean(pipeline, "--repair", daemon=daemon)
        assert repaired.report["repaired"] == 5
        # Rows that the application changes at the same time: repair races with the stream for them.
        plant(
            pipeline,
            "UPDATE app.products SET title = title || '!' WHERE product_id % 5 = 0",
            "DELETE FROM app.documents WHERE doc_id::text < '2'",
        )
        clean(pipeline, "--repair", daemon=daemon)
        assert writer.count > 1000
    clean(pipeline, daemon=daemon)
    pipeline.verify(workload.QUESTIONS, daemon)


def test_a_sample_takes_a_part(live: tuple[Pipeline, Daemon]) -> None:
    pipeline, daemon = live
    tables = ("--table", "app.many", "--table", "app.tickets")
    plant(pipeline, "UPDATE app.tickets SET seats = -1", "UPDATE app.many SET word = '' WHERE id % 40000 < 2")
    found = verify(pipeline, *tables, "--sample", "30", daemon=daemon)
    assert found.code == 4, found.said
    many, tickets = found.report["tables"]
    assert many["rows"] < edges.MANY / 2
    assert tickets["rows"] < edges.TICKETS / 2
    assert 0 < tickets["different"] == tickets["rows"]
    assert clean(pipeline, *tables, "--repair", daemon=daemon).report["repaired"] > edges.TICKETS


def test_a_killed_verification_is_gone_on_with(live: tuple[Pipeline, Daemon]) -> None:
    pipeline, daemon = live
    plant(pipeline, "UPDATE app.many SET word = '' WHERE id = 1")
    slow = pipeline.start("verify", "--table", "app.many", "--rows-per-second", "30000")
    query = "SELECT FROM changeover.verification GROUP BY sweep HAVING count(done_at) > 2 AND count(*) > count(done_at)"
    with open_url(pipeline.databases.target_url) as target:
        pipeline.until(slow, lambda: target.execute(query.encode()).rowcount > 0, 60, "slices are done")
    slow.kill()
    slow.wait(20)
    found = verify(pipeline, "--table", "app.many", "--resume", daemon=daemon)
    assert found.code == 4, found.said
    assert 0 < found.report["rows"] < edges.MANY
    assert found.report["differences"] == 1
    clean(pipeline, "--table", "app.many", "--repair", daemon=daemon)


def test_the_report_for_people_and_masked_values(live: tuple[Pipeline, Daemon]) -> None:
    pipeline, daemon = live
    plant(pipeline, "UPDATE app.kinds SET t = 'secret word' WHERE id = 30")
    plain = pipeline.config.read_text()
    done = pipeline.call("verify", "--table", "app.kinds", daemon=daemon)
    assert done.code == 4
    assert 't: "text 30" expected, "secret word" found' in done.said
    assert "NOT EQUAL, 1 differences" in done.said
    try:
        pipeline.config.write_text(plain.replace("verify:\n", "verify:\n  mask: [t]\n"))
        masked = verify(pipeline, "--table", "app.kinds", daemon=daemon)
        assert masked.columns("app.kinds", "30") == {"t": ("***", "***")}
        assert "secret" not in masked.said
        pipeline.config.write_text(plain.replace("verify:\n", "verify:\n  mask: all\n"))
        hidden = pipeline.call("verify", "--table", "app.kinds", "--repair", daemon=daemon)
        assert hidden.code == 0, hidden.said
        assert "difference repaired" in hidden.said
        assert "[30]" not in hidden.said
    finally:
        pipeline.config.write_text(plain)


# -- refusals ----------------------------------------------------------------------------------------------------------


def small(databases: Databases, pipeline: Make, **sections: Any) -> Pipeline:
    """A pipeline of two small tables."""
    for url in (databases.source_url, databases.target_url):
        with open_url(url) as connection:
            connection.execute("CREATE TABLE one (id integer PRIMARY KEY, t text)")
            connection.execute("CREATE TABLE two (id integer PRIMARY KEY, t text)")
    with open_url(databases.source_url) as source:
        for name in ("one", "two"):
            source.execute(f"INSERT INTO {name} SELECT i, 't' || i FROM generate_series(1, 2000) i".encode())
    tables = [{"from": "public.one"}, {"from": "public.two"}]
    made = pipeline(Settings(tables=tables, chunk_rows=1000, partitions=1, sections={**QUIET, **sections}))
    made.command("connector", "apply")
    return made


def test_it_says_why_it_cannot_verify(databases: Databases, pipeline: Make) -> None:
    made = small(databases, pipeline)
    never = verify(made)
    assert (never.code, "the pipeline has not been started" in never.said) == (3, True), never.said
    with made.run("run", "--no-backfill") as daemon:
        made.until(daemon, made.chunks, 60, "the chunks are planned")
        early = verify(made, daemon=daemon)
        assert (early.code, "public.one (0 of 2 chunks), public.two (0 of 2 chunks)" in early.said) == (3, True)
        made.command("backfill", daemon=daemon)
        clean(made, daemon=daemon)
        unknown = verify(made, "--table", "public.three", daemon=daemon)
        assert (unknown.code, "no table public.three in the mapping" in unknown.said) == (1, True), unknown.said
        daemon.terminate()
        daemon.wait(30)
        daemon.killed = True
    with open_url(databases.source_url) as source:
        source.execute("UPDATE one SET t = 'changed'")
    stopped = verify(made, "--timeout", "2")
    assert stopped.code == 3, stopped.said
    assert "the stream does not keep up" in stopped.said
    with open_url(databases.target_url) as target:
        target.execute("DROP TABLE two")
    dropped = verify(made)
    assert dropped.code == 2, dropped.said
    assert "the target has no table public.two" in dropped.said
    with open_url(databases.target_url) as target:
        target.execute("CREATE TABLE two (id integer PRIMARY KEY, t text)")
    made.config.write_text(made.config.read_text() + "  columns: {id: id, t: upper(t)}\n")
    changed = verify(made)
    assert changed.code == 2, changed.said
    assert "the mapping of public.two -> public.two changed" in changed.said


def test_where_the_source_cannot_run_the_projection_the_target_does(databases: Databases, pipeline: Make) -> None:
    with open_url(databases.stack.target_url) as server:
        server.execute(f"DROP DATABASE {databases.name}".encode())
        server.execute(
            f"CREATE DATABASE {databases.name} TEMPLATE template0 LOCALE_PROVIDER builtin"
            " BUILTIN_LOCALE 'PG_UNICODE_FAST' LOCALE 'C' ENCODING 'UTF8'".encode()
        )
    with open_url(databases.source_url) as source, open_url(databases.target_url) as target:
        source.execute(
            "CREATE TABLE parts (id integer, day date, t text, PRIMARY KEY (id, day)) PARTITION BY HASH (id)"
        )
        for number in range(3):
            values = f"FOR VALUES WITH (MODULUS 3, REMAINDER {number})"
            source.execute(f"CREATE TABLE parts_{number} PARTITION OF parts {values}".encode())
        source.execute("CREATE TABLE codes (id integer PRIMARY KEY, t text)")
        source.execute(
            "INSERT INTO parts SELECT i, date '2026-01-01' + i, 'Straße 10% ' || i FROM generate_series(1, 3000) i"
        )
        source.execute("INSERT INTO codes SELECT i, 't' || i FROM generate_series(1, 1000) i")
        target.execute("CREATE TABLE parts (id bigint, day date, t text, PRIMARY KEY (id, day))")
        target.execute("CREATE TABLE codes (code text PRIMARY KEY, t text)")
    tables: list[dict[str, Any]] = [
        {"from": "public.parts", "columns": "*", "overrides": {"t": "upper(t)"}, "where": "t LIKE '%10\\%%'"},
        {"from": "public.codes", "key": {"code": "'C' || id"}, "columns": {"t": "upper(t)"}},
    ]
    made = pipeline(Settings(tables=tables, chunk_rows=1000, partitions=1, sections={"verify": {
        "continuous": {"enabled": False}, "slice_rows": 500
    }}))  # fmt: skip
    made.command("connector", "apply")
    with made.run() as daemon:
        backfilled(made, daemon)
        report = clean(made, daemon=daemon).report
        assert [(table["projected_at"], table["compared_by"], table["rows"]) for table in report["tables"]] == [
            ("target", "ranges", 3000),
            ("target", "buckets", 1000),
        ]
        plant(
            made,
            "UPDATE parts SET t = lower(t) WHERE id = 2999",
            "DELETE FROM parts WHERE id = 7",
            "INSERT INTO parts VALUES (8, '2020-01-01', 'x')",
            "UPDATE codes SET code = 'X5' WHERE code = 'C5'",
            "UPDATE codes SET t = '' WHERE code = 'C6'",
        )
        found = verify(made, daemon=daemon)
        assert found.found == {
            ("public.parts", "different", "2999,2034-03-19"),
            ("public.parts", "missing", "7,2026-01-08"),
            ("public.parts", "extra", "8,2020-01-01"),
            ("public.codes", "missing", "C5"),
            ("public.codes", "extra", "X5"),
            ("public.codes", "different", "C6"),
        }
        assert clean(made, "--repair", daemon=daemon).report["repaired"] == 6
        clean(made, daemon=daemon)


# -- in the running daemon ---------------------------------------------------------------------------------------------

AT_ONCE: dict[str, Any] = {"verify": {"continuous": {"interval_s": 0.2}}, "http": {"port": 0}}


def verification(pipeline: Pipeline, table: str) -> dict[str, Any]:
    """What the status says about a table's verification; empty where it has none yet."""
    found: dict[str, Any] = pipeline.status().raw["tables"][table]["verification"] or {}
    return found


def swept(pipeline: Pipeline, daemon: Daemon, differences: int) -> None:
    """Wait until a sweep that begins after this call has found so many differences in public.one."""
    before = verification(pipeline, "public.one").get("sweep", 0)

    def look() -> bool:
        found = verification(pipeline, "public.one")
        return bool(found) and found["sweep"] > before + 1 and found["differences"] == differences

    pipeline.until(daemon, look, 60, f"a sweep finds {differences} differences")


def test_the_daemon_sweeps_for_ever_and_shows_what_it_finds(databases: Databases, pipeline: Make) -> None:
    made = small(databases, pipeline, **AT_ONCE)
    with made.run() as daemon:
        backfilled(made, daemon)
        swept(made, daemon, 0)
        plant(made, "UPDATE one SET t = 'no' WHERE id = 77", "DELETE FROM one WHERE id = 78")
        swept(made, daemon, 2)
        assert '"kind": "missing"' in daemon.output(200)
        assert "2 DIFFER" in made.command("status", daemon=daemon)
        with open_url(databases.source_url) as source:
            source.execute("UPDATE one SET t = 'yes' WHERE id IN (77, 78)")
        swept(made, daemon, 0)


def suspicion(pipeline: Pipeline) -> dict[str, Any] | None:
    """What the status says is suspected."""
    found: dict[str, Any] | None = pipeline.status().raw["suspicion"]
    return found


REPAIRS: dict[str, Any] = {"verify": {"continuous": {"enabled": False}, "repair_after_restart": True}}


def test_a_restart_of_the_connector_is_noticed_and_what_it_lost_is_repaired(
    databases: Databases, pipeline: Make, stack: Stack
) -> None:
    made = small(databases, pipeline, **REPAIRS)
    with made.run() as daemon:
        backfilled(made, daemon)
        made.wait_lag_zero(daemon)
        assert suspicion(made) is None
        with open_url(databases.source_url) as source:
            source.execute("UPDATE one SET t = t || '!' WHERE id <= 500")
            source.execute("UPDATE two SET t = t || '!' WHERE id > 1500")
        made.wait_lag_zero(daemon)
        untouched = versions(made, "one", "id > 500")
        lost = [
            "UPDATE one SET t = 't7' WHERE id = 7",
            "DELETE FROM two WHERE id > 1995",
            "DELETE FROM one WHERE id = 600",
        ]
        plant(made, *lost)
        stack.kill("connect")
        stack.start("connect")
        made.until(daemon, lambda: "the connector restarted" in daemon.output(200), 60, "the restart is noticed")
        made.until(daemon, lambda: suspicion(made) is None, 60, "the suspicion is over")
        assert daemon.output().count("difference repaired") == 7
        clean(made, daemon=daemon)
        after = versions(made, "one", "id > 500")
        assert {key for key, version in untouched.items() if after[key] != version} == {600}


def versions(pipeline: Pipeline, table: str, where: str) -> dict[int, str]:
    """Key -> the version of each row of the target."""
    with open_url(pipeline.databases.target_url) as target:
        rows = target.execute(f"SELECT id, xmin::text || ctid::text FROM {table} WHERE {where}".encode()).fetchall()
    return {row[0]: row[1] for row in rows}


def test_a_restart_while_the_daemon_is_down_is_noticed_by_the_next_one(
    databases: Databases, pipeline: Make, stack: Stack
) -> None:
    made = small(databases, pipeline, **REPAIRS)
    with made.run() as daemon:
        backfilled(made, daemon)
        made.wait_lag_zero(daemon)
        made.until(daemon, lambda: known_session(made), 30, "the connector's session is known")
        daemon.kill()
    plant(made, "DELETE FROM one WHERE id = 5")
    stack.kill("connect")
    stack.start("connect")
    with made.run() as daemon:
        made.until(daemon, lambda: "the connector restarted" in daemon.output(200), 60, "the restart is noticed")
        made.until(daemon, lambda: suspicion(made) is None, 60, "the suspicion is over")
        clean(made, daemon=daemon)


def known_session(pipeline: Pipeline) -> str | None:
    """The connector's session as the control schema has it."""
    with open_url(pipeline.databases.target_url) as target:
        row = target.execute("SELECT connector_session FROM changeover.pipeline").fetchone()
    return row[0] if row else None
