"""The legacy application: it writes to the old database, at a steady rate, everything that applications write.

    python -m deploy.demo.application SOURCE_URL [--rate 200] [--seed N] [--seconds S] [--without NAME ...]

Runs until SIGTERM, SIGINT or --seconds, then prints one line of JSON: transactions, rows changed, rate, operations.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

FIRST_NAMES = ("Ada", "Łukasz", "美咲", "O'Brien", "Zoë", "Back\\slash", 'Anne "Annie"', "Nguyễn", "😀 Joy", "tab\tbed")
SETTING_SPACES = ("app", "Billing", "billing", "ui-théme", "x_y")
SETTING_NAMES = ("Key ", "key.", "ключ-")
HOT_KEYS = 40
BULK_EVERY_S = 9.0
LOST_RACES = (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation)


class RollBack(Exception):
    """Raised by an operation that ends in a ROLLBACK on purpose."""


@dataclass
class Tally:
    """What the application did. Rows count when their transaction is committed."""

    operations: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    rolled_back: int = 0
    lost_races: int = 0
    """Transactions that PostgreSQL ended: deadlocks and unique violations among the threads."""

    def add(self, other: Tally) -> None:
        """Take in what another thread did."""
        self.operations += other.operations
        self.rows += other.rows
        self.rolled_back += other.rolled_back
        self.lost_races += other.lost_races


class Session:
    """One connection of the application, its random numbers, and the rows that its open transaction has changed."""

    def __init__(self, connection: psycopg.Connection, rng: random.Random) -> None:
        self.connection = connection
        self.rng = rng
        self.changed = 0
        self.customers = self._max("SELECT max(id) FROM customers")
        self.orders = self._max("SELECT max(id) FROM orders")
        some = connection.execute("SELECT token FROM sessions ORDER BY token LIMIT 4000")
        self.tokens = [str(token) for (token,) in some]

    def _max(self, query: LiteralString) -> int:
        found = self.connection.execute(query).fetchone()
        return int(found[0] or 1) if found else 1

    def write(self, statement: LiteralString, *values: object) -> int:
        """Run a statement and count the rows it changed."""
        rows = max(self.connection.execute(statement, values).rowcount, 0)
        self.changed += rows
        return rows

    def insert(self, statement: LiteralString, *values: object) -> int:
        """Run an INSERT .. RETURNING of one number."""
        found = self.connection.execute(statement, values).fetchone()
        assert found is not None
        self.changed += 1
        return int(found[0])

    def a_customer(self) -> int:
        """An id that probably exists; some are asked for again and again."""
        return self.rng.randint(1, HOT_KEYS if self.rng.random() < 0.1 else self.customers)

    def an_order(self) -> int:
        """An id that probably exists."""
        return self.rng.randint(1, HOT_KEYS if self.rng.random() < 0.1 else self.orders)

    def a_cold_customer(self) -> int:
        """An id that probably exists and is not one of those in demand: what happens to it may take its key away."""
        return self.rng.randint(HOT_KEYS + 1, self.customers)

    def a_name(self) -> str:
        """A first name."""
        return self.rng.choice(FIRST_NAMES)

    def some_prefs(self) -> str | None:
        """Preferences as the old application kept them."""
        value = {"n": self.rng.randint(0, 10**12), "ü": [1.5, None, "x\ty"], "theme": {"dark": self.rng.random() < 0.5}}
        return self.rng.choice([None, "", "{}", json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)])

    def a_long_text(self) -> str:
        """9 to 20 kB that do not compress to less than a page: PostgreSQL stores them out of line (TOAST)."""
        return "note\n" + self.rng.randbytes(self.rng.randint(4500, 10000)).hex()

    def now_local(self) -> str:
        """A timestamp without zone, with microseconds, before 1970 now and then."""
        year, month, day = self.rng.choice([1969, 2001, 2024]), self.rng.randint(1, 12), self.rng.randint(1, 28)
        return f"{year}-{month:02}-{day:02} 23:59:59.{self.rng.randint(0, 999999):06}"


def place_order(s: Session) -> None:
    """An order with its lines, the customer's balance, and a line in the audit log."""
    customer, total = s.a_customer(), s.rng.randint(1, 99_999)
    order = s.insert(
        "INSERT INTO orders (customer_id, status, total_cents, currency, placed_at, shipped) "
        "VALUES (%s, 0, %s, %s, %s, %s) RETURNING id",
        customer, total, s.rng.choice(["EUR", "USD", "JPY"]), s.now_local(), s.rng.choice([None, "N"]),
    )  # fmt: skip
    for line in range(1, s.rng.randint(2, 5)):
        s.write(
            "INSERT INTO order_lines VALUES (%s, %s, %s, %s, %s)",
            order, line, f"SKU-{s.rng.randint(1, 5000)}", s.rng.randint(1, 9), s.rng.randint(1, 10**7) / 4,
        )  # fmt: skip
    s.write("UPDATE customers SET balance_cents = balance_cents - %s WHERE id = %s", total, customer)
    s.write(
        "INSERT INTO audit_log (happened_at, actor, action, entity_id, amount, payload) "
        "VALUES (clock_timestamp(), %s, 'order', %s, %s, %s::jsonb)",
        f"user{customer}", order, total / 100, json.dumps({"order": order, "cents": total}),
    )  # fmt: skip


