"""`plan` and `explain` on the real stack: what they say is what is and what then happens, and they change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.processes import Daemon

Make = Callable[[Settings], Pipeline]
TABLE = "public.users"
SOURCE_SQL = """
CREATE TABLE users (
    id integer PRIMARY KEY, email text NOT NULL, name text, gone boolean NOT NULL DEFAULT false, born date NOT NULL
);
INSERT INTO users SELECT i, ' User' || i || '@Example.org ', 'user ' || i, false, date '1980-01-01' + i
    FROM generate_series(1, 2000) i
"""
TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.accounts (
    id bigint PRIMARY KEY, email text NOT NULL UNIQUE CHECK (email LIKE '%@%'), display text, day integer NOT NULL
)
"""
MAPPING = {
    "from": TABLE,
    "to": "app.accounts",
    "columns": {
        "id": "id",
        "email": "lower(trim(email))",
        "display": "name",
        "day": "cast(extract(day from born) as integer)",
    },
    "where": "not gone",
}


def create(databases: Databases) -> None:
    """Both tables, and the source's rows."""
    for url, script in ((databases.source_url, SOURCE_SQL), (databases.target_url, TARGET_SQL)):
        run(url, script)
    run(databases.source_url, "ANALYZE users")


def run(url: str, *statements: str) -> None:
    """Run each statement in a transaction of its own."""
    with open_url(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def asked(pipeline: Pipeline, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What a command says in JSON, at this exit code."""
    done = pipeline.call(*arguments, "--output", "json")
    assert done.code == code, done.said
    found: dict[str, Any] = json.loads(done.said[done.said.index("{\n") : done.said.rindex("}") + 1])
    return found


def explained(pipeline: Pipeline, key: int, code: int = 0, *options: str) -> dict[str, Any]:
    """The explanation of one row."""
    return asked(pipeline, "explain", TABLE, str(key), *options, code=code)


def outcomes(explanation: dict[str, Any]) -> list[tuple[str, str]]:
    """(op, outcome) of each event."""
    return [(event["op"], event["outcome"]) for event in explanation["events"]["last"]]


def stop(daemon: Daemon) -> None:
    """End the daemon, as a person would."""
    daemon.killed = True
    daemon.terminate()
    assert daemon.wait(30) == 0, daemon.output()


def test_explain_tells_the_story_of_every_kind_of_row(databases: Databases, pipeline: Make) -> None:
    create(databases)
    moved = pipeline(Settings(tables=[MAPPING], chunk_rows=500))
    moved.command("connector", "apply")
    source, target = databases.source_url, databases.target_url
    with moved.run() as daemon:
        moved.wait_lag_zero(daemon)
        loaded = explained(moved, 1)
        assert loaded["agrees"]
        assert loaded["chunk"]["state"] == "done"
        assert outcomes(loaded) == []
        run(source, "UPDATE users SET name = 'Anna' WHERE id = 700")
        moved.wait_lag_zero(daemon)
        stop(daemon)
    run(
        source,
        "BEGIN; UPDATE users SET name = 'a' WHERE id = 2; UPDATE users SET name = 'b' WHERE id = 2;"
        " UPDATE users SET name = 'c' WHERE id = 2; COMMIT",
        "DELETE FROM users WHERE id = 3",
        "UPDATE users SET gone = true WHERE id = 4",
        "UPDATE users SET id = 9005 WHERE id = 5",
        "UPDATE users SET name = 'late' WHERE id = 6",
    )
    coming = explained(moved, 6)
    assert not coming["agrees"]
    assert "not applied yet" in coming["verdict"]
    with moved.run() as daemon:
        moved.wait_lag_zero(daemon)
        updated = explained(moved, 2)
        assert updated["agrees"], updated["verdict"]
        assert outcomes(updated) == [("u", "superseded"), ("u", "superseded"), ("u", "applied")], updated["events"]
        assert updated["events"]["by_hash"]
        deleted = explained(moved, 3)
        assert deleted["agrees"]
        assert "was deleted" in deleted["verdict"]
        assert outcomes(deleted) == [("d", "applied")]
        left_out = explained(moved, 4)
        assert outcomes(left_out) == [("u", "filtered")]
        assert "leaves the source row out" in left_out["verdict"]
        assert outcomes(explained(moved, 5)) == [("d", "applied")]
        assert outcomes(explained(moved, 9005)) == [("c", "applied")]
        never = explained(moved, 77_777)
        assert never["agrees"]
        assert "neither side" in never["verdict"]
        run(target, "UPDATE app.accounts SET display = 'damaged', day = 99 WHERE id = 700")
        damaged = explained(moved, 700, 4, "--mask", "email")
        assert damaged["targets"][0]["rows"][0]["differing"] == ["display", "day"]
        assert damaged["source"]["row"]["email"] == "***"
        assert "example.org" not in json.dumps(damaged).lower()
        run(target, "DELETE FROM app.accounts WHERE id = 800")
        assert "lacks the row" in explained(moved, 800, 4)["verdict"]
        without_the_source(moved)


def without_the_source(moved: Pipeline) -> None:
    """What is told while the source is away: what became of the events, and that nothing was compared."""
    moved.extra_env["SOURCE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    told = explained(moved, 2, 3)
    assert told["agrees"] is None
    assert "refused" in told["source"]["error"]
    assert told["chunk"]["number"] == 0
    assert outcomes(told) == [("u", "superseded"), ("u", "superseded"), ("u", "applied")]
    del moved.extra_env["SOURCE_URL"]


def state_of(databases: Databases) -> dict[str, Any]:
    """Everything that a command could have changed: every row of both databases, sequences, the group's offsets."""
    found: dict[str, Any] = {"group": offsets(databases)}
    for side, url in (("source", databases.source_url), ("target", databases.target_url)):
        with open_url(url) as connection:
            tables = connection.execute(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid ="
                " c.relnamespace WHERE relkind IN ('r', 'S') AND nspname !~ '^(pg_|information_schema)' ORDER BY 1"
            ).fetchall()
            for (name,) in tables:
                rows = connection.execute(
                    f"SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM (SELECT * FROM {name}) x".encode()
                )
                found[f"{side} {name}"] = rows.fetchone()
    return found


def offsets(databases: Databases) -> dict[str, Any]:
    """Every consumer group of this cluster that names the pipeline, and what it has committed."""
    admin = AdminClient({"bootstrap.servers": databases.stack.kafka})
    groups = [g.group_id for g in admin.list_consumer_groups().result(20).valid if databases.name in g.group_id]
    found: dict[str, Any] = {}
    for group in groups:
        (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        parts = future.result(20).topic_partitions
        found[group] = sorted((p.topic, p.partition, p.offset) for p in parts)
    return found


def test_plan_before_the_start_tries_the_rows_that_are_there(databases: Databases, pipeline: Make) -> None:
    create(databases)
    run(databases.source_url, "UPDATE users SET gone = true WHERE id = 2000")
    moved = pipeline(Settings(tables=[MAPPING], chunk_rows=500))
    before = state_of(databases)
    plan = asked(moved, "plan", "--rows", "4", "--mask", "email")
    (table,) = plan["tables"]
    sql = table["entries"][0]["sql"]
    assert table["pushdown"]["possible"]
    assert sql["backfill"]["source"].startswith("COPY (SELECT CAST(")
    assert sql["stream"]["upsert"].startswith('INSERT INTO "app"."accounts"')
    assert table["estimate"]["chunks"] == 4
    assert table["estimate"]["rows"] == table["sample"]["tried"] + 1 == 2000
    assert table["estimate"]["seconds"] is not None
    shown = [row["targets"]["public.users -> app.accounts"] for row in table["sample"]["rows"]]
    assert [row["filtered"] for row in shown] == [False, False, False, True]
    assert shown[0]["row"] == {"id": "1", "email": "***", "display": "user 1", "day": "2"}
    assert shown[0]["written"]
    run(
        databases.source_url,
        "UPDATE users SET born = 'infinity' WHERE id = 1234",
        "UPDATE users SET email = 'nobody' WHERE id = 7",
        "UPDATE users SET email = 'user9@example.org' WHERE id = 8",
    )
    plan = asked(moved, "plan", "--table", "users", code=1)
    refused = {problem["key"][0]: problem["error"] for problem in plan["tables"][0]["problems"]}
    assert refused.keys() == {"7", "9", "1234"}
    assert 'null value in column "day"' in refused["1234"]
    assert "check constraint" in refused["7"]
    assert "unique" in refused["9"]
    said = moved.call("plan", "--rows", "2").said
    assert "PROBLEM key 1234" in said
    after = state_of(databases)
    assert {name: after[name] for name in after if name != "source public.users"} == {
        name: before[name] for name in before if name != "source public.users"
    }


def test_plan_batch_says_what_then_happens(databases: Databases, pipeline: Make) -> None:
    create(databases)
    moved = pipeline(Settings(tables=[MAPPING], chunk_rows=500))
    moved.command("connector", "apply")
    with moved.run() as daemon:
        moved.wait_lag_zero(daemon)
        assert asked(moved, "plan", "--batch")["error"] is None
        assert asked(moved, "plan")["problems"] == 0, "the rows that are loaded are tried as the stream writes them"
        stop(daemon)
    run(
        databases.source_url,
        "BEGIN; UPDATE users SET name = 'a' WHERE id <= 20; UPDATE users SET name = 'b' WHERE id <= 10; COMMIT",
        "UPDATE users SET gone = true WHERE id IN (30, 31, 32)",
        "DELETE FROM users WHERE id IN (40, 41)",
        "UPDATE users SET id = 9000 + id WHERE id = 50",
        "UPDATE users SET email = 'nobody' WHERE id = 55",
    )
    moved.command("explain", TABLE, "55")
    before = state_of(databases)
    planned = asked(moved, "plan", "--batch")
    assert "PROBLEM key 55" in moved.call("plan", "--table", TABLE).said
    moved.command("plan", "--batch")
    now = state_of(databases)
    assert now.pop("target changeover.dead_letter_id_seq") != before.pop("target changeover.dead_letter_id_seq")
    assert now == before
    became = change_of_ledger(moved)
    told = {name.replace(" ", "_").replace("-", "_"): count for name, count in planned["outcomes"].items()}
    assert told.keys() >= {"applied", "superseded", "filtered", "dead_lettered"}
    assert {name: told.get(name, 0) for name in OUTCOMES} == became
    assert {name: planned["ledger"][name] for name in OUTCOMES} == became
    exchanged(databases, moved)


OUTCOMES = ("applied", "superseded", "already_loaded", "filtered", "held", "dead_lettered")
"""All but control: heartbeats come at any time."""


def change_of_ledger(pipeline: Pipeline) -> dict[str, int]:
    """What became of the events that wait, once the daemon has run."""
    before = ledger(pipeline)
    with pipeline.run() as daemon:
        pipeline.wait_lag_zero(daemon)
        stop(daemon)
    after = ledger(pipeline)
    return {name: after[name] - before[name] for name in OUTCOMES}


def exchanged(databases: Databases, moved: Pipeline) -> None:
    """Unique values that change hands: the batch does not go through as it is, and the rows are read again."""
    run(
        databases.source_url,
        "BEGIN; UPDATE users SET email = 'x@x' WHERE id = 60;"
        " UPDATE users SET email = 'user60@example.org' WHERE id = 61;"
        " UPDATE users SET email = 'user61@example.org' WHERE id = 60; COMMIT",
    )
    moved.command("explain", TABLE, "60")
    before = state_of(databases)
    planned = asked(moved, "plan", "--batch")
    assert state_of(databases) == before
    assert planned["error"] is None
    assert planned["outcomes"]["read again"] == 3


def ledger(pipeline: Pipeline) -> dict[str, int]:
    """Outcome -> events, so far."""
    return dict(pipeline.status().ledger)
