"""Resync, rows moved on demand, and changes to a running pipeline, on the real stack."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import yaml

from tests.support import workload
from tests.support.databases import Databases, open_url
from tests.support.endpoint import TOKEN, Endpoint, free_port
from tests.support.oracle import Question, assert_equal
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.workload import Writer

Make = Callable[[Settings], Pipeline]
ROWS = 6_000
COUNTERS = Question("counters", "SELECT id, n, note FROM counters", "SELECT id, n, note FROM counters")
COUNTERS_SQL = "CREATE TABLE counters (id integer PRIMARY KEY, n bigint NOT NULL, note text)"
COUNTERS_ENTRY = {"from": "public.counters"}


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with open_url(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows_of(url: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with open_url(url) as connection:
        return connection.execute(query.encode()).fetchall()


def counters(databases: Databases, rows: int) -> None:
    """A table of counters on both sides."""
    fill = f"INSERT INTO counters SELECT i, 0, 'n' || i FROM generate_series(1, {rows}) i"
    execute(databases.source_url, COUNTERS_SQL, fill, "ANALYZE counters")
    execute(databases.target_url, COUNTERS_SQL)


def loaded(moved: Pipeline, daemon: Daemon) -> None:
    """Wait until every chunk is done."""

    def done() -> bool:
        chunks = moved.chunks()
        return bool(chunks) and all(chunk.state == "done" for chunk in chunks.values())

    moved.until(daemon, done, 90, "every chunk is done")


def report(moved: Pipeline, *arguments: str) -> dict[str, Any]:
    """What `resync --output json` says."""
    said = moved.command("resync", *arguments, "--output", "json")
    found: dict[str, Any] = json.loads(said[said.index("{\n") :])
    return found


@contextmanager
def repeated(work: Callable[[], None]) -> Iterator[list[int]]:
    """Do something again and again on a thread for the length of a block; what it raises is raised."""
    stop, times, failure = threading.Event(), [0], []

    def loop() -> None:
        try:
            while not stop.is_set():
                work()
                times[0] += 1
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join(60)
    if failure:
        raise failure[0]


# -- resync ------------------------------------------------------------------------------------------------------------

XMIN = {
    "app.products": "SELECT product_id::text, xmin::text FROM app.products",
    "app.settings": "SELECT owner || '/' || name, xmin::text FROM app.settings",
    "app.seats": "SELECT zone || number, xmin::text FROM app.seats",
}


def versions(databases: Databases) -> dict[str, dict[str, str]]:
    """Target table -> key -> xmin of its row."""
    return {table: dict(rows_of(databases.target_url, query)) for table, query in XMIN.items()}  # type: ignore[arg-type]


def untouched(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], but: set[str]) -> None:
    """Every row but these is the one that it was."""
    changed = {key for table, rows in before.items() for key, xmin in rows.items() if after[table].get(key, "") != xmin}
    assert changed <= but, f"touched: {sorted(changed - but)[:10]}"


def test_resync_mends_what_was_damaged_and_touches_nothing_else(databases: Databases, pipeline: Make) -> None:
    workload.create(databases.source_url, databases.target_url, ROWS)
    alone = {"verify": {"continuous": {"enabled": False}}}  # the findings are to be the test's own
    moved = pipeline(Settings(tables=workload.TABLES, chunk_rows=500, sections=alone))
    moved.command("connector", "apply")
    target = databases.target_url
    with moved.run() as daemon:
        moved.wait_lag_zero(daemon)
        before = versions(databases)

        execute(target, "UPDATE app.products SET title = 'wrong' WHERE product_id IN (11, 12)")
        done = report(moved, "--table", "public.items", "--key", "011", "--key", "12", "--key", "13")
        assert (done["keys"], done["written"], done["removed"], done["missing"]) == (3, 2, 0, 0)
        untouched(before, versions(databases), {"11", "12"})

        # two rows exchange a unique value behind the daemon's back: only together can they be mended
        labels = rows_of(target, "SELECT label, zone, number FROM app.seats ORDER BY zone, number LIMIT 2")
        (first, zone, number), (second, other_zone, other) = labels
        execute(
            target,
            f"UPDATE app.seats SET label = '-' WHERE zone = '{zone}' AND number = {number}",
            f"UPDATE app.seats SET label = '{first}' WHERE zone = '{other_zone}' AND number = {other}",
            f"UPDATE app.seats SET label = '{second}' WHERE zone = '{zone}' AND number = {number}",
        )
        done = report(moved, "--table", "public.seats", "--key", json.dumps([zone, str(number)]))
        assert done["beside"] == 1
        untouched(before, versions(databases), {"11", "12", f"{zone}{number}", f"{other_zone}{other}"})

        before = versions(databases)
        execute(target, "DELETE FROM app.settings WHERE owner = 'tenant-7'")
        done = report(moved, "--table", "public.prefs", "--where", "tenant = 'tenant-7' and name like '%'")
        assert done["written"] == done["keys"] > 10
        mended = {key for key in before["app.settings"] if key.startswith("tenant-7/")}
        untouched(before, versions(databases), mended)

        before = versions(databases)
        execute(
            target,
            "UPDATE app.products SET note = note || '?' WHERE product_id % 900 = 1",
            "DELETE FROM app.products WHERE product_id % 900 = 2",
            "INSERT INTO app.products SELECT -i, 'too many', NULL, NULL, NULL, now() FROM generate_series(1, 7) i",
        )
        damaged = {key for key in before["app.products"] if int(key) % 900 in (1, 2)}
        done = report(moved, "--table", "items", "--all", "--batch", "97")
        assert (done["written"], done["extras"], done["fences_left"]) == (len(damaged), 7, "")
        assert done["keys"] == ROWS // 2
        untouched(before, versions(databases), damaged)
        assert rows_of(target, "SELECT count(*) FROM changeover.key_fence WHERE table_name = 'public.items'") == [(0,)]

        findings(moved, databases)
        moved.verify(workload.QUESTIONS, daemon)
        refused = moved.call("resync", "--table", "items", "--where", "now() > changed_at")
        assert refused.code == 2
        assert "now" in refused.said
        assert moved.call("resync", "--table", "items", "--key", "[1, 2]").code == 1
        assert moved.call("resync", "--table", "items", "--key", "x").code == 1


def findings(moved: Pipeline, databases: Databases) -> None:
    """A different, a missing and an extra row, as the verification notes them; and what it did not find stays."""
    target = databases.target_url
    before = versions(databases)
    execute(
        target,
        "UPDATE app.settings SET value = 'x' WHERE owner = 'tenant-3' AND name IN ('Name 3', 'Name 43')",
        "DELETE FROM app.settings WHERE owner = 'tenant-4' AND name = 'Name 4'",
        "INSERT INTO app.settings VALUES ('nobody', 'here', 'x', 1), ('nobody', 'there', 'x', 1)",
        *(
            "INSERT INTO changeover.finding (pipeline, entry, table_name, source_key, target_key, kind) VALUES"
            f" ('{databases.name}', 'public.prefs -> app.settings', 'app.settings', {source}, '{key}', '{kind}')"
            for source, key, kind in (
                ("""'["tenant-3","Name 3"]'""", '["tenant-3","Name 3"]', "different"),
                ("""'["tenant-4","Name 4"]'""", '["tenant-4","Name 4"]', "missing"),
                ("NULL", '["nobody","here"]', "extra"),
            )
        ),
    )
    done = report(moved, "--table", "public.prefs", "--findings")
    assert (done["findings"], done["findings_left"], done["extras"], done["written"]) == (3, 0, 1, 2)
    untouched(before, versions(databases), {"tenant-3/Name 3", "tenant-3/Name 43", "tenant-4/Name 4"})
    assert rows_of(target, "SELECT DISTINCT state FROM changeover.finding") == [("repaired",)]
    left = "SELECT name FROM app.settings WHERE owner = 'nobody' OR value = 'x' ORDER BY name"
    assert rows_of(target, left) == [("Name 43",), ("there",)]
    done = report(moved, "--table", "public.prefs", "--all")
    assert (done["extras"], done["written"]) == (1, 1)


def test_resync_races_with_updates_of_the_same_rows(databases: Databases, pipeline: Make) -> None:
    counters(databases, 40)
    port = free_port()
    sections = {"http": {"port": port, "token": TOKEN, "resyncs_per_second": 1000}}
    moved = pipeline(Settings(tables=[COUNTERS_ENTRY], chunk_rows=15, sections=sections))
    moved.command("connector", "apply")
    keys = [[str(key)] for key in range(1, 21)]
    seen: dict[int, int] = {}

    def write(connection: psycopg.Connection) -> None:
        connection.execute("UPDATE counters SET n = n + 1 WHERE id <= 20")

    def ask() -> None:
        code, answer, _ = Endpoint(port).post({"table": "public.counters", "keys": keys})
        assert code in (200, 503), answer

    def look(connection: psycopg.Connection) -> None:
        for key, n in connection.execute("SELECT id, n FROM counters").fetchall():
            assert n >= seen.get(key, 0), f"counter {key} went back from {seen[key]} to {n}"
            seen[key] = n

    with moved.run() as daemon, open_url(databases.source_url) as source, open_url(databases.target_url) as target:
        loaded(moved, daemon)
        moved.until(daemon, lambda: Endpoint(port).get("/readyz")[0] == 200, 30, "ready")
        with repeated(lambda: write(source)) as written, repeated(ask) as asked, repeated(lambda: look(target)):
            moved.until(daemon, lambda: written[0] > 300 and asked[0] > 30, 60, "300 updates and 30 requests")
            done = report(moved, "--table", "counters", "--all", "--batch", "7")
            assert done["keys"] == 40
        moved.verify([COUNTERS], daemon)
        assert seen[1] > 0
        audited = rows_of(databases.target_url, "SELECT who, detail FROM changeover.audit WHERE action = 'resync'")
        assert ("http 127.0.0.1", "public.counters by request: 20 keys") in audited


# -- rows on demand ----------------------------------------------------------------------------------------------------


def test_rows_on_demand_during_backfill_and_stream(databases: Databases, pipeline: Make, seed: int) -> None:
    counters(databases, 20_000)
    port = free_port()
    sections: dict[str, dict[str, Any]] = {
        "http": {"port": port, "token": TOKEN, "resyncs_per_second": 1000, "resync_workers": 3},
        "backfill": {"rows_per_second": 500},
    }
    moved = pipeline(Settings(tables=[COUNTERS_ENTRY], chunk_rows=250, workers=1, sections=sections))
    moved.command("connector", "apply")
    endpoint = Endpoint(port)
    with moved.run() as daemon:
        moved.until(daemon, moved.chunks_done, 60, "the first chunk is done")
        refusals(endpoint)
        # while most chunks are pending: rows of the table's end come first
        execute(databases.source_url, "UPDATE counters SET n = 7 WHERE id > 19000")
        for key in (19_990, 20_000):
            code, answer, _ = endpoint.post({"table": "public.counters", "key": [str(key)]})
            assert code == 200, (answer, daemon.output())
            assert (answer["found"], answer["missing"]) == (1, 0)
            assert rows_of(databases.target_url, f"SELECT n FROM counters WHERE id = {key}") == [(7,)]

        def one(number: int) -> int:
            key = (seed + number * 37) % 20_000 + 1 if number % 3 else 15_000
            return endpoint.post({"table": "public.counters", "keys": [[str(key)], [str(key)]]})[0]

        with repeated(lambda: execute(databases.source_url, "UPDATE counters SET n = n + 1 WHERE id % 100 = 0")):
            with ThreadPoolExecutor(6) as pool:
                codes = list(pool.map(one, range(60)))
            assert set(codes) <= {200, 409, 503}
            assert codes.count(200) >= 50, codes
            assert moved.chunks_done().keys() < moved.chunks().keys(), "the backfill was over too soon"
            # the pace is changed while it runs
            assert 'rows_per_second": 500' in endpoint.get("/status")[1]
            moved.command("pace", "--rows-per-second", "none")
            began = time.monotonic()
            loaded(moved, daemon)
            assert time.monotonic() - began < 20, "the workers did not take the pace up"
        execute(databases.source_url, "DELETE FROM counters WHERE id = 12")
        code, answer, _ = endpoint.post({"table": "public.counters", "key": ["12"]})
        assert (code, answer["found"], answer["missing"]) == (200, 0, 1)
        assert rows_of(databases.target_url, "SELECT FROM counters WHERE id = 12") == []
        moved.verify([COUNTERS], daemon)
        quick(endpoint)


def refusals(endpoint: Endpoint) -> None:
    """What is not taken, and why."""
    good = {"table": "public.counters", "key": ["1"]}
    assert endpoint.post(good, token=None)[0] == 401
    assert endpoint.post(good, token=TOKEN[:-1])[0] == 401
    assert endpoint.post(good, token=TOKEN + "0")[2]["WWW-Authenticate"] == "Bearer"
    for bad in (
        b"no json",
        [],
        {"table": "public.nothing", "key": ["1"]},
        {"table": "public.counters", "key": ["one"]},
        {"table": "public.counters", "key": ["1", "2"]},
        {"table": "public.counters", "keys": []},
        {"table": "public.counters", "keys": [["1"]] * 101},
        {"table": "public.counters", "key": ["99999999999999"]},
    ):
        code, answer, _ = endpoint.post(bad)
        assert code == 400, (bad, code, answer)
    assert endpoint.post(b" " * 100_000)[0] == 413
    assert endpoint.get("/resync")[0] == 405


def quick(endpoint: Endpoint) -> None:
    """At rest, an answer takes well below a second even on a busy machine; the figure is shown."""
    times = []
    for _ in range(20):
        began = time.monotonic()
        assert endpoint.post({"table": "public.counters", "key": ["5"]})[0] == 200
        times.append(time.monotonic() - began)
    print(f"POST /resync: median {sorted(times)[10] * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms")
    assert sorted(times)[10] < 0.5


# -- live changes ------------------------------------------------------------------------------------------------------


def test_pause_resume_and_reload_while_others_go_on(databases: Databases, pipeline: Make, seed: int) -> None:
    workload.create(databases.source_url, databases.target_url, ROWS)
    port = free_port()
    moved = pipeline(Settings(tables=workload.TABLES, chunk_rows=500, sections={"http": {"port": port}}))
    moved.command("connector", "apply")

    def offsets(like: str) -> int:
        query = f"SELECT sum(next_offset)::bigint FROM changeover.checkpoint WHERE table_name {like} 'public.items'"
        return int(rows_of(databases.target_url, query)[0][0])

    with Writer(databases.source_url, seed, ROWS, rate=80) as writer, moved.run() as daemon:
        loaded(moved, daemon)
        assert Endpoint(port).post({})[0] == 404
        assert "public.items: paused" in moved.command("pause", "--table", "public.items")
        assert "already paused" in moved.command("pause", "--table", "items")
        at, others, count = offsets("="), offsets("<>"), writer.count
        moved.until(daemon, lambda: writer.count > count + 250 and offsets("<>") > others + 100, 60, "others go on")
        assert offsets("=") == at, "a paused table's position moved"
        status = moved.status().raw
        assert status["tables"]["public.items"]["paused"]
        assert not status["tables"]["public.docs"]["paused"]
        shown = 'changeover_paused{table="public.items"} 1.0'
        moved.until(daemon, lambda: shown in Endpoint(port).get("/metrics")[1], 10, "the metric shows it")
        waited = moved.call("wait", "--for", "lag-zero", "--timeout", "60")
        assert waited.code == 3
        assert "public.items: paused" in waited.said
        with writer.paused():
            until(lambda: equal(databases, workload.QUESTIONS[1:]), 30, "the other tables are equal")
            moved.command("resume")
            moved.verify(workload.QUESTIONS, daemon)

        chunks = {key: fact.attempt for key, fact in moved.chunks().items()}
        refused = moved.call("reload", "--table", "public.items")
        assert (refused.code, "--yes" in refused.said) == (2, True)
        moved.command("reload", "--table", "public.items", "--yes")
        loaded(moved, daemon)
        with writer.paused():
            moved.verify(workload.QUESTIONS, daemon)
        again = {key for key, fact in moved.chunks().items() if fact.attempt > chunks[key]}
        assert again == {key for key in chunks if key[0] == "public.items"}

        # while its chunks are being read: reload, pause and resume
        moved.command("pace", "--rows-per-second", "100")
        moved.command("reload", "--table", "public.items", "--yes")
        moved.until(daemon, lambda: moved.chunks_done().keys() < moved.chunks().keys(), 30, "chunks are pending")
        moved.command("reload", "--table", "public.items", "--yes")
        moved.command("pause")
        assert moved.call("wait", "--for", "backfill").code == 3
        moved.command("pace", "--rows-per-second", "configured")
        moved.command("resume")
        loaded(moved, daemon)
        with writer.paused():
            moved.verify(workload.QUESTIONS, daemon)


def equal(databases: Databases, questions: Any) -> bool:
    """Whether both sides are equal now."""
    try:
        assert_equal(databases.source_url, databases.target_url, questions)
    except AssertionError:
        return False
    return True


def test_a_running_daemon_takes_a_new_configuration(databases: Databases, pipeline: Make) -> None:
    counters(databases, 2_000)
    more = "CREATE TABLE more (id integer PRIMARY KEY, word text)"
    fill = "INSERT INTO more SELECT i, 'w' || i FROM generate_series(1, 3000) i"
    execute(databases.source_url, more, fill, "ANALYZE more")
    execute(databases.target_url, more)
    question = Question("more", "SELECT id, word FROM more", "SELECT id, word FROM more")
    moved = pipeline(Settings(tables=[COUNTERS_ENTRY], chunk_rows=500))
    moved.command("connector", "apply")
    old = moved.config.read_text()

    def with_tables(*tables: dict[str, Any]) -> str:
        return yaml.safe_dump({**yaml.safe_load(old), "tables": list(tables)}, sort_keys=False)

    with moved.run() as daemon:
        loaded(moved, daemon)
        pid = daemon.pid
        update = "UPDATE counters SET n = n + 1 WHERE id % 10 = 0"
        with repeated(lambda: execute(databases.source_url, update)):
            moved.config.write_text(with_tables(COUNTERS_ENTRY, {"from": "public.nothing"}))
            moved.until(daemon, lambda: "the old configuration goes on" in daemon.output(), 30, "it is refused")
            assert "public.nothing" in daemon.output()
            assert moved.call("reload-config").code == 2
            moved.config.write_text(with_tables(COUNTERS_ENTRY, {"from": "public.more"}))
            refused = moved.call("reload-config")
            assert refused.code == 1, "no topic yet: the connector was not applied"
            assert "connector apply" in refused.said
            moved.command("connector", "apply")
            assert "+public.more" in moved.command("reload-config")
            loaded(moved, daemon)
        execute(databases.source_url, "UPDATE more SET word = 'changed' WHERE id % 3 = 0")
        moved.verify([COUNTERS, question], daemon)

        moved.config.write_text(with_tables({"from": "public.more"}))
        assert "-public.counters" in moved.command("reload-config")
        execute(databases.source_url, "UPDATE more SET word = 'again' WHERE id % 5 = 0", update)
        moved.wait_lag_zero(daemon)
        assert equal(databases, [question])
        assert not equal(databases, [COUNTERS])
        moved.config.write_text(with_tables({"from": "public.more"}).replace("pipeline: ", "pipeline: another"))
        done = moved.call("reload-config")
        assert done.code != 0
        moved.config.write_text(with_tables(COUNTERS_ENTRY, {"from": "public.more"}))
        assert "+public.counters" in moved.command("reload-config")
        moved.verify([COUNTERS, question], daemon)
        assert daemon.pid == pid
        daemon.killed = True
        daemon.terminate()
        assert daemon.wait(30) == 0, daemon.output()
