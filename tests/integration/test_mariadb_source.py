"""A whole pipeline from MariaDB to PostgreSQL on the real stack: writers that do not stop, kills, and an oracle of its
own. It reads both sides by their drivers, and shares nothing with the product.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import yaml

from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.source_sites import MariadbSite

SOURCE = """
CREATE TABLE people (
  id bigint unsigned AUTO_INCREMENT PRIMARY KEY, name varchar(60), latin varchar(30) CHARACTER SET latin1, born date,
  seen datetime(6) NOT NULL, changed timestamp(3) NULL, score float, ratio double, amount decimal(14,4), ok bit(1),
  flags bit(13), made year, data json, raw varbinary(40), kind enum('new','old','it''s'), marks set('a','b','c'),
  at_time time(3), little tinyint(1), huge bigint unsigned, token uuid, big longtext,
  twice bigint AS (huge DIV 2) STORED);;
CREATE TABLE things (
  code varchar(30) COLLATE utf8mb4_general_ci, n int, v varchar(40), PRIMARY KEY (code, n));;
CREATE TABLE hot (id int PRIMARY KEY, hits bigint NOT NULL, note varchar(40))"""
TARGET = """
CREATE TABLE people (
  id numeric(20) PRIMARY KEY, name text, latin text, born date, seen timestamp, changed timestamptz, score real,
  ratio double precision, amount numeric(14,4), ok boolean, flags int8, made int2, data json, raw bytea, kind text,
  marks text, at_time time, little int2, huge numeric(20), token uuid, big text, twice int8);
