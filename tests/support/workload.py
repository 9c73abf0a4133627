"""A small schema with the traps in it, its mapping, its oracle, and a seeded application that never rests.

items     integer key, filter that rows enter and leave, a large column            -> app.products
prefs     composite text key that changes                                          -> app.settings
docs      uuid key, a large column that two target columns depend on               -> app.documents
seats     key of an enum (its order is not its text's), unique labels that swap    -> app.seats
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.oracle import Question

SOURCE_SQL = """
CREATE TYPE zone AS ENUM ('upper', 'middle', 'lower');
CREATE TABLE items (
    id integer PRIMARY KEY,
    name text NOT NULL,
    cents integer,
    active boolean NOT NULL,
    note varchar(200),
    body text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE items ALTER body SET STORAGE EXTERNAL;
CREATE TABLE prefs (tenant text, name text, value text, weight numeric(12,3), PRIMARY KEY (tenant, name));
CREATE TABLE docs (id uuid PRIMARY KEY, title text NOT NULL, content text, score double precision);
ALTER TABLE docs ALTER content SET STORAGE EXTERNAL;
CREATE TABLE seats (
    zone zone,
    number smallint,
    label text NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
    holder text,
    PRIMARY KEY (zone, number)
);
"""

TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.products (
    product_id bigint PRIMARY KEY,
    title text NOT NULL,
    price numeric(14,2),
    note text,
    body text,
    changed_at timestamptz NOT NULL
);
CREATE TABLE app.settings (owner text, name text, value text, weight numeric(12,3), PRIMARY KEY (owner, name));
CREATE TABLE app.documents (
    doc_id uuid PRIMARY KEY, title text NOT NULL, content text, excerpt text NOT NULL, score double precision
);
CREATE TABLE app.seats (
    zone text, number integer, label text NOT NULL UNIQUE, holder text NOT NULL, PRIMARY KEY (zone, number)
);
"""

TABLES: list[dict[str, Any]] = [
    {
        "from": "public.items",
        "to": "app.products",
        "key": {"product_id": "id"},
        "columns": {
            "title": "name",
            "price": "cast(cents / 100.0 as numeric(14,2))",
            "note": "note",
            "body": "body",
            "changed_at": "changed_at",
        },
        "where": "active",
    },
    {
        "from": "public.prefs",
        "to": "app.settings",
        "key": {"owner": "tenant", "name": "name"},
        "columns": {"value": "nullif(value, '')", "weight": "weight"},
    },
    {
        "from": "public.docs",
        "to": "app.documents",
        "key": {"doc_id": "id"},
        "columns": {
            "title": "title",
            "content": "content",
            "excerpt": "title || ': ' || coalesce(left(content, 12), '-')",
            "score": "score",
        },
    },
    {
        "from": "public.seats",
        "to": "app.seats",
        "key": {"zone": "zone", "number": "number"},
        "columns": {"label": "label", "holder": "coalesce(holder, 'nobody')"},
    },
]

QUESTIONS = (
    Question(
        "app.products",
        """SELECT id, name, round(cents::numeric * 0.01, 2), note, md5(body), length(body),
                  extract(epoch FROM changed_at) FROM items WHERE active = true""",
        """SELECT product_id, title, price, note, md5(body), length(body), extract(epoch FROM changed_at)
           FROM app.products""",
    ),
    Question(
        "app.settings",
        "SELECT tenant, name, CASE WHEN value <> '' THEN value END, weight FROM prefs",
        "SELECT owner, name, value, weight FROM app.settings",
    ),
    Question(
        "app.documents",
        """SELECT id, title, md5(content), length(content),
                  concat(title, ': ', CASE WHEN content IS NULL THEN '-' ELSE substr(content, 1, 12) END), score
           FROM docs""",
        "SELECT doc_id, title, md5(content), length(content), excerpt, score FROM app.documents",
    ),
    Question(
        "app.seats",
        "SELECT zone, number, label, CASE WHEN holder IS NULL THEN 'nobody' ELSE holder END FROM seats",
        "SELECT zone, number, label, holder FROM app.seats",
    ),
)

BIG = 80
"""md5s in a large value: 2,560 bytes are kept out of line, and do not travel unless they change."""
ZONES = ("upper", "middle", "lower")


def create(source_url: str, target_url: str, rows: int) -> None:
    """Make the schemas of both sides and fill the source with about this many rows."""
    with psycopg.connect(source_url, autocommit=True) as source:
        source.execute(SOURCE_SQL.encode())
        source.execute(filling(rows).encode())
        source.execute("VACUUM ANALYZE")
    with psycopg.connect(target_url, autocommit=True) as target:
        target.execute(TARGET_SQL.encode())


def filling(rows: int) -> str:
    """SQL that puts about this many rows into the source."""
    big = f"CASE WHEN i % 10 = 0 THEN repeat(md5(i::text), {BIG}) WHEN i % 10 < 8 THEN md5(i::text) END"
    return f"""
        INSERT INTO items SELECT i, 'item ' || i, nullif(i % 5000, 7), i % 7 <> 0, nullif('note ' || i % 50, 'note 3'),
            {big} FROM generate_series(1, {rows // 2}) i;
        INSERT INTO prefs SELECT 'tenant-' || i % 40, 'Name ' || i, CASE i % 9 WHEN 0 THEN '' WHEN 1 THEN NULL
            ELSE 'v' || i END, i / 8.0 FROM generate_series(1, {rows // 4}) i;
        INSERT INTO docs SELECT overlay(md5('doc ' || i) placing '4' from 13)::uuid, 'Doc ' || i, {big}, i / 7.0::float8
            FROM generate_series(1, {rows * 3 // 20}) i;
        INSERT INTO seats SELECT ('{{upper,middle,lower}}'::zone[])[i % 3 + 1], i / 3, 'L' || i,
            nullif('holder ' || i, 'holder 5') FROM generate_series(3, {rows // 10} + 2) i;
    """


class Writer:
    """The application: one connection, one thread, transactions at a rate, the same ones for the same seed and count.

    rate: transactions a second. `mix` names the operations wanted; all of them unless given.
    """

    def __init__(self, source_url: str, seed: int, rows: int, *, rate: float = 100, mix: tuple[str, ...] = ()) -> None:
        self.done: Counter[str] = Counter()
        self._rate = rate
        self._random = random.Random(seed)
        self._rows = rows
        self._url = source_url
        self._stop = threading.Event()
        self._gate = threading.Lock()
        self._failure: BaseException | None = None
        names = mix or tuple(OPERATIONS)
        self._operations = [(name, {**OPERATIONS, **OPERATIONS_APART}[name]) for name in names]
        self._thread = threading.Thread(target=self._main, name="writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the writer does not end"
        self.check()

    @property
    def count(self) -> int:
        """Transactions so far, rolled back ones too."""
        return self.done.total()

    def check(self) -> None:
        """Raise what the writer met."""
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The source at rest for the length of the block."""
        with self._gate:
            self.check()
            yield

    def _main(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                self._loop(connection)
        except BaseException as error:
            self._failure = error

    def _loop(self, connection: psycopg.Connection) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / self._rate, time.monotonic() - 0.2)
            name, operation = self._random.choice(self._operations)
            with self._gate, connection.transaction():
                operation(self, connection)
            self.done[name] += 1

    # -- what the operations choose from ---------------------------------------------------------------------------

    def number(self, below: int) -> int:
        """A number from 1 on."""
        return self._random.randint(1, max(1, below))

    def item(self) -> int:
        """The id of an item that may be there; ids grow by a tenth over the first ones."""
        return self.number(self._rows * 11 // 20)

    def items(self, count: int) -> list[int]:
        """Ids, ascending, so that nobody waits for nobody in a circle."""
        return sorted({self.item() for _ in range(count)})

    def pref(self) -> tuple[str, str]:
        """The key of a preference that may be there."""
        number = self.number(self._rows * 11 // 40)
        return f"tenant-{number % 40}", f"Name {number}"

    def doc(self) -> uuid.UUID:
        """The key of a document that may be there."""
        number = self.number(self._rows * 33 // 200)
        digits = _md5(f"doc {number}")
        return uuid.UUID(hex=f"{digits[:12]}4{digits[13:]}")

    def seats(self, count: int) -> list[tuple[str, int]]:
        """Keys of seats, all different."""
        numbers = self._random.sample(range(3, self._rows // 10 + 3), count)
        return sorted((ZONES[number % 3], number // 3) for number in numbers)

    def word(self) -> str:
        """A short text, now and then with what breaks naive code."""
        odd = ("", "tab\there", "nl\nhere", "quote\"'\\", "žluťoučký 🐎", "NULL", "\\N", "{a,b}", "$1 %s %(x)s")
        return self._random.choice((*odd, *(f"w{self.number(9999)}" for _ in range(9))))

    def big(self) -> str | None:
        """A value that is kept out of line; rarely none."""
        return None if self._random.random() < 0.1 else _md5(str(self.number(1 << 30))) * BIG


Operation = Callable[[Writer, psycopg.Connection], None]
OPERATIONS: dict[str, Operation] = {}


def _operation(function: Operation) -> Operation:
    OPERATIONS[function.__name__] = function
    return function


@_operation
def item_small_change(w: Writer, c: psycopg.Connection) -> None:
    """The large column does not travel."""
    c.execute(
        "UPDATE items SET cents = %s, note = %s, changed_at = clock_timestamp() WHERE id = %s",
        (w.number(99999), w.word(), w.item()),
    )


@_operation
def item_body(w: Writer, c: psycopg.Connection) -> None:
    """The large column changes."""
    c.execute("UPDATE items SET body = %s WHERE id = %s", (w.big(), w.item()))


@_operation
def item_toggle(w: Writer, c: psycopg.Connection) -> None:
    """A row enters or leaves the filter, and its large column does not travel."""
    c.execute("UPDATE items SET active = NOT active WHERE id = %s", (w.item(),))


@_operation
def item_insert(w: Writer, c: psycopg.Connection) -> None:
    """A new row, or one that was deleted before."""
    c.execute(
        "INSERT INTO items VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (w.item(), w.word(), None, w.number(4) > 1, None, w.big()),
    )


@_operation
def item_delete(w: Writer, c: psycopg.Connection) -> None:
    """A row goes."""
    c.execute("DELETE FROM items WHERE id = %s", (w.item(),))


@_operation
def item_key(w: Writer, c: psycopg.Connection) -> None:
    """A key changes to one that is free, and the large column with it does not travel."""
    new = w.item()
    c.execute(
        "UPDATE items SET id = %(new)s WHERE id = %(old)s AND NOT EXISTS (SELECT FROM items WHERE id = %(new)s)",
        {"new": new, "old": w.item()},
    )


@_operation
def item_again(w: Writer, c: psycopg.Connection) -> None:
    """Deleted and inserted in one transaction, then changed without its large column."""
    item, body = w.item(), w.big()
    c.execute("DELETE FROM items WHERE id = %s", (item,))
    c.execute("INSERT INTO items VALUES (%s, %s, %s, true, %s, %s)", (item, w.word(), 5, None, body))
    c.execute("UPDATE items SET name = %s WHERE id = %s", (w.word(), item))


@_operation
def items_many(w: Writer, c: psycopg.Connection) -> None:
    """One statement, many rows; then a part of the transaction is undone."""
    c.execute("UPDATE items SET cents = coalesce(cents, 0) + 1 WHERE id = ANY(%s)", (w.items(40),))
    with c.transaction(force_rollback=True):
        c.execute("DELETE FROM items WHERE id = ANY(%s)", (w.items(5),))


@_operation
def rolled_back(w: Writer, c: psycopg.Connection) -> None:
    """Nothing of this may ever be seen."""
    with c.transaction(force_rollback=True):
        c.execute("UPDATE items SET name = 'never' WHERE id = ANY(%s)", (w.items(10),))
        c.execute("DELETE FROM prefs WHERE tenant = %s", (w.pref()[0],))
        c.execute("INSERT INTO docs VALUES (%s, 'never', NULL, 0)", (uuid.UUID(int=w.number(1 << 40)),))


@_operation
def pref_put(w: Writer, c: psycopg.Connection) -> None:
    """Inserted, or changed where it is there."""
    c.execute(
        "INSERT INTO prefs VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value, weight = NULL",
        (*w.pref(), w.word(), w.number(10**6) / 1000),
    )


@_operation
def pref_key(w: Writer, c: psycopg.Connection) -> None:
    """Half of a composite key changes, there and back in one transaction for some."""
    tenant, name = w.pref()
    moved = f"{tenant}-{w.number(3)}"
    move = (
        "UPDATE prefs SET tenant = %(to)s WHERE tenant = %(at)s AND name = %(name)s"
        " AND NOT EXISTS (SELECT FROM prefs WHERE tenant = %(to)s AND name = %(name)s)"
    )
    c.execute(move, {"to": moved, "at": tenant, "name": name})
    if w.number(2) > 1:
        c.execute(move, {"to": tenant, "at": moved, "name": name})


@_operation
def pref_delete(w: Writer, c: psycopg.Connection) -> None:
    """A row goes."""
    c.execute("DELETE FROM prefs WHERE tenant = %s AND name = %s", w.pref())


@_operation
def doc_title(w: Writer, c: psycopg.Connection) -> None:
    """A column changes that is mixed with the large one in the target."""
    c.execute("UPDATE docs SET title = %s WHERE id = %s", (w.word(), w.doc()))


@_operation
def doc_score(w: Writer, c: psycopg.Connection) -> None:
    """A column changes that has nothing to do with the large one."""
    c.execute("UPDATE docs SET score = %s WHERE id = %s", (w.number(10**6) / 7, w.doc()))


@_operation
def doc_content(w: Writer, c: psycopg.Connection) -> None:
    """The large column changes."""
    c.execute("UPDATE docs SET content = %s WHERE id = %s", (w.big(), w.doc()))


@_operation
def doc_twice(w: Writer, c: psycopg.Connection) -> None:
    """The large column changes, and right after it another, with which it does not travel."""
    doc = w.doc()
    c.execute("UPDATE docs SET content = %s WHERE id = %s", (w.big(), doc))
    c.execute("UPDATE docs SET score = %s WHERE id = %s", (w.number(10**6) / 7, doc))


@_operation
def doc_again(w: Writer, c: psycopg.Connection) -> None:
    """A row goes and comes back within one transaction, or comes new."""
    doc = w.doc()
    c.execute("DELETE FROM docs WHERE id = %s", (doc,))
    if w.number(3) > 1:
        c.execute("INSERT INTO docs VALUES (%s, %s, %s, %s)", (doc, w.word(), w.big(), w.number(100)))


@_operation
def seats_swap(w: Writer, c: psycopg.Connection) -> None:
    """Two to four rows exchange their unique values in one statement."""
    seats = w.seats(w.number(3) + 1)
    zones, numbers = [zone for zone, _ in seats], [number for _, number in seats]
    c.execute(
        "WITH chosen AS (SELECT s.zone, s.number, s.label, row_number() OVER (ORDER BY s.zone, s.number) AS n,"
        "   count(*) OVER () AS all_of FROM seats s"
        "   JOIN unnest(%s::zone[], %s::int[]) AS x(zone, number) ON x.zone = s.zone AND x.number = s.number)"
        " UPDATE seats SET label = o.label FROM chosen c JOIN chosen o ON o.n = c.n %% c.all_of + 1"
        " WHERE seats.zone = c.zone AND seats.number = c.number",
        (zones, numbers),
    )


@_operation
def seat_holder(w: Writer, c: psycopg.Connection) -> None:
    """An ordinary change."""
    ((zone, number),) = w.seats(1)
    c.execute(
        "UPDATE seats SET holder = nullif(%s, '') WHERE zone = %s::zone AND number = %s", (w.word(), zone, number)
    )


@_operation
def seat_insert(w: Writer, c: psycopg.Connection) -> None:
    """A new row, or one that was deleted before, with a value that was never there."""
    ((zone, number),) = w.seats(1)
    c.execute(
        "INSERT INTO seats VALUES (%s::zone, %s, %s) ON CONFLICT (zone, number) DO NOTHING",
        (zone, number, f"N{w.number(1 << 60)}"),
    )


@_operation
def seat_hand_over(w: Writer, c: psycopg.Connection) -> None:
    """A row goes, and another takes its unique value."""
    (gone, heir) = w.seats(2)
    found = c.execute("DELETE FROM seats WHERE zone = %s::zone AND number = %s RETURNING label", gone).fetchone()
    if found is not None:
        c.execute("UPDATE seats SET label = %s WHERE zone = %s::zone AND number = %s", (found[0], *heir))


def docs_slowly(w: Writer, c: psycopg.Connection) -> None:
    """A transaction that runs for a while, so that snapshots find it running. Not in the ordinary mix."""
    c.execute("UPDATE docs SET title = %s WHERE id = ANY(%s)", (w.word(), sorted({w.doc() for _ in range(10)})))
    c.execute("SELECT pg_sleep(0.2)")


OPERATIONS_APART: dict[str, Operation] = {"docs_slowly": docs_slowly}
"""For a writer of their own, by name."""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
