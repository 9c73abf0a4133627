"""The decoder against events that Debezium 3.7 wrote, with and without schemas (tests/unit/data)."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from connectors.change import Change
from connectors.kafka.decode import TableDecoder, decode_heartbeat, decode_message
from connectors.postgresql.wire import wire_columns
from connectors.wire import INFINITY_US
from mappers.errors import ConfigError
from mappers.mapping import Column, Table

DATA = Path(__file__).parent / "data"
TABLES: dict[str, Any] = json.loads((DATA / "debezium_tables.json").read_text())
EVENTS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "debezium_events.jsonl").read_text().splitlines()]
KEYS = {"ev.nokey": ("a",)}
REFUSED = {"da", "hs", "tv"}
"""Columns of ev.toast that cannot be followed."""
BASES = {"ev.mood": ("sad", "happy")}


def table(name: str, identity: str = "d") -> Table:
    made = TABLES[name]
    columns = tuple(
        Column(column, kind, nullable=column not in made["key"], labels=BASES.get(kind, ()), generated=column == "gen")
        for column, kind in made["columns"].items()
    )
    return Table(made["schema"], made["name"], columns, tuple(made["key"]), replica_identity=identity)


def decoder(prefix: str, name: str, wanted: Collection[str] | None = None) -> TableDecoder:
    source = table(name, "f" if name in ("ev.full_identity", "ev.nokey") else "d")
    chosen = set(wanted) if wanted is not None else followed(source)
    return TableDecoder(f"{prefix}.{name}", source, wire_columns(source, chosen), KEYS.get(name, source.key))


def followed(source: Table) -> set[str]:
    """The columns that wire_columns does not refuse."""
    try:
        wire_columns(source, {column.name for column in source.columns})
        refused: set[str | int] = set()
    except ConfigError as error:
        refused = {problem.path[-1] for problem in error.problems}
    return {column.name for column in source.columns} - refused


def values(topic: str) -> list[tuple[int, bytes]]:
    return [(event["offset"], event["value"].encode()) for event in EVENTS if event["topic"] == topic]


def changes(prefix: str, name: str, wanted: Collection[str] | None = None) -> list[Change]:
    topic = f"{prefix}.{name.replace('Tab-le é 1', 'Tab-le___1')}"
    made = decoder(prefix, name, wanted)
    return [made.decode(value, offset) for offset, value in values(topic)]


@pytest.mark.parametrize("name", TABLES)
def test_schemas_make_no_difference(name: str) -> None:
    plain, schemas = changes("plain", name), changes("withschema", name)
    assert len(plain) == len(schemas) > 0
    for one, other in zip(plain, schemas, strict=True):
        assert (one.op, one.key, str(one.row), one.missing) == (other.op, other.key, str(other.row), other.missing)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("prefix", ["plain", "withschema"])
def test_both_ways_agree(prefix: str, name: str) -> None:
    topic = f"{prefix}.{name.replace('Tab-le é 1', 'Tab-le___1')}"
    fast, careful = decoder(prefix, name), decoder(prefix, name)
    for offset, value in values(topic):
        assert str(fast.decode(value, offset)) == str(careful._slow(value, offset))


@pytest.mark.parametrize("prefix", ["plain", "withschema"])
def test_values_of_every_type(prefix: str) -> None:
    made = decoder(prefix, "ev.types")
    first = changes(prefix, "ev.types")[0]
    assert first.op == "c"
    assert first.key == (1,)
    assert first.row is not None
    assert first.missing == frozenset()
    row = dict(zip((column.name for column in made.columns), first.row, strict=True))
    assert str(row.pop("f8nan")) == "nan"
    assert {name: row[name] for name in EXPECTED} == EXPECTED


EXPECTED = {
    "i8": 9223372036854775807,
    "b": True,
    "f4": 1.1,
    "f8inf": float("-inf"),
    "n": "12345678901234567890.123456789",
    "nnan": "NaN",
    "ninf": "Infinity",
    "t": 'quote " back \\ nl \n é 日本 😀',
    "c": "ab    ",
    "by": b"\x00\xff\x10",
    "d": 19782,
    "dinf": INFINITY_US,
    "dbc": -735160,
    "ti24": 86_400_000_000,
    "ts0": 1704164645000000,
    "ts6": 1704164645123456,
    "tsinf": INFINITY_US,
    "tsninf": -INFINITY_US,
    "tsbc": -63517780800000000,
    "tstz3": "2024-01-02T01:04:05.100Z",
    "tstzinf": "infinity",
    "tstzninf": "-infinity",
    "tstzbc": "0044-03-15 12:00:00.000000+00 BC",
    "tstz10k": "12024-01-01 01:02:03.000000+00",
    "e": "happy",
    "dom": "dom",
    "ia": [1, None, 3],
    "ta": ["a", None, "NULL", 'q"x,{}'],
    "ua": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "empty": [],
    "rn": "[1.5,2)",
    "lt": "a.b",
    "chr": "x",
}


@pytest.mark.parametrize("prefix", ["plain", "withschema"])
def test_unchanged_toast(prefix: str) -> None:
    made = decoder(prefix, "ev.toast")
    assert {column.name for column in made.columns} == set(TABLES["ev.toast"]["columns"]) - REFUSED
    create, update, delete, recreate, last = changes(prefix, "ev.toast")
    everything = frozenset(range(len(made.columns)))
    assert create.missing == frozenset()
    assert update.row is not None
    assert update.row[:2] == (1, "changed")
    assert update.missing == recreate.missing == everything - {0, 1}
    assert all(update.row[i] is None for i in update.missing)
    assert [(c.op, c.key) for c in (update, delete, recreate, last)] == [
        ("u", (1,)),
        ("d", (1,)),
        ("c", (2,)),
        ("d", (2,)),
    ]


def test_only_what_is_wanted_is_decoded() -> None:
    update = changes("plain", "ev.toast", {"id", "small", "rn"})[1]
    assert (update.row, update.missing) == ((1, "changed", None), frozenset({2}))


def test_positions_and_times() -> None:
    create, update, *_ = changes("plain", "ev.toast")
    assert (create.xid, create.sequence, create.commit_us) == (1082, (37535536, 37634592), 1795261946630352)
    assert (update.offset, update.sequence) == (1, (37635232, 37635288))


def test_composite_key_in_key_order_and_truncate() -> None:
    made = changes("plain", "ev.keyed")
    key = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 1, "k", "2024-01-02T03:04:05.500000Z", "1.50")
    assert [change.key for change in made[:3]] == [key, key, key]
    assert [change.op for change in made] == ["c", "u", "d", "c", "c", "u", "t"]
    assert (made[-1].key, made[-1].row) == ((), None)


@pytest.mark.parametrize("prefix", ["plain", "withschema"])
def test_logical_messages(prefix: str) -> None:
    first, second = (decode_message(value, offset) for offset, value in values(f"{prefix}.message"))
    assert (first.op, first.message, first.xid) == ("m", ("changeover", b"token-1"), 1101)
    assert (second.message, second.xid) == (("changeover", b"\x00\xff"), None)


@pytest.mark.parametrize("prefix", ["plain", "withschema"])
def test_heartbeats(prefix: str) -> None:
    ((offset, value),) = values(f"__debezium-heartbeat.{prefix}")
    change = decode_heartbeat(value, offset)
    assert (change.op, change.row, change.commit_us % 1000) == ("", None, 0)
    assert change.commit_us > 1795261940000000