def advance_order(s: Session) -> None:
    """The next state of an order, and the quantity of one of its lines."""
    order, shipped = s.an_order(), s.rng.choice([None, "Y", "N"])
    s.write("UPDATE orders SET status = %s, shipped = %s WHERE id = %s", s.rng.choice([0, 1, 2, 3, 9]), shipped, order)
    s.write("UPDATE order_lines SET qty = qty %% 99 + 1 WHERE order_id = %s AND line_no = 1", order)


def edit_customer(s: Session) -> None:
    """An update that leaves the large notes alone, but not all that the new schema makes out of them."""
    s.write(
        "UPDATE customers SET first_name = %s, prefs = %s, is_active = %s WHERE id = %s",
        s.a_name(), s.some_prefs(), s.rng.choice("YN"), s.a_customer(),
    )  # fmt: skip


def tag_customer(s: Session) -> None:
    """An update that touches neither the notes nor what is made out of them; twice in one transaction."""
    customer = s.a_customer()
    for tags in (None, "vip, " + "x" * s.rng.randint(0, 9)):
        name = f"Fam-{s.rng.randint(1, 99)}"
        s.write("UPDATE customers SET tags = %s, last_name = %s WHERE id = %s", tags, name, customer)


def write_notes(s: Session) -> None:
    """Notes that become large, small or nothing."""
    notes = s.rng.choice([None, "short \\N note", s.a_long_text(), s.a_long_text()])
    s.write("UPDATE customers SET notes = %s WHERE id = %s", notes, s.a_customer())


def register(s: Session) -> None:
    """A new customer with a session."""
    customer = s.insert(
        "INSERT INTO customers (first_name, last_name, email, prefs, created_on, notes) "
        "VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        s.a_name(), s.rng.choice([None, "", "Neu"]), f" New.{uuid.UUID(int=s.rng.getrandbits(128))}@Example.net",
        s.some_prefs(), s.now_local(), s.rng.choice([None, s.a_long_text()]),
    )  # fmt: skip
    sign_in(s, customer)


def sign_in(s: Session, customer: int | None = None) -> None:
    """A new session; or an old one, which may have been signed out, under its old key."""
    place, fresh = s.rng.randrange(len(s.tokens)), str(uuid.UUID(int=s.rng.getrandbits(128)))
    s.tokens[place] = token = s.rng.choice([fresh, s.tokens[place]])
    s.write(
        "INSERT INTO sessions VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        token, customer or s.a_customer(), s.rng.randint(0, 10**9), s.rng.choice([None, "10.0.0.1", "2001:db8::1"]),
    )  # fmt: skip


def touch_sessions(s: Session) -> None:
    """Several rows in one statement."""
    tokens = s.rng.sample(s.tokens, 3)
    s.write("UPDATE sessions SET last_seen_epoch = last_seen_epoch + 1 WHERE token = ANY(%s)", tokens)


def rotate_token(s: Session) -> None:
    """A primary key changes."""
    place, token = s.rng.randrange(len(s.tokens)), str(uuid.UUID(int=s.rng.getrandbits(128)))
    s.write("UPDATE sessions SET token = %s WHERE token = %s", token, s.tokens[place])
    s.tokens[place] = token


def sign_out(s: Session) -> None:
    """A delete; half of the keys come back in the same transaction."""
    token = s.rng.choice(s.tokens)
    s.write("DELETE FROM sessions WHERE token = %s", token)
    if s.rng.random() < 0.5:
        s.write("INSERT INTO sessions VALUES (%s, %s, 0, NULL)", token, s.a_customer())


def soft_delete(s: Session) -> None:
    """A row leaves the mapping's filter."""
    s.write("UPDATE customers SET deleted_at = %s WHERE id = %s AND deleted_at IS NULL", s.now_local(), s.a_customer())


def undelete(s: Session) -> None:
    """A row enters the mapping's filter, mostly without its large notes travelling."""
    first = s.a_customer()
    s.write(
        "UPDATE customers SET deleted_at = NULL WHERE id = "
        "(SELECT id FROM customers WHERE id >= %s AND deleted_at IS NOT NULL ORDER BY id LIMIT 1)",
        first,
    )


