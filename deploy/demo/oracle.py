"""The demo's judge: says from the old tables alone what every new table must contain, and compares row by row.

It shares nothing with the product: no code, no mapping, no SQL. The queries below were written by hand from what
legacy.sql and target.sql mean, and where there is more than one way to say a thing they say it another way than
changeover.yaml does. Both sides are read as text, ordered by key, and merged in constant memory.

    python -m deploy.demo.oracle SOURCE_URL TARGET_URL        exit code 0: identical, 4: different
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

SHOWN = 5
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Question:
    """A new table, the number of leading key columns, and one query for each side; both order by the key, bytewise."""

    table: str
    keys: int
    expected: str
    actual: str


@dataclass
class TableResult:
    """What the comparison of one new table found. `examples` are the first keys of each kind of difference."""

    table: str
    rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    examples: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def identical(self) -> bool:
        """Whether the table is exactly what it must be."""
        return not (self.missing or self.extra or self.different)

    def note(self, kind: str, key: Row) -> None:
        """Count a difference and keep its key as an example if there are few so far."""
        setattr(self, kind, getattr(self, kind) + 1)
        kept = self.examples.setdefault(kind, [])
        if len(kept) < SHOWN:
            kept.append(key)


QUESTIONS = (
    Question(
        "app.accounts",
        1,
        """SELECT lpad(id::text, 12, '0'), lower(btrim(email, ' ')),
                  CASE WHEN is_active IN ('Y') THEN 'yes' ELSE 'no' END,
                  to_char(balance_cents::numeric * 0.01, 'FM999999999990.00'),
                  trunc(extract(epoch FROM created_on) * 1000000)
           FROM customers WHERE NOT (deleted_at IS NOT NULL) ORDER BY id""",
        """SELECT lpad(account_id::text, 12, '0'), email, CASE active WHEN true THEN 'yes' WHEN false THEN 'no' END,
                  to_char(balance, 'FM999999999990.00'), trunc(extract(epoch FROM created_at) * 1000000)
           FROM app.accounts ORDER BY account_id""",
    ),
    Question(
        "app.profiles",
        1,
        """SELECT lpad(id::text, 12, '0'),
                  CASE WHEN last_name <> '' THEN concat(first_name, ' ', last_name) ELSE first_name END,
                  tags, CASE WHEN prefs <> '' THEN (prefs::json #>> '{}')::jsonb ELSE jsonb_build_object() END, notes,
                  concat(first_name, ': ', substr(notes, 1, 40))
           FROM customers WHERE NOT (deleted_at IS NOT NULL) ORDER BY id""",
        """SELECT lpad(account_id::text, 12, '0'), full_name, tags, preferences, notes, headline
           FROM app.profiles ORDER BY account_id""",
    ),
    Question(
        "app.orders",
        1,
        """SELECT concat('ord_', id), id, customer_id,
                  '{"0":"new","1":"paid","2":"packed","3":"shipped","9":"cancelled"}'::json ->> status::text,
                  to_char(total_cents * 0.01, 'FM999999990.00'), rpad(currency::text, 3),
                  trunc(extract(epoch FROM placed_at) * 1000000),
                  CASE shipped WHEN 'Y' THEN 'yes' WHEN 'N' THEN 'no' END, remark
           FROM orders ORDER BY concat('ord_', id) COLLATE "C" """,
        """SELECT order_ref, legacy_id, account_id, status, to_char(total, 'FM999999990.00'), currency,
                  trunc(extract(epoch FROM placed_at) * 1000000),
                  CASE WHEN shipped THEN 'yes' WHEN NOT shipped THEN 'no' END, remark
           FROM app.orders ORDER BY order_ref COLLATE "C" """,
    ),
    Question(
        "app.order_items",
        2,
        """SELECT concat('ord_', order_id), lpad(line_no::text, 6, '0'), order_id, line_no, sku, qty,
                  to_char(round(price_cents * 0.01, 4), 'FM99999999990.0000'),
                  to_char(round(price_cents * 0.01 * qty, 4), 'FM99999999999990.0000')
           FROM order_lines ORDER BY concat('ord_', order_id) COLLATE "C", line_no""",
        """SELECT order_ref, lpad(position::text, 6, '0'), order_id, line_no, sku, quantity,
                  to_char(unit_price, 'FM99999999990.0000'), to_char(line_total, 'FM99999999999990.0000')
           FROM app.order_items ORDER BY order_ref COLLATE "C", position""",
    ),
    Question(
        "app.sessions",
        1,
        """SELECT lower(token), token, customer_id, last_seen_epoch * 1000000,
                  CASE WHEN ip IS NOT NULL THEN host(ip::inet) || '/' || masklen(ip::inet) END
           FROM sessions ORDER BY lower(token) COLLATE "C" """,
        """SELECT session_id, legacy_token, account_id, trunc(extract(epoch FROM last_seen_at) * 1000000),
                  host(ip) || '/' || masklen(ip)
           FROM app.sessions ORDER BY session_id::text COLLATE "C" """,
    ),
    Question(
        "app.settings",
        2,
        """SELECT ns, name, value::json::text::jsonb, trunc(extract(epoch FROM updated_at) * 1000000)
           FROM settings ORDER BY ns COLLATE "C", name COLLATE "C" """,
        """SELECT namespace, name, value, trunc(extract(epoch FROM updated_at) * 1000000)
           FROM app.settings ORDER BY namespace COLLATE "C", name COLLATE "C" """,
    ),
    Question(
        "app.audit_log",
        1,
        """SELECT lpad(id::text, 20, '0'), extract(epoch FROM happened_at), actor, action, entity_id, amount, due_on,
                  payload, encode(checksum, 'hex') FROM audit_log ORDER BY id""",
        """SELECT lpad(id::text, 20, '0'), extract(epoch FROM happened_at), actor, action, entity_id, amount, due_on,
                  payload, encode(checksum, 'hex') FROM app.audit_log ORDER BY id""",
    ),
    Question(
        "app.probe",
        1,
        "SELECT lpad(id::text, 20, '0'), extract(epoch FROM sent_at) FROM probe ORDER BY id",
        "SELECT lpad(id::text, 20, '0'), extract(epoch FROM sent_at) FROM app.probe ORDER BY id",
    ),
)


def compare(source_url: str, target_url: str) -> list[TableResult]:
    """Compare every new table with what the old ones say it must contain; one snapshot on each side."""
    with _reader(source_url) as source, _reader(target_url) as target:
        return [_compare(question, source, target) for question in QUESTIONS]


def _reader(url: str) -> psycopg.Connection:
    """A connection in one read-only snapshot."""
    connection = psycopg.connect(url, options="-c timezone=UTC -c datestyle=ISO -c client_encoding=UTF8")
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def _rows(connection: psycopg.Connection, query: str) -> Iterator[Row]:
    """The rows of a query as text, streamed."""
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
        yield from copy.rows()


def _ordered(rows: Iterator[Row], keys: int, side: str) -> Iterator[Row]:
    """The same rows; raises if keys do not ascend, for then the merge below would prove nothing."""
    last: tuple[str, ...] | None = None
    for row in rows:
        key = _key(row, keys)
        if last is not None and not last < key:
            raise ValueError(f"{side}: key {key} does not follow {last}")
        last = key
        yield row


def _key(row: Row, keys: int) -> tuple[str, ...]:
    """The key of a row; keys are never NULL."""
    return tuple(value or "" for value in row[:keys])


def _compare(question: Question, source: psycopg.Connection, target: psycopg.Connection) -> TableResult:
    """Merge both sides of one table."""
    expected = _ordered(_rows(source, question.expected), question.keys, f"{question.table} expected")
    actual = _ordered(_rows(target, question.actual), question.keys, f"{question.table} actual")
    return merge(question.table, question.keys, expected, actual)


def merge(table: str, keys: int, expected: Iterator[Row], actual: Iterator[Row]) -> TableResult:
    """Compare two streams of rows that ascend by their first `keys` values."""
    result = TableResult(table)
    want, have = next(expected, None), next(actual, None)
    while want is not None or have is not None:
        if have is None or (want is not None and _key(want, keys) < _key(have, keys)):
            assert want is not None
            result.note("missing", want[:keys])
            want = next(expected, None)
        elif want is None or _key(have, keys) < _key(want, keys):
            result.note("extra", have[:keys])
            have = next(actual, None)
            result.rows += 1
        else:
            if want != have:
                result.note("different", want[:keys])
            want, have = next(expected, None), next(actual, None)
            result.rows += 1
    return result


def describe(result: TableResult) -> list[str]:
    """The result in lines: the counts, then examples of what differs."""
    lines = [
        f"{result.table:<16} rows {result.rows:>9,}  missing {result.missing:,}  "
        f"extra {result.extra:,}  different {result.different:,}"
    ]
    for kind, found in result.examples.items():
        lines.append(f"  {kind}: {', '.join('/'.join(str(part) for part in key) for key in found)}")
    return lines


def main() -> int:
    """The command line."""
    if len(sys.argv) != 3:
        print("usage: python -m deploy.demo.oracle SOURCE_URL TARGET_URL", file=sys.stderr)
        return 2
    results = compare(sys.argv[1], sys.argv[2])
    for result in results:
        print("\n".join(describe(result)))
    identical = all(result.identical for result in results)
    print("identical" if identical else "NOT identical")
    return 0 if identical else 4


if __name__ == "__main__":
    sys.exit(main())
