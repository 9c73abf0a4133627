"""Hand-over from backfill to stream on the real stack, while the source is written to: equal, ledger balanced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support import workload
from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings, unchanged
from tests.support.processes import Daemon
from tests.support.workload import Writer

ROWS = 20_000
SWAPPING = "public.seats"
"""Its chunks may be tried again: a row may need a unique value that another still has in the target."""
Make = Callable[[Settings], Pipeline]


def chunks_end(pipeline: Pipeline, daemon: Daemon) -> None:
    """Wait until every chunk is done."""

    def all_done() -> bool:
        chunks = pipeline.chunks()
        return bool(chunks) and all(chunk.state == "done" for chunk in chunks.values())

    pipeline.until(daemon, all_done, 120, "every chunk is done")


def more_done(pipeline: Pipeline, daemon: Daemon, count: int) -> None:
    """Wait until that many chunks are done."""
    pipeline.until(daemon, lambda: len(pipeline.chunks_done()) >= count, 60, f"{count} chunks are done")


@pytest.mark.parametrize("schemas", [False, True], ids=["plain", "with schemas"])
def test_a_live_database_is_handed_over(databases: Databases, pipeline: Make, seed: int, schemas: bool) -> None:
    workload.create(databases.source_url, databases.target_url, ROWS)
    sections: dict[str, dict[str, Any]] = {
        "connect": {"schemas_enable": schemas},
        "backfill": {"rows_per_second": 8000},
    }
    moved = pipeline(Settings(tables=workload.TABLES, chunk_rows=500, sections=sections))
    moved.command("connector", "apply")
    with Writer(databases.source_url, seed, ROWS, rate=150) as writer, moved.run() as daemon:
        chunks_end(moved, daemon)
        count = writer.count
        moved.until(daemon, lambda: writer.count > count + 300, 60, "writes after the backfill")
        with writer.paused():
            rows = moved.verify(workload.QUESTIONS, daemon)
        assert rows > ROWS // 2
        chunks = moved.chunks()
        assert len(chunks) >= ROWS // 500
        attempts = {chunk.attempt for (table, _), chunk in chunks.items() if table != SWAPPING}
        assert attempts == {1}, "a chunk was read twice"
        assert moved.events("already_loaded") > 0, "no event met the backfill: nothing was proved"
        assert moved.events("applied", "filtered") > 300
        daemon.killed = True
        daemon.terminate()
        assert daemon.wait(30) == 0, daemon.output()


def test_kills_do_not_read_finished_chunks_again(databases: Databases, pipeline: Make, seed: int) -> None:
    workload.create(databases.source_url, databases.target_url, ROWS)
    sections = {"backfill": {"rows_per_second": 8000}}
    moved = pipeline(Settings(tables=workload.TABLES, chunk_rows=500, sections=sections))
    moved.command("connector", "apply")
    with Writer(databases.source_url, seed, ROWS) as writer:
        for _ in range(2):
            known = moved.chunks_done()
            with moved.run() as daemon:
                more_done(moved, daemon, len(known) + 5)
                daemon.kill()
            unchanged(known, moved.chunks())
        known = moved.chunks_done()
        with moved.run() as daemon:
            chunks_end(moved, daemon)
            with writer.paused():
                moved.verify(workload.QUESTIONS, daemon)
            unchanged(known, moved.chunks())


# -- smaller ones ------------------------------------------------------------------------------------------------------


class Case:
    """One table on each side with its mapping and its question, moved while statements run at the source."""

    def __init__(self, source: str, target: str, entry: dict[str, Any], question: Question, **settings: Any) -> None:
        self.source, self.target, self.entry, self.question = source, target, entry, question
        self.settings = settings

    def run(self, databases: Databases, make: Make, during: Sequence[str], after: Sequence[str]) -> Pipeline:
        """Apply `during` while the backfill runs and `after` when it is over; compare at the end."""
        for url, script in ((databases.source_url, self.source), (databases.target_url, self.target)):
            with open_url(url) as connection:
                connection.execute(script.encode())
        moved = make(Settings(tables=[self.entry], **self.settings))
        moved.command("connector", "apply")
        with moved.run() as daemon, open_url(databases.source_url) as source:
            moved.until(daemon, lambda: moved.chunks_done(), 60, "the first chunk is done")
            for statement in during:
                source.execute(statement.encode())
            chunks_end(moved, daemon)
            for statement in after:
                source.execute(statement.encode())
            moved.verify([self.question], daemon)
        return moved


def test_text_keys_in_an_order_that_only_the_database_knows(databases: Databases, pipeline: Make) -> None:
    with open_url(databases.source_url) as connection:
        found = connection.execute(
            "SELECT collname FROM pg_collation WHERE collprovider IN ('c', 'i') AND collencoding IN (-1, 6)"
            " AND collname NOT IN ('C', 'POSIX', 'ucs_basic', 'default') AND collname NOT ILIKE 'c.utf%'"
            " AND collprovider = 'c' ORDER BY collname LIMIT 1"
        ).fetchone()
    collation = f'COLLATE "{found[0]}"' if found else ""
    case = Case(
        f"""CREATE TYPE size AS ENUM ('small', 'medium', 'large', 'huge');
            CREATE TABLE wares (size size, name text {collation}, stock integer NOT NULL, PRIMARY KEY (size, name));
            INSERT INTO wares SELECT ('{{small,medium,large,huge}}'::size[])[i % 4 + 1],
                (ARRAY['a', 'B', 'c-', 'ä', 'Z', '_'])[i % 6 + 1] || i, i FROM generate_series(1, 8000) i""",
        "CREATE TABLE wares (size text, name text, stock bigint NOT NULL, PRIMARY KEY (size, name))",
        {"from": "public.wares"},
        Question("wares", "SELECT size, name, stock FROM wares", "SELECT size, name, stock FROM wares"),
        chunk_rows=200,
        sections={"backfill": {"rows_per_second": 2000}},
    )
    change = [
        "UPDATE wares SET stock = -stock WHERE stock % 3 = 0",
        "UPDATE wares SET size = 'huge', name = name || '!' WHERE size = 'small' AND stock % 5 = 0",
        "DELETE FROM wares WHERE stock % 7 = 0",
        "INSERT INTO wares SELECT 'medium', 'new' || i, i FROM generate_series(1, 500) i ON CONFLICT DO NOTHING",
    ]
    moved = case.run(databases, pipeline, change, [*change[:3], "UPDATE wares SET name = upper(name)"])
    assert len(moved.chunks()) >= 40


def test_large_values_that_do_not_travel(databases: Databases, pipeline: Make) -> None:
    big = "repeat(md5(i::text), 90)"
    case = Case(
        f"""CREATE TABLE pages (id bigint PRIMARY KEY, kind text, body text, raw bytea, words text[], hits integer);
            ALTER TABLE pages ALTER body SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL,
                ALTER words SET STORAGE EXTERNAL;
            INSERT INTO pages SELECT i, 'k' || i % 3, {big}, decode({big}, 'hex'),
                ARRAY[{big}, NULL, ''], 0 FROM generate_series(1, 3000) i""",
        """CREATE TABLE pages (id bigint PRIMARY KEY, kind text, body text, raw bytea, words text[], hits integer,
               head text)""",
        {
            "from": "public.pages",
            "columns": "*",
            "overrides": {"head": "kind || left(body, 5)"},
            "where": "hits >= 0",
        },
        Question(
            "pages",
            "SELECT id, kind, md5(body), md5(raw), md5(words::text), hits, kind || substr(body, 1, 5)"
            " FROM pages WHERE NOT hits < 0",
            "SELECT id, kind, md5(body), md5(raw), md5(words::text), hits, head FROM pages",
        ),
        chunk_rows=200,
        sections={"backfill": {"rows_per_second": 2000}},
    )
    change = [
        "UPDATE pages SET hits = hits + 1 WHERE id % 2 = 0",
        "UPDATE pages SET kind = kind || '+' WHERE id % 5 = 0",
        "UPDATE pages SET id = id + 100000 WHERE id % 7 = 0 AND id < 100000",
        "UPDATE pages SET hits = -1 WHERE id % 11 = 0",
        "UPDATE pages SET hits = 5 WHERE id % 22 = 0",
        "UPDATE pages SET body = NULL WHERE id % 13 = 0",
        "BEGIN; DELETE FROM pages WHERE id = 17; INSERT INTO pages SELECT 17, 'again', "
        + big.replace("i::text", "'17'")
        + ", NULL, NULL, 3; UPDATE pages SET hits = 4 WHERE id = 17; COMMIT",
    ]
    case.run(databases, pipeline, change, change)


def test_a_truncated_table_with_one_partition_is_read_anew(databases: Databases, pipeline: Make) -> None:
    case = Case(
        "CREATE TABLE logs (id integer PRIMARY KEY, line text NOT NULL);"
        "INSERT INTO logs SELECT i, 'line ' || i FROM generate_series(1, 6000) i",
        "CREATE TABLE logs (id bigint PRIMARY KEY, line text NOT NULL)",
        {"from": "public.logs"},
        Question("logs", "SELECT id, line FROM logs", "SELECT id, line FROM logs"),
        chunk_rows=500,
        partitions=1,
        sections={"backfill": {"rows_per_second": 3000}},
    )
    again = [
        "UPDATE logs SET line = 'changed' WHERE id % 5 = 0",
        "TRUNCATE logs",
        "INSERT INTO logs SELECT i, 'again ' || i FROM generate_series(1, 3000) i",
        "UPDATE logs SET line = line || '.' WHERE id % 3 = 0",
    ]
    case.run(databases, pipeline, again, [*again, "DELETE FROM logs WHERE id % 4 = 0"])


def test_unique_values_that_go_round(databases: Databases, pipeline: Make) -> None:
    case = Case(
        """CREATE TABLE ranks (id integer PRIMARY KEY, place integer UNIQUE DEFERRABLE INITIALLY IMMEDIATE, who text);
           INSERT INTO ranks SELECT i, i, 'runner ' || i FROM generate_series(1, 2000) i""",
        "CREATE TABLE ranks (id integer PRIMARY KEY, place integer UNIQUE, who text)",
        {"from": "public.ranks"},
        Question("ranks", "SELECT id, place, who FROM ranks", "SELECT id, place, who FROM ranks"),
        chunk_rows=100,
        sections={"backfill": {"rows_per_second": 1000}},
    )
    change = [
        "UPDATE ranks SET place = 2001 - place WHERE place BETWEEN 951 AND 1050",
        "UPDATE ranks SET place = CASE WHEN place = 1 THEN 300 ELSE place - 1 END WHERE place <= 300",
        "UPDATE ranks SET place = CASE place WHEN 1990 THEN 10 ELSE 1990 END WHERE place IN (10, 1990)",
        "WITH gone AS (DELETE FROM ranks WHERE place = 1500 RETURNING place)"
        " UPDATE ranks SET place = NULL WHERE place = 1400",
        "UPDATE ranks SET place = 1400 WHERE id = (SELECT max(id) FROM ranks WHERE place = 1600)",
    ]
    case.run(databases, pipeline, change, change)