def replace_customer(s: Session) -> None:
    """Delete and re-insert the same key, with the same large notes, in one transaction."""
    customer = s.a_customer()
    row = s.connection.execute("SELECT * FROM customers WHERE id = %s FOR UPDATE", (customer,)).fetchone()
    if row is not None:
        s.write("DELETE FROM customers WHERE id = %s", customer)
        s.write("INSERT INTO customers VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", *row)
        s.write("UPDATE customers SET balance_cents = 0 WHERE id = %s", customer)


def renumber_customer(s: Session) -> None:
    """A primary key changes while the e-mail address, unique on both sides, goes along."""
    s.write("UPDATE customers SET id = nextval('customers_id_seq') WHERE id = %s", s.a_cold_customer())


def swap_emails(s: Session) -> None:
    """Two customers swap a unique value."""
    one, two = sorted(s.rng.sample(range(HOT_KEYS, s.customers), 2))
    query = "SELECT id, email FROM customers WHERE id IN (%s, %s) ORDER BY id FOR UPDATE"
    rows = s.connection.execute(query, (one, two)).fetchall()
    if len(rows) == 2:
        for customer, email in ((one, f"swapping@{one}.example"), (two, rows[0][1]), (one, rows[1][1])):
            s.write("UPDATE customers SET email = %s WHERE id = %s", email, customer)


def transfer(s: Session) -> None:
    """Two balances, locked in the order of their keys."""
    one, two = sorted((s.a_customer(), s.a_customer()))
    s.write("UPDATE customers SET balance_cents = balance_cents - 5 WHERE id = %s", one)
    s.write("UPDATE customers SET balance_cents = balance_cents + 5 WHERE id = %s", two)


def cancel_order(s: Session) -> None:
    """An order goes, with its lines; sometimes it comes back with another content."""
    order = s.an_order()
    s.write("DELETE FROM order_lines WHERE order_id = %s", order)
    if s.write("DELETE FROM orders WHERE id = %s", order) and (order <= HOT_KEYS or s.rng.random() < 0.5):
        s.write("INSERT INTO orders VALUES (%s, 1, 9, 0, 'PLN', %s, NULL, 'restored')", order, s.now_local())
        s.write("INSERT INTO order_lines VALUES (%s, 1, 'SKU-0', 1, 0.25)", order)


def renumber_order(s: Session) -> None:
    """The primary keys of an order and of all its lines change."""
    order = s.rng.randint(HOT_KEYS + 1, s.orders)
    new = s.connection.execute("SELECT nextval('orders_id_seq')").fetchone()
    assert new is not None
    if s.write("UPDATE orders SET id = %s WHERE id = %s", new[0], order):
        s.write("UPDATE order_lines SET order_id = %s WHERE order_id = %s", new[0], order)


def shift_lines(s: Session) -> None:
    """A part of a composite key changes, in several rows at once."""
    s.write(
        "UPDATE order_lines SET line_no = line_no + %s WHERE order_id = %s AND line_no < 30000",
        s.rng.randint(20, 40), s.an_order(),
    )  # fmt: skip


def put_setting(s: Session) -> None:
    """An upsert under a composite text key."""
    s.write(
        "INSERT INTO settings VALUES (%s, %s, %s, %s) ON CONFLICT (ns, name) DO UPDATE SET value = excluded.value",
        s.rng.choice(["app", "Billing", "ui-théme"]), f"live {s.rng.randint(1, 300)}",
        json.dumps([s.rng.random(), None]), s.now_local(),
    )  # fmt: skip


def rename_setting(s: Session) -> None:
    """A part of a composite text key changes, or the row goes."""
    number, fresh = s.rng.randint(1, 5000), f"renamed {s.rng.getrandbits(60):x}"
    at = (SETTING_SPACES[number % 5], f"{SETTING_NAMES[number % 3]}{number}")
    if s.rng.random() < 0.2:
        s.write("DELETE FROM settings WHERE (ns, name) = (%s, %s)", *at)
    else:
        s.write("UPDATE settings SET name = %s WHERE (ns, name) = (%s, %s)", fresh, *at)


def with_savepoints(s: Session) -> None:
    """Work that is kept, undone, and kept again in one transaction: three transaction ids, of which one counts."""
    advance_order(s)
    kept = s.changed
    try:
        with s.connection.transaction():
            place_order(s)
            raise RollBack
    except RollBack:
        s.changed = kept
    with s.connection.transaction():
        tag_customer(s)


def change_of_mind(s: Session) -> None:
    """A transaction that is rolled back."""
    place_order(s)
    replace_customer(s)
    raise RollBack


