"""An application that always has something large in flight: COPYs, big transactions, key changes.

Rows that share one position in the log (a COPY's, the two events of a key change) are what a connector that restarts
between them could lose or send twice.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.support.oracle import Question

SOURCE_SQL = """
CREATE TABLE parcels (id bigint PRIMARY KEY, batch integer NOT NULL, weight numeric(9,2), memo text);
CREATE TABLE labels (code text PRIMARY KEY, parcel bigint NOT NULL, seen integer NOT NULL);
"""
TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.parcels (parcel_id bigint PRIMARY KEY, batch integer NOT NULL, grams bigint, memo text);
CREATE TABLE app.labels (code text PRIMARY KEY, parcel_id bigint NOT NULL, seen bigint NOT NULL);
"""
TABLES: list[dict[str, Any]] = [
    {
        "from": "public.parcels",
        "to": "app.parcels",
        "key": {"parcel_id": "id"},
        "columns": {"batch": "batch", "grams": "cast(weight * 1000 as bigint)", "memo": "memo"},
    },
    {
        "from": "public.labels",
        "to": "app.labels",
        "key": {"code": "code"},
        "columns": {"parcel_id": "parcel", "seen": "seen"},
    },
]
QUESTIONS = (
    Question(
        "app.parcels",
        "SELECT id, batch, trunc(weight * 1000)::int8, memo FROM parcels",
        "SELECT parcel_id, batch, grams, memo FROM app.parcels",
    ),
    Question("app.labels", "SELECT code, parcel, seen FROM labels", "SELECT code, parcel_id, seen FROM app.labels"),
)
EVERYTHING = ("copy", "copy", "change_many", "move_keys", "label_keys", "forget")
ONCE = ("copy", "copy", "copy", "move_batch")
"""After these a row is left as it is: no later event brings what a connector has lost of it."""
KEPT = 30_000
"""About as many parcels are there at a time; the oldest batches go."""


def create(source_url: str, target_url: str, rows: int) -> None:
    """Make both schemas and fill the source."""
    with psycopg.connect(source_url, autocommit=True) as source:
        source.execute(SOURCE_SQL.encode())
        source.execute(f"INSERT INTO parcels SELECT i, 0, i % 900 / 8.0, 'first' FROM generate_series(1, {rows}) i")
        source.execute(f"INSERT INTO labels SELECT 'c' || i, i, 0 FROM generate_series(1, {rows // 4}) i")
    with psycopg.connect(target_url, autocommit=True) as target:
        target.execute(TARGET_SQL.encode())


class Torrent:
    """Writes as fast as the source takes it, pausing only to leave the connector `ahead_max` bytes of log behind."""

    def __init__(
        self,
        source_url: str,
        seed: int,
        slot: str,
        *,
        operations: Sequence[str] = EVERYTHING,
        ahead_max: int = 12 << 20,
    ) -> None:
        self._operations = [getattr(self, name) for name in operations]
        self.done: Counter[str] = Counter()
        self._url = source_url
        self._slot = slot
        self._ahead_max = ahead_max
        self._random = random.Random(seed)
        self._batch = 0
        self._next = 10_000_000
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="torrent", daemon=True)

    def __enter__(self) -> Torrent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End after the transaction in hand."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the torrent does not end"
        self.check()

    def check(self) -> None:
        """Raise what it met."""
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            with psycopg.connect(self._url) as connection:
                while not self._stop.is_set():
                    if self._ahead(connection) > self._ahead_max:
                        self._stop.wait(0.05)
                        continue
                    operation = self._random.choice(self._operations)
                    operation(connection)
                    connection.commit()
                    self.done[operation.__name__] += 1
        except BaseException as error:
            self._failure = error

    def _ahead(self, connection: psycopg.Connection) -> int:
        """Bytes of log that the connector has not confirmed."""
        row = connection.execute(
            "SELECT pg_current_wal_insert_lsn() - confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s",
            (self._slot,),
        ).fetchone()
        connection.rollback()
        return int(row[0]) if row else 0

    def copy(self, c: psycopg.Connection) -> None:
        """Thousands of rows that share one position in the log."""
        self._batch += 1
        count = self._random.randint(500, 4000)
        with c.cursor().copy("COPY parcels FROM STDIN") as copy:
            for number in range(self._next, self._next + count):
                copy.write_row((number, self._batch, None if number % 50 == 0 else number % 900 / 8, f"m{number}"))
        with c.cursor().copy("COPY labels FROM STDIN") as copy:
            for number in range(self._next, self._next + count // 8):
                copy.write_row((f"c{number}", number, 0))
        self._next += count

    def change_many(self, c: psycopg.Connection) -> None:
        """One transaction, thousands of rows, some of them twice."""
        c.execute("UPDATE parcels SET weight = weight + 1, memo = 'w' || weight WHERE id %% 5 = %s", (self._digit(5),))
        c.execute("UPDATE labels SET seen = seen + 1 WHERE parcel %% 3 = %s", (self._digit(3),))
        c.execute("UPDATE parcels SET memo = NULL WHERE id %% 25 = %s", (self._digit(25),))

    def move_keys(self, c: psycopg.Connection) -> None:
        """Hundreds of key changes in one statement: two events each, at one position."""
        c.execute("UPDATE parcels SET id = -id WHERE id %% 40 = %s", (self._digit(40),))

    def move_batch(self, c: psycopg.Connection) -> None:
        """The keys of the newest batch change, once."""
        c.execute("UPDATE parcels SET id = -id WHERE batch = %s AND batch > 0 AND id > 0", (self._batch,))

    def label_keys(self, c: psycopg.Connection) -> None:
        """Text keys change, and back."""
        digit = self._digit(9)
        c.execute(
            "UPDATE labels SET code = CASE WHEN code LIKE 'x%%' THEN substr(code, 2) ELSE 'x' || code END, seen = 0"
            " WHERE parcel %% 9 = %s",
            (digit,),
        )

    def forget(self, c: psycopg.Connection) -> None:
        """The oldest batches go, and their labels."""
        c.execute("DELETE FROM parcels WHERE abs(id) < %s AND batch > 0", (self._next - KEPT,))
        c.execute("DELETE FROM labels WHERE parcel BETWEEN 10000000 AND %s", (self._next - KEPT,))

    def _digit(self, below: int) -> int:
        return self._random.randrange(below)
