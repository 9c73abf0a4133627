"""What every source must do, on real servers and through real connectors: PostgreSQL and MariaDB."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.chunks import EVERYTHING, Range
from connectors.keys import finder
from connectors.seams import TextRow
from connectors.snapshot import Snapshot, widen
from mappers.errors import FatalError, RecordError, TransientError
from tests.support.polling import until
from tests.support.source_sites import SITES, Streamed, streamed
from tests.support.stack import Stack

NOPAD = "collate utf8mb4_nopad_bin"
LATE = ["1970-01-02 00:00:00", "2024-01-01 12:00:00.25", "2037-12-31 23:59:59"]
KEYS: dict[str, tuple[str, str, Sequence[Any]]] = {
    "k_int": ("integer", "int", [-5, 0, 1, 2, 3, 10, 11, 99, 100, 2147483647]),
    "k_big": ("numeric(20)", "bigint unsigned", [0, 7, 42, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
    "k_num": ("numeric(12,3)", "decimal(12,3)", ["-7.5", "0", "0.125", "1", "10.01", "99999.999", "12"]),
    "k_text": ("text", "varchar(50)", ["a", "B", "Ab", "ä2", "Z", "zz", "", "e", "F", "aa'b", "a\\b", "ß", "漢"]),
    "k_code": ('text collate "C"', f"varchar(50) {NOPAD}", ["a", "A", "a ", "b", "B", "ä", "😀", "～"]),
    "k_bytes": ("bytea", "varbinary(50)", [b"", b"\0", b"\0a", b"a", b"a\0", b"\xff", b"\\"]),
    "k_date": ("date", "date", ["1000-01-01", "1969-12-31", "2024-02-29", "9999-12-31", "1582-10-10"]),
    "k_moment": (
        "timestamp",
        "datetime(6)",
        ["1000-01-01 00:00:00", "2024-02-29 23:59:59.999999", "2024-03-01 00:00:00.5", "1970-01-01 00:00:01"],
    ),
    "k_zoned": ("timestamptz(6)", "timestamp(6)", LATE),
}  # fmt: skip
"""Table -> the type of its key at PostgreSQL and at MariaDB, and the keys."""
PAIRS = [("a", 1), ("a", 2), ("B", 1), ("ä2", 5), ("Z", -3), ("b2", 0), ("c", 9)]
TYPES = (
    ("i", "integer", "int", ["1", "-2147483648", None]),
    ("n", "numeric(20,5)", "decimal(20,5)", ["1.50000", "-0.00001", None]),
    ("t", "text", "longtext", ["plain", "quo'te \\ back\nline ü😀", None]),
    ("b", "bytea", "blob", ["\\x00ff5c", "\\x", None]),
    ("d", "date", "date", ["2024-02-29", "1000-01-01", None]),
    ("ts", "timestamp", "datetime(6)", ["2024-02-29 23:59:59.5", "1000-01-01 00:00:00", None]),
    ("tz", "timestamptz", "timestamp(6)", ["2024-02-29 23:59:59.123456+00", "2037-01-01 00:00:00+00", None]),
    ("f", "real", "float", ["0.1", "16777216", None]),
    ("g", "double precision", "double", ["0.1", "1e+300", None]),
    ("ok", "boolean", "bit(1)", ["true", "false", None]),
    ("c", "time", "time(6)", ["23:59:59.000001", "00:00:00", None]),
    ("j", "json", "json", ['{"b": 1,  "a": 12345678901234567890.10}', "[]", None]),
)
"""(column, its type at PostgreSQL, at MariaDB, its values in text form)."""
LOCK_S = 1


def _ddl(place: int) -> list[str]:
    tables = [f"create table {name} (k {kinds[place]} primary key, v integer)" for name, kinds in KEYS.items()]
    columns = ", ".join(f"{column[0]} {column[1 + place]}{' null' if place else ''}" for column in TYPES)
    text = ("text", "varchar(50)")[place]
    return [
        *tables,
        f"create table k_pair (a {text}, b integer, v integer, primary key (a, b))",
        f"create table shape (id integer primary key, {columns})",
        "create table flow (id bigint primary key, w integer, v integer)",
        "create table more (id bigint primary key, w integer, v integer)",
    ]


SOURCES = {"postgresql": ";\n".join(_ddl(0)), "mariadb": ";;\n".join(_ddl(1))}
TARGET = ";\n".join(_ddl(0))


@pytest.fixture(scope="module", params=list(SITES))
def streaming(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Streamed]:
    """A filled source whose changes, all of them, are in Kafka."""
    name = f"s{os.getpid()}_{request.param}"
    directory: Path = tmp_path_factory.mktemp(name)
    with streamed(stack, request.param, name, directory, SOURCES, TARGET) as made:
        _fill(made)
        made.deliver()
        yield made


def _fill(made: Streamed) -> None:
    run = made.site.run
    for table, (_, _, keys) in KEYS.items():
        for number, key in enumerate(keys):
            run(f"INSERT INTO {table} (k, v) VALUES (%s, %s)", (key, number))
    for a, b in PAIRS:
        run("INSERT INTO k_pair (a, b, v) VALUES (%s, %s, 0)", (a, b))
    for number in range(3):
        values = [_entered(made, column, column[3][number]) for column in TYPES]
        run(f"INSERT INTO shape VALUES (%s{', %s' * len(TYPES)})", (number, *values))


def _entered(made: Streamed, column: tuple[Any, ...], text: str | None) -> Any:
    """A value of the text form as the server takes it."""
    if text is None:
        return None
    if column[0] == "b":
        return bytes.fromhex(text[2:])
    if column[0] == "ok":
        return text == "true" if made.site.kind == "postgresql" else int(text == "true")
    return text.removesuffix("+00") if column[0] == "tz" and made.site.kind == "mariadb" else text


def _read(made: Streamed, table: str, part: Range = EVERYTHING, fenced: Sequence[Any] = ()) -> list[TextRow]:
    mapped = made.tables[table]
    source = made.parts.source()
    try:
        with source.reading(mapped.table) as reading:
            return [tuple(row) for batch in reading.texts(mapped, part, fenced, 3) for row in batch]
    finally:
        source.close()


def _keys(made: Streamed, table: str, rows: Sequence[TextRow]) -> list[tuple[str, ...]]:
    """The rows' keys: a number's scale is its column's in a row, and none of the key's."""
    mapped, source = made.tables[table], made.parts.source()
    keys = [tuple(str(row[place]) for place in mapped.key_indices) for row in rows]
    found = source.canonical(mapped.table, mapped.form, keys)
    source.close()
    return found


TABLES = [*KEYS, "k_pair"]


@pytest.mark.parametrize("table", TABLES)
def test_a_key_is_the_same_text_in_an_event_and_in_the_table(streaming: Streamed, table: str) -> None:
    mapped = streaming.tables[table]
    read = _read(streaming, table)
    rows = dict(zip(_keys(streaming, table, read), read, strict=True))
    events = {mapped.form.texts(change.key) for change in streaming.changes(table)[table]}
    assert events == rows.keys()
    source = streaming.parts.source()
    with source.reading(mapped.table) as reading:
        keys = sorted(rows)
        assert reading.rows(mapped.table, mapped.form, mapped.columns, [*keys, *keys]) == {k: rows[k] for k in keys}
        listed = [key for batch in reading.keys(mapped.table, mapped.form, None, 2) for key in batch]
        assert sorted(listed) == keys
        versions = reading.versions(mapped.table, mapped.form, mapped.columns, keys)
        assert {key: row for key, (_, row) in versions.items()} == {k: rows[k] for k in keys}
        assert set(reading.sample(mapped, 4)) <= set(rows.values())
        assert len(reading.sample(mapped, 4)) == min(4, len(rows))
        assert len(reading.sample(mapped, 1000)) == len(rows)
    assert source.canonical(mapped.table, mapped.form, keys) == keys
    assert source.count_up_to(mapped, 3) == 3
    source.close()


@pytest.mark.parametrize("table", TABLES)
def test_chunks_part_the_keys_as_the_source_orders_them(streaming: Streamed, table: str) -> None:
    mapped, source = streaming.tables[table], streaming.parts.source()
    bounds = source.bounds(mapped.table, mapped.form.columns, 2)
    assert len(bounds) >= 1
    edges = [None, *bounds, None]
    parts = [Range(low, high) for low, high in pairwise(edges)]
    read = [(number, row) for number, part in enumerate(parts) for row in _read(streaming, table, part)]
    located = _keys(streaming, table, [row for _, row in read])
    placed = [(number, key) for (number, _), key in zip(read, located, strict=True)]
    assert sorted(located) == sorted(_keys(streaming, table, _read(streaming, table)))
    assert max(sum(number == n for n, _ in placed) for number in range(len(parts))) <= 3
    keys = [key for _, key in placed]
    assert source.locate(mapped.table, mapped.form, bounds, keys) == [number for number, _ in placed]
    find = finder(mapped.form, bounds)
    if find is not None:
        numbers = dict(zip(keys, (number for number, _ in placed), strict=True))
        for change in streaming.changes(table)[table]:
            assert find(change.key) == numbers[mapped.form.texts(change.key)]
    with source.reading(mapped.table) as reading:
        ranges = reading.sample_ranges(mapped, 4)
    taken = _keys(streaming, table, [row for part in ranges for row in _read(streaming, table, part)])
    assert len(taken) == len(set(taken)) >= min(4, len(keys))
    source.close()


def test_fenced_keys_are_left_out_by_their_very_text(streaming: Streamed) -> None:
    everything = set(_keys(streaming, "k_text", _read(streaming, "k_text")))
    fenced = [("a",), ("b",), ("AB",), ("ß",)]
    left = set(_keys(streaming, "k_text", _read(streaming, "k_text", fenced=fenced)))
    assert everything - left == {("a",), ("ß",)}


def test_a_key_that_another_one_counts_as_equal_to_has_no_row(streaming: Streamed) -> None:
    mapped, source = streaming.tables["k_text"], streaming.parts.source()
    snapshot, rows = source.rows_by_key(mapped.table, mapped.form, ("v",), [("A",), ("a",), ("none",), ("ss",)])
    assert rows == {("a",): ("0",)}
    assert snapshot.covers(Snapshot(0, 0))
    source.close()


def test_rows_have_the_neutral_text_form(streaming: Streamed) -> None:
    mapped = streaming.tables["shape"]
    rows = sorted(_read(streaming, "shape"))
    for number, row in enumerate(rows):
        found = dict(zip(mapped.columns, row, strict=True))
        for column, _, _, texts in TYPES:
            text, wanted = found[column], texts[number]
            if column in ("f", "g") and text is not None and wanted is not None:
                assert float(text) == float(wanted), column
            else:
                assert text == wanted, column


def test_canonical_keys(streaming: Streamed) -> None:
    source = streaming.parts.source()
    for table, given, wanted in (
        ("k_int", "042", "42"),
        ("k_big", "018446744073709551615", "18446744073709551615"),
        ("k_bytes", "\\x00FF", "\\x00ff"),
        ("k_moment", "2024-02-29 23:59:59.500000", "2024-02-29 23:59:59.5"),
        ("k_zoned", "2024-01-01 13:00:00+01", "2024-01-01 12:00:00+00"),
    ):
        mapped = streaming.tables[table]
        assert source.canonical(mapped.table, mapped.form, [(given,)]) == [(wanted,)], table
    for table, given in (("k_int", "x"), ("k_int", "2147483648"), ("k_num", "1.2345"), ("k_date", "2024-02-30")):
        mapped = streaming.tables[table]
        with pytest.raises(RecordError, match="not of the key's type"):
            source.canonical(mapped.table, mapped.form, [(given,)])
    source.close()


_NUMBERS = count(1)
"""Of writers: two never write the same row."""


class Writers:
    """Sessions that insert rows of running numbers in transactions over two tables, some of which are rolled back."""

    def __init__(self, made: Streamed, writers: int, seed: int) -> None:
        self._stop = threading.Event()
        self.committed = 0
        numbers = [next(_NUMBERS) for _ in range(writers)]
        self._threads = [threading.Thread(target=self._write, args=(made, n, seed + n)) for n in numbers]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, made: Streamed, number: int, seed: int) -> None:
        dice, connection, at = random.Random(seed), made.site.connect(), number << 32
        cursor = connection.cursor()
        while not self._stop.is_set():
            for _ in range(dice.randint(1, 3)):
                rows = [(at := at + 1, number, dice.randint(0, 9)) for _ in range(dice.randint(1, 4))]
                marks = ", ".join(["(%s, %s, %s)"] * len(rows))
                table = dice.choice(("flow", "more"))
                cursor.execute(f"INSERT INTO {table} VALUES {marks}", [value for row in rows for value in row])
            if dice.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
                self.committed += 1
        connection.close()


def test_an_event_is_visible_in_a_snapshot_exactly_when_its_row_is_in_it(streaming: Streamed, seed: int) -> None:
    mapped, source = streaming.tables["flow"], streaming.parts.source()
    seen: list[tuple[Snapshot, set[str]]] = []
    waited: list[int] = []
    with Writers(streaming, 4, seed) as writers:
        ends = time.monotonic() + 5
        while time.monotonic() < ends:
            with source.reading(mapped.table) as reading:
                rows = reading.texts(mapped, EVERYTHING, (), 10_000)
                seen.append((reading.snapshot, {str(row[0]) for batch in rows for row in batch}))
            waited.append(len(seen))
            if streaming.site.kind == "mariadb" and len(seen) % 20 == 0:
                streaming.site.run("FLUSH BINARY LOGS")
    streaming.deliver()
    events = {change.key[0]: change.xid for change in streaming.changes("flow")["flow"]}
    assert writers.committed > 300
    assert len(seen) > 10
    reference = source.snapshot().xmax
    for snapshot, rows_seen in seen:
        visible = {str(key) for key, xid in events.items() if xid is None or snapshot.sees(widen(xid, reference))}
        assert visible == rows_seen
    ordered = [snapshot for snapshot, _ in seen]
    assert all(later.covers(earlier) for earlier, later in pairwise(ordered))
    source.close()


def test_positions_of_a_partition_never_go_back(streaming: Streamed) -> None:
    streaming.deliver()
    for (_, _), changes in streaming.partitions("flow").items():
        assert changes
        sequences = [change.sequence for change in changes]
        assert all(sequence is not None for sequence in sequences)
        assert sequences == sorted(sequences)
        assert len(set(sequences)) == len(sequences)


def test_what_was_committed_before_a_sentinel_is_in_kafka_once_it_is_confirmed(streaming: Streamed) -> None:
    log, source = streaming.parts.log(), streaming.parts.source()
    number = 1 << 50
    with Writers(streaming, 2, 1):
        for _ in range(8):
            number += 1
            streaming.site.run("INSERT INTO more VALUES (%s, 0, 0)", (number,))
            noted, position = log.noted(), log.emit('{"kind": "sentinel"}')
            until(lambda position=position: log.confirmed() >= position, 30, "the connector's confirmation")
            assert number in {change.key[0] for change in streaming.changes("more")["more"]}
            until(lambda noted=noted: source.snapshot().xmin > noted, 10, "a snapshot past the noted transaction")
    state, session = log.state(), log.session()
    assert state.active
    assert not state.lost
    assert (state.retained_bytes or 0) >= 0
    assert session is not None
    assert session.confirmed <= session.position
    assert log.identity() == log.identity()
    assert log.stream_id() != ""
    log.close()
    source.close()


def test_a_table_is_not_altered_while_it_is_read_and_none_reads_as_empty(streaming: Streamed) -> None:
    mapped, source = streaming.tables["k_int"], streaming.parts.source()
    limit, alter = {
        "postgresql": (f"SET lock_timeout = '{LOCK_S}s'", "ALTER TABLE k_int ALTER COLUMN v TYPE bigint"),
        "mariadb": (f"SET lock_wait_timeout = {LOCK_S}", "ALTER TABLE k_int MODIFY v bigint"),
    }[streaming.site.kind]
    with source.reading(mapped.table) as reading:
        connection = streaming.site.connect()
        cursor = connection.cursor()
        cursor.execute(limit)
        with pytest.raises(Exception, match=r"(?i)lock"):
            cursor.execute(alter)
        connection.close()
        assert len([row for batch in reading.texts(mapped, EVERYTHING, (), 100) for row in batch]) == len(
            KEYS["k_int"][2]
        )
    counts: list[int] = []
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for kind in ("bigint", "integer"):
                way = f"ALTER COLUMN v TYPE {kind}" if streaming.site.kind == "postgresql" else f"MODIFY v {kind}"
                streaming.site.run(f"ALTER TABLE k_int {way}")

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        ends, refused = time.monotonic() + 2, 0
        while time.monotonic() < ends:
            try:
                counts.append(len(_read(streaming, "k_int")))
            except (TransientError, FatalError):  # as it is just now, it has another type
                refused += 1
    finally:
        stop.set()
        thread.join(30)
    assert set(counts) == {len(KEYS["k_int"][2])}
    source.close()


def test_a_log_that_is_gone_is_told(streaming: Streamed) -> None:
    """The last test of a source: the connector does not read on after it."""
    log, site = streaming.parts.log(), streaming.site
    with streaming.pipeline.run() as daemon:  # before the first start, nothing could have been lost
        streaming.pipeline.until(daemon, streaming.pipeline.chunks, 60, "the pipeline to be started")
        daemon.kill()
    streaming.deliver()
    assert log.state().lost == ""
    from connectors.kafka.connect import Connect
    from connectors.waiting import Patience

    section = streaming.parts.config.connect
    assert section is not None
    with Connect(section.url) as connect:
        connect.stop(section.connector)
        connect.wait_stopped(section.connector, Patience(30))
        if site.kind == "postgresql":
            slot = streaming.parts.config.source.slot
            until(
                lambda: not site.run("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (slot,))[0][0],
                30,
                "idle",
            )
            site.run("SELECT pg_drop_replication_slot(%s)", (slot,))
        else:
            site.run("INSERT INTO more VALUES (-1, 0, 0)")
            site.run("FLUSH BINARY LOGS")
            (name, *_), *_ = site.run("SHOW MASTER STATUS")
            until(lambda: _purged(site, name), 30, "the binlog to be purged")
    assert log.state().lost
    done = streaming.pipeline.call("run", timeout_s=60)
    assert done.code != 0
    assert "lost" in done.said
    log.close()


def _purged(site: Any, name: str) -> bool:
    site.run(f"PURGE BINARY LOGS TO '{name}'")
    (first, *_), *_ = site.run("SHOW BINARY LOGS")
    return bool(first == name)