def log_burst(s: Session) -> None:
    """Many rows in one statement."""
    s.write(
        "INSERT INTO audit_log (happened_at, actor, action, due_on, checksum) "
        "SELECT clock_timestamp(), 'batch', 'tick', current_date, decode(md5(n::text), 'hex') "
        "FROM generate_series(1, 20) AS n"
    )


def bulk(s: Session) -> None:
    """One statement over very many rows, as nightly jobs have them, and a large delete."""
    first = s.rng.randint(1, s.orders)
    s.write("UPDATE orders SET status = 3, shipped = 'Y' WHERE id BETWEEN %s AND %s", first, first + 1500)
    s.write("DELETE FROM audit_log WHERE id BETWEEN %s AND %s", first, first + 100)


Operation = Callable[[Session], None]
OPERATIONS: dict[Operation, int] = {
    place_order: 24, advance_order: 14, edit_customer: 10, tag_customer: 8, write_notes: 3, register: 4, sign_in: 4,
    touch_sessions: 8, rotate_token: 3, sign_out: 3, soft_delete: 3, undelete: 3, replace_customer: 2,
    renumber_customer: 1, swap_emails: 1, transfer: 5, cancel_order: 3, renumber_order: 2, shift_lines: 3,
    put_setting: 4, rename_setting: 2, with_savepoints: 3, change_of_mind: 2, log_burst: 1,
}  # fmt: skip


class Writer(threading.Thread):
    """One thread of the application: an operation, a transaction, at its share of the rate."""

    def __init__(self, number: int, given: argparse.Namespace, stop: threading.Event) -> None:
        super().__init__(name=f"writer-{number}")
        self.rng = random.Random(f"{given.seed}/{number}")
        self.url: str = given.source_url
        self.pause_s = given.threads / given.rate
        self.without: list[str] = given.without
        self.bulk_too = number == 0 and bulk.__name__ not in given.without
        self.stop = stop
        self.tally = Tally()
        self.error: Exception | None = None

    def run(self) -> None:
        """Work until told to stop; an error stops the other threads too."""
        try:
            with psycopg.connect(self.url, autocommit=True, application_name="legacy application") as connection:
                self._work(Session(connection, self.rng))
        except Exception as error:
            self.error = error
            self.stop.set()

    def _work(self, session: Session) -> None:
        chosen = {op: weight for op, weight in OPERATIONS.items() if op.__name__ not in self.without}
        draws = (self.rng.choices(list(chosen), list(chosen.values()))[0] for _ in itertools.count())
        started = time.monotonic()
        bulk_at = started + BULK_EVERY_S / 3
        for number in itertools.count(1):
            if self.stop.wait(max(0.0, started + number * self.pause_s - time.monotonic())):
                return
            due = self.bulk_too and time.monotonic() >= bulk_at
            bulk_at += BULK_EVERY_S * due
            self._transaction(session, bulk if due else next(draws))

    def _transaction(self, session: Session, operation: Operation) -> None:
        session.changed = 0
        try:
            with session.connection.transaction():
                operation(session)
        except RollBack:
            self.tally.rolled_back += 1
        except LOST_RACES:
            self.tally.lost_races += 1
        else:
            self.tally.operations[operation.__name__] += 1
            self.tally.rows += session.changed


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write to the demo's old database as a live application does.")
    parser.add_argument("source_url")
    parser.add_argument("--rate", type=float, default=200, help="transactions a second")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=None, help="stop by itself")
    names = [op.__name__ for op in OPERATIONS] + [bulk.__name__]
    parser.add_argument("--without", action="append", default=[], choices=names, help="leave an operation out")
    return parser.parse_args()


def main() -> int:
    """Write until told to stop, then say what was done."""
    given = arguments()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    print(f"application: seed {given.seed}, {given.rate:g} transactions a second", file=sys.stderr, flush=True)
    writers = [Writer(number, given, stop) for number in range(given.threads)]
    started = time.monotonic()
    for writer in writers:
        writer.start()
    stop.wait(given.seconds)
    stop.set()
    total = Tally()
    for writer in writers:
        writer.join()
        total.add(writer.tally)
    _report(total, given.seed, time.monotonic() - started)
    for error in (writer.error for writer in writers if writer.error):
        print(f"application: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _report(total: Tally, seed: int, seconds: float) -> None:
    """Print what was done. The rate counts every transaction that was tried."""
    committed = total.operations.total()
    tried = committed + total.rolled_back + total.lost_races
    report = {
        "seed": seed, "seconds": round(seconds, 1), "rate": round(tried / seconds, 1), "transactions": committed,
        "rolled_back": total.rolled_back, "lost_races": total.lost_races, "rows_changed": total.rows,
        "operations": dict(total.operations.most_common()),
    }  # fmt: skip
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    sys.exit(main())
