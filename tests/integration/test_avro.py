"""The whole pipeline with its events in Avro through the schema registry: every kind of value, event and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from connectors.kafka.log import LogReader
from tests.support.capture_avro import BIG, TABLES, WORK, prepare
from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.stack import Stack

BEFORE = [
    "INSERT INTO types (id, i2, t, e, f4) SELECT i, i, 'loaded ' || i, 'sad', i / 7.0 FROM generate_series(100, 400) i",
    f"INSERT INTO toast (id, small, t, by, ta) SELECT i, 'loaded', {BIG}, {BIG}::bytea, ARRAY[{BIG}, NULL]"
    " FROM generate_series(100, 130) i",
    f"INSERT INTO whole (id, note, big, f8a) SELECT i, 'loaded', {BIG}, '{{1.5,NaN}}' FROM generate_series(100, 130) i",
    "INSERT INTO defaults SELECT i, NULL, NULL, NULL, NULL, NULL, 'x', NULL FROM generate_series(100, 130) i",
    'INSERT INTO odd ("Id x", a_b, "😀") SELECT \'loaded \' || i, i, i FROM generate_series(100, 130) i',
]
LIVE = [
    "UPDATE types SET t = 'seen ' || id, f4 = f4 * 1.1, d = '-infinity' WHERE id % 3 = 0",
    "DELETE FROM types WHERE id % 7 = 0",
    "UPDATE types SET id = id + 10000 WHERE id % 5 = 1",
    "UPDATE toast SET small = 'again'",
    "UPDATE toast SET id = id + 1000, small = 'moved' WHERE id % 4 = 0",
    "DELETE FROM toast WHERE id % 4 = 1",
    "INSERT INTO toast (id, small, t) VALUES (105, 'back', 'short')",
    "UPDATE whole SET note = 'again'",
    "UPDATE whole SET id = id + 1000 WHERE id % 2 = 0",
    "UPDATE defaults SET must = 'touched' WHERE id < 110",
    "UPDATE defaults SET t = DEFAULT, n = DEFAULT WHERE id = 111",
    "UPDATE defaults SET n = 8, t = NULL, at = NULL WHERE id = 112",
    "INSERT INTO defaults (id) VALUES (200)",
    "INSERT INTO keyed SELECT i, md5(i::text)::uuid, 'k', NULL FROM generate_series(1, 20) i",
    "UPDATE keyed SET a = a + 100 WHERE a % 2 = 0",
    "UPDATE odd SET \"été\" = 'x', \"Ā0\" = 'y' WHERE a_b > '110'",
    "UPDATE odd SET \"Id x\" = 'moved' || a_b WHERE a_b < '105'",
    "DELETE FROM odd WHERE a_b = '101'",
]
KEYS = {"odd": ["Id x", "a_b"], "keyed": ["b", "a", "c"]}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def mapping(name: str) -> dict[str, Any]:
    return {"from": f"public.{name}", "to": f"app.{name}", "key": {c: quoted(c) for c in KEYS.get(name, ["id"])}}


def question(source: psycopg.Connection, name: str) -> Question:
    """Every column as text, on both sides by the server itself."""
    found = source.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", (name,)
    )
    columns = ", ".join(f"{quoted(row[0])}::text" for row in found)
    return Question(f"app.{name}", f"SELECT {columns} FROM public.{name}", f"SELECT {columns} FROM app.{name}")


@contextmanager
def avro(
    databases: Databases, pipeline: Callable[[Settings], Pipeline]
) -> Iterator[tuple[Pipeline, psycopg.Connection]]:
    """A pipeline over tables that are there, and its source."""
    with open_url(databases.source_url) as source, open_url(databases.target_url) as target:
        prepare(source)
        target.execute("CREATE SCHEMA app")
        target.execute("CREATE TYPE public.mood AS ENUM ('sad', 'happy')")
        for name, columns in TABLES.items():
            target.execute(f"CREATE TABLE app.{name} ({columns})".encode())
        for statement in BEFORE:
            source.execute(statement.encode())
        settings = Settings(tables=[mapping(name) for name in TABLES], chunk_rows=50, format="avro")
        made = pipeline(settings)
        made.command("connector", "apply")
        yield made, source


def test_everything_in_avro(databases: Databases, pipeline: Callable[[Settings], Pipeline], stack: Stack) -> None:
    with avro(databases, pipeline) as (made, source):
        questions = [question(source, name) for name in TABLES]
        with made.run() as daemon:
            for statement in WORK:
                source.execute(statement.encode())
            assert made.verify(questions, daemon) > 300
            for statement in LIVE:
                source.execute(statement.encode())
            made.verify(questions, daemon)
            assert made.status().ledger["applied"] > 300
            new_schema(source)
            made.verify(questions, daemon)
        source.execute("UPDATE types SET t = 'while nobody looked' WHERE id % 2 = 0")
        stack.kill("registry")
        with made.run() as daemon:
            made.until(daemon, lambda: "registry" in daemon.output(50), 60, "the registry is missed")
            assert made.call("plan", "--batch").code != 0
            stack.start("registry")
            made.verify(questions, daemon)
            assert "while nobody looked" in made.command("explain", "types", "102")
            assert first_bytes(stack, f"{databases.name}.public.types") == {b"\0"}
            made.config.write_text(made.config.read_text().replace("format: avro", "format: json"))
            made.command("connector", "apply", daemon=daemon)

            def in_json() -> bool:
                source.execute("UPDATE types SET t = 'in JSON from here on' WHERE id % 2 = 0")
                return first_bytes(stack, f"{databases.name}.public.types") == {b"\0", b"{"}

            made.until(daemon, in_json, 60, "the connector writes JSON")
            made.verify(questions, daemon)


def new_schema(source: psycopg.Connection) -> None:
    """A column's default changes, and with it the schema: no catalogue that was read says anything of it."""
    source.execute("ALTER TABLE defaults ALTER n SET DEFAULT 9, ALTER f DROP DEFAULT")
    source.execute("INSERT INTO defaults (id, n) VALUES (300, NULL), (301, 9), (302, 7)")


def first_bytes(stack: Stack, topic: str) -> set[bytes]:
    """What the values of a topic begin with."""
    reader = LogReader({"bootstrap.servers": stack.kafka, "group.id": "look", "enable.partition.eof": True})
    try:
        ranges = {(topic, partition): reader.bounds((topic, partition)) for partition in range(2)}
        return {message.value[:1] for message in reader.read(ranges) if message.value is not None}
    finally:
        reader.close()