CREATE TABLE things (code text COLLATE "C", n int, v text, PRIMARY KEY (code, n));
CREATE TABLE hot (id int PRIMARY KEY, hits int8, note text)"""
ASKED = {
    "people": (
        "id, name, latin, born, seen, changed, CAST(score AS DOUBLE), ratio, amount, ok + 0, flags + 0, made + 0, data,"
        " raw, kind, marks, at_time, little, huge, token, big, twice",
        "id, name, latin, born, seen, changed, score::float8, ratio, amount, ok::int, flags, made, data::text, raw,"
        " kind, marks, at_time::interval, little, huge, token::text, big, twice",
    ),
    "things": ("code, n, v", "code, n, v"),
    "hot": ("id, hits, note", "id, hits, note"),
}
"""Table -> what is compared, at the source and at the target."""
MAPPED = {"people": {"overrides": {"twice": "cast(div(huge, 2) as bigint)"}}}
"""What generates a column, in its place: generated columns are refused."""
ROWS = 2_500
PACE_S = 0.04
"""Between two transactions of a session."""
LETTERS = "aAbBäÄzZ9 _'\\é漢😀"


@pytest.fixture
def source(databases: Databases) -> Iterator[MariadbSite]:
    """A database at MariaDB, removed with everything."""
    site = MariadbSite(databases)
    try:
        yield site
    finally:
        site.close()


class Life:
    """Sessions that change everything at random, in transactions of which some are rolled back."""

    def __init__(self, site: MariadbSite, seed: int, writers: int = 3) -> None:
        self._site = site
        self._stop = threading.Event()
        self.committed = 0
        self.failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._live, args=(seed * 100 + n,)) for n in range(writers)]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Writers, for the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)
        assert not self.failed, self.failed[0]

    def _live(self, seed: int) -> None:
        dice, connection = random.Random(seed), self._site.connect()
        cursor = connection.cursor()
        cursor.execute("SET innodb_lock_wait_timeout = 5")
        try:
            while not self._stop.wait(PACE_S):
                try:
                    for _ in range(dice.choice((1, 1, 2, 5))):
                        dice.choice(CHANGES)(cursor, dice)
                    connection.rollback() if dice.random() < 0.1 else connection.commit()
                    self.committed += 1
                except pymysql.err.Error as error:
                    if error.args[0] not in (1062, 1205, 1213, 1020):
                        raise
                    connection.rollback()
        except BaseException as error:
            self.failed.append(error)
        finally:
            connection.close()


def word(dice: random.Random, most: int = 12) -> str:
    return "".join(dice.choice(LETTERS) for _ in range(dice.randint(0, most)))


def person(dice: random.Random) -> list[Any]:
    """A row of people, from `name` to `big`; about one value in eight is NULL."""
    fraction = f"{dice.randrange(10**6):06d}"
    day = f"{dice.randint(1, 28):02d}"
    values: list[Any] = [
        word(dice),
        "".join(dice.choice("aü€é\x81 Z") for _ in range(dice.randint(0, 6))),
        f"{dice.choice((1000, 1970, 2024, 9999))}-01-{day}",
        f"{dice.choice((1000, 1970, 2024, 9999))}-02-{day} 23:59:59.{fraction}",
        f"{dice.choice((1971, 2037))}-03-{day} 01:02:03.{fraction[:3]}",
        dice.choice((0.1, -1.5e-30, 3.4e38, 16777217, dice.random())),
        dice.choice((0.1, 1e300, -5e-324, dice.random())),
        f"{dice.randint(-(10**9), 10**9)}.{dice.randint(0, 9999):04d}",
        dice.randint(0, 1),
        dice.randrange(1 << 13),
        dice.choice((0, 1901, 2024, 2155)),
        f'{{"a":  {dice.random()}, "b": "{dice.randint(0, 9)}"}}',
        dice.randbytes(dice.randint(0, 40)),
        dice.choice(("new", "old", "it's")),
        dice.choice(("", "a", "a,c")),
        f"{dice.randint(0, 23):02d}:59:00.{fraction[:3]}",
        dice.randint(-128, 127),
        dice.getrandbits(64),
        f"{dice.getrandbits(32):08x}-0000-4000-8000-{dice.getrandbits(40) << dice.choice((0, 8)):012x}",
        word(dice, 12) * dice.choice((1, 1, 1, 500)),
    ]
    return [None if dice.random() < 0.12 and place != 3 else value for place, value in enumerate(values)]


_COLUMNS = (
    "name, latin, born, seen, changed, score, ratio, amount, ok, flags, made, data, raw, kind, marks, at_time, little,"
    " huge, token, big"
)


def insert_people(cursor: Any, dice: random.Random) -> None:
    marks = f"({', '.join(['%s'] * 20)})"
    rows = [person(dice) for _ in range(dice.choice((1, 1, 3, 40)))]
    values = [value for row in rows for value in row]
    cursor.execute(f"INSERT INTO people ({_COLUMNS}) VALUES {', '.join([marks] * len(rows))}", values)


def update_people(cursor: Any, dice: random.Random) -> None:
    sets = ", ".join(f"{name.strip()} = %s" for name in _COLUMNS.split(","))
    cursor.execute(f"UPDATE people SET {sets} WHERE id = %s", [*person(dice), dice.randint(1, ROWS + 500)])


def renumber_people(cursor: Any, dice: random.Random) -> None:
    cursor.execute(
        "UPDATE people SET id = id + %s WHERE id = %s", (dice.choice((1 << 40, 1 << 63)), dice.randint(1, ROWS))
    )


def delete_people(cursor: Any, dice: random.Random) -> None:
    cursor.execute("DELETE FROM people WHERE id BETWEEN %s AND %s + 3", [dice.randint(1, ROWS)] * 2)


def things(cursor: Any, dice: random.Random) -> None:
    code, n = f"{dice.choice('aAbBäz')}{dice.randint(0, 400)}", dice.randint(0, 3)
    cursor.execute("REPLACE INTO things VALUES (%s, %s, %s)", (code, n, word(dice)))


def rekey_things(cursor: Any, dice: random.Random) -> None:
    """A key that changes its case only is another key at the target, and the same one here."""
    code = f"{dice.choice('abz')}{dice.randint(0, 400)}"
    cursor.execute(
        "UPDATE things SET code = %s WHERE code = %s AND n = %s", (code.swapcase(), code, dice.randint(0, 3))
    )


def drop_things(cursor: Any, dice: random.Random) -> None:
    cursor.execute("DELETE FROM things WHERE code = %s", (f"b{dice.randint(0, 400)}",))


def heat(cursor: Any, dice: random.Random) -> None:
    change = "INSERT INTO hot VALUES (%s, 1, %s) ON DUPLICATE KEY UPDATE hits = hits + 1, note = values(note)"
    cursor.execute(change, (dice.randint(1, 12), word(dice)))


def cool(cursor: Any, dice: random.Random) -> None:
    cursor.execute("DELETE FROM hot WHERE id = %s", (dice.randint(1, 12),))


CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    insert_people, update_people, update_people, renumber_people, delete_people, things, things, rekey_things,
    drop_things, heat, heat, cool,
)  # fmt: skip


def fill(site: MariadbSite, dice: random.Random) -> None:
    site.run(SOURCE)
    connection = site.connect()
    cursor = connection.cursor()
    insert_people(cursor, dice)
    while int(cursor.lastrowid) < ROWS:
        insert_people(cursor, dice)
    for _ in range(1_500):
        things(cursor, dice)
    connection.commit()
    connection.close()


def assert_equal(site: MariadbSite, target_url: str) -> dict[str, int]:
    """Every row of every table is on both sides, each once. Returns how many there are."""
    counts = {}
    reader = site.connect()
    with open_url(target_url) as target:
        reader.cursor().execute("SET time_zone = '+00:00'")
        for table, (mine, theirs) in ASKED.items():
            cursor = reader.cursor()
            cursor.execute(f"SELECT {mine} FROM {table}")
            expected = Counter(tuple(map(plain, row)) for row in cursor.fetchall())
            actual = Counter(tuple(map(plain, row)) for row in target.execute(f"SELECT {theirs} FROM {table}".encode()))
            missing, extra = expected - actual, actual - expected
            assert not missing | extra, f"{table}: missing {list(missing)[:2]}, extra {list(extra)[:2]}"
            counts[table] = sum(expected.values())
    reader.close()
    return counts


def plain(value: Any) -> Any:
    """Moments without a zone, bytes as bytes, numbers as the numbers they are."""
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    zone = getattr(value, "tzinfo", None)
    return value.astimezone(UTC).replace(tzinfo=None) if zone is not None else value


def _a_table_joins(source: MariadbSite, pipeline: Pipeline) -> None:
    """Its definition is not in what the connector read when it was made."""
    source.run("CREATE TABLE late (id int PRIMARY KEY, v text);; INSERT INTO late VALUES (1, 'before')")
    url = pipeline.databases.target_url
    with open_url(url) as target:
        target.execute("CREATE TABLE late (id int PRIMARY KEY, v text)")
        document = yaml.safe_load(pipeline.config.read_text())
        document["tables"].append({"from": "late"})
        pipeline.config.write_text(yaml.safe_dump(document))
        pipeline.command("connector", "apply")
        with pipeline.run() as daemon:
            source.run("INSERT INTO late VALUES (2, 'after')")
            pipeline.wait_lag_zero(daemon)
        assert target.execute("SELECT id, v FROM late ORDER BY id").fetchall() == [(1, "before"), (2, "after")]


def _an_altered_table_stops(source: MariadbSite, pipeline: Pipeline) -> None:
    """Until somebody has said what becomes of the rows; then it goes on from where it stopped."""
    daemon = pipeline.start()
    try:
        pipeline.wait_lag_zero(daemon)
        source.run("ALTER TABLE late MODIFY v varchar(20);; INSERT INTO late VALUES (3, 'altered')")
        until(lambda: not daemon.running, 60, "the daemon to stop")
        assert "column v was text" in daemon.output(), daemon.output()
    finally:
        daemon.end()
    accept = ("run", "--accept-mapping", "public.late")
    with pipeline.run(*accept) as daemon:
        pipeline.wait_lag_zero(daemon)
        with open_url(pipeline.databases.target_url) as target:
            assert target.execute("SELECT id, v FROM late WHERE id = 3").fetchall() == [(3, "altered")]


def test_everything_arrives_through_kills_while_writing_goes_on(
    databases: Databases, source: MariadbSite, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    fill(source, dice)
    with psycopg.connect(databases.target_url, autocommit=True) as connection:
        connection.execute(TARGET)
    settings = Settings(
        tables=[{"from": name, **MAPPED.get(name, {})} for name in ASKED],
        chunk_rows=300,
        sections={"source": {"kind": "mariadb"}},
    )
    pipeline = Pipeline(databases, tmp_path, settings)
    pipeline.extra_env["SOURCE_URL"] = source.url
    pipeline.command("connector", "apply")
    life = Life(source, seed)
    with life.going_on():
        with pipeline.run() as daemon:
            until(lambda: len(pipeline.chunks_done()) >= 2, 60, "two chunks to be done")
            source.run("FLUSH BINARY LOGS")
            daemon.kill()
        with pipeline.run() as daemon:
            pipeline.until(daemon, lambda: pipeline.status().chunks_left == 0, 90, "the end of the backfill")
            databases.stack.kill("connect")
            source.run("FLUSH BINARY LOGS")
            databases.stack.start("connect")
            applied = pipeline.events("applied")
            pipeline.until(daemon, lambda: pipeline.events("applied") > applied + 200, 90, "events after the restart")
            daemon.kill()
        with pipeline.run() as daemon:
            pipeline.wait_lag_zero(daemon)
    with pipeline.run() as daemon:
        pipeline.wait_lag_zero(daemon)
        counts = assert_equal(source, databases.target_url)
        status = pipeline.status()
        assert status.balanced
        assert status.chunks_left == 0
        assert not status.raw["dead_letters_open"]
        assert status.raw["log"]["active"]
        said = pipeline.command("verify", daemon=daemon)
        assert "verification: equal" in said, said
    assert life.committed > 200
    assert counts["people"] > ROWS
    _a_table_joins(source, pipeline)
    _an_altered_table_stops(source, pipeline)
    pipeline.command("connector", "delete", "--topics")
    left = source.run("SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'changeover'")
    assert left[0][0] in (0, 1)
