"""Writes tests/unit/data/avro.json anew: the same transactions as Debezium writes them in Avro and in JSON.

    python -m tests.support.capture_avro DIRECTORY_OF_A_STACK

Two connectors read one database, so that the events differ in nothing but their form.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.stack import Stack

OUT = Path(__file__).parents[1] / "unit" / "data" / "avro.json"
ODD = ["Id x", 'quo"te', "UPPER", "a.b", "1st", "Ā0", "été", "日本", "😀", "_u0041", "a_b", "back\\slash", "class"]
"""Debezium escapes one of them with three digits, followed by a fourth of its own."""
TABLES = {
    "types": """id bigint PRIMARY KEY, i2 smallint, i4 integer, b boolean, f4 real, f8 double precision, n numeric,
        n2 numeric(10,2), t text, v varchar(20), c char(6), u uuid, j json, jb jsonb, by bytea, d date, ti time,
        ti0 time(0), ts timestamp, ts3 timestamp(3), tz timestamptz, e mood, ia integer[], i8a bigint[], ta text[],
        ua uuid[], jba jsonb[], inet inet, mac macaddr, rn numrange, x xml, chr "char" """,
    "toast": """id integer PRIMARY KEY, small text, t text, j jsonb, by bytea, n numeric, ia integer[], ta text[],
        ua uuid[]""",
    "whole": "id integer PRIMARY KEY, note text, big text, fa real[], f8a double precision[], na numeric[], by bytea",
    "defaults": """id integer PRIMARY KEY, t text DEFAULT 'new', n integer DEFAULT 7, f real DEFAULT 1.1,
        b boolean DEFAULT true, by bytea DEFAULT '\\xff00', must text NOT NULL DEFAULT 'x',
        at timestamp DEFAULT now()""",
    "keyed": "a integer, b uuid, c text, note text, PRIMARY KEY (b, a, c)",
    "odd": ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" text' for name in ODD) + ', PRIMARY KEY ("Id x", "a_b")',
}
_VALUES = """-32768, 2147483647, true, 1.1, 0.1, 12345678901234567890.123456789, 3.50,
    E'quote " back \\\\ nl \\n é 日本 😀', 'abc', 'ab', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1,  "a": 1.50}',
    '{"b": 1}', '\\x00ff10', '2024-02-29', '23:59:59.123456', '12:00:00', '2024-01-02 03:04:05.123456',
    '2024-01-02 03:04:05.123', '2024-01-02 03:04:05.1+02', 'happy', '{1,null,3}', '{9223372036854775807}',
    '{a,null,"NULL","q\\"x,{}"}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{"{\\"a\\": 1}"}', '10.0.0.1/24',
    '08:00:2b:01:02:03', '[1.5,2)', NULL, 'x'"""
_EDGES = """32767, 0, false, 'NaN', '-Infinity', 'NaN', 0, '', '', '', NULL, 'null', 'null', '', 'infinity', '24:00',
    '0:00', 'infinity', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC', 'sad', '{}', NULL, '{}', NULL, NULL,
    '::1', NULL, 'empty', NULL, NULL"""
BIG = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) i)"
WORK = [
    f"INSERT INTO types VALUES (1, {_VALUES}), (2, {_EDGES})",
    "INSERT INTO types (id) VALUES (3)",
    "UPDATE types SET f4 = f4 * 3, tz = 'infinity', n = 'Infinity', ts3 = '-infinity' WHERE id < 3",
    "UPDATE types SET id = 4 WHERE id = 3",
    "DELETE FROM types WHERE id = 1",
    f"""INSERT INTO toast SELECT 1, 'small', {BIG}, to_jsonb({BIG}), {BIG}::bytea, (SELECT string_agg('123456789', '')
        FROM generate_series(1, 900))::numeric, array_agg(i), array_agg(md5(i::text)), array_agg(md5(i::text)::uuid)
        FROM generate_series(1, 1500) i""",
    "UPDATE toast SET small = 'changed' WHERE id = 1",
    "UPDATE toast SET id = 2, t = 'short' WHERE id = 1",
    "DELETE FROM toast WHERE id = 2",
    f"INSERT INTO whole VALUES (1, 'a', {BIG}, '{{1.1,null,3e38}}', '{{0.1,NaN}}', '{{1.50,NULL}}', {BIG}::bytea)",
    "UPDATE whole SET note = 'b' WHERE id = 1",
    "DELETE FROM whole WHERE id = 1",
    "INSERT INTO defaults (id) VALUES (1)",
    "INSERT INTO defaults VALUES (2, NULL, NULL, NULL, NULL, NULL, 'y', NULL), (3, 'a', 1, 2.5, false, '', 'z', now())",
    "INSERT INTO keyed VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'k', 'n')",
    "UPDATE keyed SET c = 'l' WHERE a = 1",
    "TRUNCATE keyed",
    "INSERT INTO odd VALUES (" + ", ".join(f"'value {number}'" for number in range(len(ODD))) + ")",
    "UPDATE odd SET \"😀\" = 'moved', a_b = 'key' WHERE \"Id x\" = 'value 0'",
    "DELETE FROM odd WHERE a_b = 'key'",
    r"SELECT pg_logical_emit_message(true, 'changeover', '\x00ff'::bytea)",
]
_COLUMNS = """SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull FROM pg_attribute a
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 ORDER BY a.attnum"""


def main(directory: Path) -> None:
    """Make the tables, let both connectors follow what is done to them, and write it all down."""
    stack = Stack.running(directory)
    names = {form: f"capture_{form}_{os.getpid()}" for form in ("avro", "json")}  # Connect remembers old offsets
    owner, other = (Databases(stack, name) for name in names.values())
    try:
        with open_url(owner.source_url) as source, tempfile.TemporaryDirectory() as place:
            prepare(source)
            other.source_url = owner.source_url
            for (form, name), databases in zip(names.items(), (owner, other), strict=True):
                apply(databases, Path(place) / name, form)
            for statement in WORK:
                source.execute(statement.encode())
            found = {form: collect(stack, name) for form, name in names.items()}
            tables = {name: about(source, name) for name in TABLES}
        schemas = fetch(stack, found["avro"])
        OUT.write_text(json.dumps({"tables": tables, "schemas": schemas, **found}, indent=1, ensure_ascii=False) + "\n")
    finally:
        other.drop()
        owner.drop()


def prepare(source: psycopg.Connection) -> None:
    """The tables, empty."""
    source.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    for name, columns in TABLES.items():
        source.execute(f"CREATE TABLE {name} ({columns})".encode())
    source.execute("ALTER TABLE whole REPLICA IDENTITY FULL")
    for name in ("toast", "whole"):
        for column, kind, _ in source.execute(_COLUMNS.encode(), (name,)).fetchall():
            if kind not in ("integer",) and kind != "numeric":
                source.execute(f'ALTER TABLE {name} ALTER "{column}" SET STORAGE EXTERNAL'.encode())


def apply(databases: Databases, directory: Path, form: str) -> None:
    """Make the connector that writes in one form."""
    directory.mkdir()
    key = {"odd": {"Id x": '"Id x"', "a_b": "a_b"}, "keyed": {"b": "b", "a": "a", "c": "c"}}
    with open_url(databases.target_url) as target:
        target.execute("CREATE SCHEMA app")
    tables = [{"from": f"public.{name}", "to": f"app.{name}", "key": key.get(name, {"id": "id"})} for name in TABLES]
    settings = Settings(tables=tables, partitions=1, format=form)
    Pipeline(databases, directory, settings).command("connector", "apply")


def collect(stack: Stack, prefix: str) -> dict[str, list[str | None]]:
    """Topic without its prefix -> the values, as base64; once the logical message is there, all before it is."""
    names = [*(f"public.{name}" for name in TABLES), "message"]
    until(lambda: read(stack, f"{prefix}.message"), 60, f"the end of {prefix}")
    return {name: read(stack, f"{prefix}.{name}") for name in names}


def read(stack: Stack, topic: str) -> list[str | None]:
    """The values of a topic."""
    settings = {"bootstrap.servers": stack.kafka, "group.id": "capture", "isolation.level": "read_committed"}
    consumer = Consumer({**settings, "enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[str | None] = []
    try:
        while True:
            message = consumer.poll(30)
            assert message is not None, topic
            if (error := message.error()) is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                return found
            value = message.value()
            found.append(None if value is None else base64.b64encode(value).decode())
    finally:
        consumer.close()


def about(source: psycopg.Connection, name: str) -> dict[str, Any]:
    """A table as the decoder needs it."""
    key = source.execute(
        "SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(n, o)"
        " JOIN pg_attribute a ON a.attnum = k.n AND a.attrelid = i.indrelid"
        " WHERE i.indisprimary AND i.indrelid = %s::regclass ORDER BY k.o",
        (name,),
    )
    found = [row[0] for row in key]
    columns = source.execute(_COLUMNS.encode(), (name,)).fetchall()
    identity = source.execute("SELECT relreplident FROM pg_class WHERE oid = %s::regclass", (name,)).fetchone()
    assert identity is not None
    kind = identity[0].decode() if isinstance(identity[0], bytes) else identity[0]
    return {"key": found, "identity": kind, "columns": [list(column) for column in columns]}


def fetch(stack: Stack, topics: dict[str, list[str | None]]) -> dict[str, str]:
    """Id -> schema, of every id in the values."""
    values = [base64.b64decode(value) for found in topics.values() for value in found if value]
    numbers = sorted({int.from_bytes(value[1:5], "big") for value in values})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    made = {}
    for number in numbers:
        with direct.open(f"{stack.registry_url}/schemas/ids/{number}") as answer:
            made[str(number)] = json.load(answer)["schema"]
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
