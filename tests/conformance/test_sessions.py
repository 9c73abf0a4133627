"""Sessions of MariaDB and SQLite: what is pinned, and the errors of real servers in the one tree, without values."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from connectors.control.store import ControlStore
from connectors.mariadb import session as mariadb
from connectors.sqlite import session as sqlite
from mappers.errors import ConflictError, FatalError, RecordError, TransientError
from tests.support.polling import until
from tests.support.stack import Stack

SECRET = "it's \\secret"
_BOUND_S = 20


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    """A MariaDB database of this module, with a table `t` that has one row."""
    made = f"{stack.mariadb_url.rpartition('/')[0]}/sessions"
    with closing(mariadb.connect(stack.mariadb_url, "target")) as raw, raw.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE DATABASE sessions")
        cursor.execute("USE sessions")
        cursor.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        cursor.execute(
            "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(20) COLLATE utf8mb4_bin UNIQUE,"
            " n int NOT NULL CHECK (n > 0), d date, j json, parent int REFERENCES parent (id))"
        )
        cursor.execute("INSERT INTO t (id, name, n) VALUES (5, 'taken', 1)")
        yield made
        cursor.execute("DROP DATABASE sessions")
        cursor.execute("DROP USER IF EXISTS odd@'%'")


@pytest.fixture
def raw(url: str) -> Iterator[mariadb.Raw]:
    """A session whose transaction is rolled back in the end."""
    with closing(mariadb.connect(url, "target", autocommit=False)) as made:
        yield made


def told(raw: mariadb.Raw, query: str) -> tuple[object, ...]:
    """The first row."""
    with raw.cursor() as cursor:
        cursor.execute(query)
        return tuple(cursor.fetchone() or ())


def test_what_is_pinned_holds_whatever_the_server_has(raw: mariadb.Raw) -> None:
    for name, value in mariadb.PINNED.items():
        (found,) = told(raw, f"SELECT @@SESSION.{name}")
        if name == "sql_mode":
            assert set(str(found).split(",")) == set(mariadb.SQL_MODE)
        else:
            assert str(found) == str(value), name
    assert told(raw, "SELECT @@tx_isolation, @@autocommit, @@max_statement_time") == ("READ-COMMITTED", 0, 0)
    assert told(raw, "SELECT 'a' = 'A', 'a' = 'a ', 'ß' = 'ss', 'a\\\\b' = 'a\\b'")[:3] == (0, 0, 0)


def test_values_are_kept_as_they_are(raw: mariadb.Raw) -> None:
    with raw.cursor() as cursor:
        cursor.execute('INSERT INTO t ("id", name, n, d) VALUES (0, %s, 1, %s)', (SECRET, "0000-00-00"))
        assert cursor.execute("UPDATE t SET n = 1 WHERE id = 0") == 1, "rows found, changed or not"
    assert told(raw, "SELECT id, name, d + 0 FROM t WHERE id = 0") == (0, SECRET, 0)


def test_a_session_is_as_asked_for(url: str) -> None:
    settings: dict[str, mariadb.Value] = {"time_zone": "+02:00", **mariadb.statement_limit(0.5)}
    with closing(
        mariadb.connect(url, "source", autocommit=False, settings=settings, isolation="REPEATABLE READ", as_text=True)
    ) as raw:
        assert told(raw, "SELECT @@time_zone, @@autocommit, @@tx_isolation, @@lock_wait_timeout") == (
            "+02:00", "0", "REPEATABLE-READ", "1",
        )  # fmt: skip
        assert told(raw, "SELECT date '2024-02-29', 1.50, x'00ff'") == ("2024-02-29", "1.50", b"\x00\xff")
        with pytest.raises(TransientError, match="max_statement_time"), mariadb.target_errors(url):
            told(raw, "SELECT 1 FROM information_schema.tables WHERE sleep(60)")
    with closing(mariadb.connect(url, "source")) as raw:
        assert told(raw, "SELECT date '2024-02-29', @@autocommit") == (date(2024, 2, 29), 1)


def test_passwords_may_have_any_characters(url: str, raw: mariadb.Raw) -> None:
    with raw.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER odd@'%%' IDENTIFIED BY %s", ("é:@/?#%",))
        cursor.execute("GRANT SELECT ON sessions.* TO odd@'%'")
    place = url.partition("@")[2]
    with closing(mariadb.connect(f"mysql://odd:%C3%A9%3A%40%2F%3F%23%25@{place}", "target")) as odd:
        assert told(odd, "SELECT current_user()") == ("odd@%",)
        with pytest.raises(FatalError, match=r"GRANT INSERT ON `sessions`\.`t` TO 'odd'"), mariadb.target_errors(url):
            told(odd, "INSERT INTO t (n) VALUES (1)")
    with pytest.raises(FatalError, match=r"^target .*Access denied.*check user, password") as refused:
        mariadb.connect(f"mariadb://odd:wrong@{place}", "target")
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize(
    ("other", "error", "says"),
    [
        (lambda url: url.replace("/sessions", "/nowhere"), FatalError, "Unknown database 'nowhere'"),
        (lambda url: url.replace("/sessions", ""), FatalError, "names no database"),
        (lambda url: url + "?sslmode=require", FatalError, "unknown parameter sslmode; one of ssl_ca"),
        (lambda url: url.replace("mariadb:", "postgresql:"), FatalError, "not a URL of MariaDB"),
        (lambda url: "mariadb://u:p@127.0.0.1:1/x", TransientError, "Can't connect .*start it, or correct target.url"),
        (lambda url: "mariadb://u:p@nowhere.invalid/x", TransientError, "target nowhere.invalid:3306/x: Can't connect"),
    ],
)
def test_a_url_that_leads_nowhere(url: str, other: Callable[[str], str], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        mariadb.connect(other(url), "target")


@pytest.mark.parametrize(
    ("statement", "error", "reason", "says"),
    [
        ("INSERT INTO t (name, n) VALUES ('taken', 1)", ConflictError, "constraint", r"'\*\*\*' for key 'name'"),
        ("INSERT INTO t (n) VALUES (%(secret)s)", RecordError, "type", r"'\*\*\*' for column .*n"),
        ("INSERT INTO t (n, d) VALUES (1, %(secret)s)", RecordError, "type", r"date value: '\*\*\*' for column .*d"),
        (
            "INSERT INTO t (n, name) VALUES (1, repeat(%(secret)s, 9))",
            RecordError,
            "type",
            "too long for column 'name'",
        ),
        ("INSERT INTO t (n) VALUES (99999999999)", RecordError, "type", "Out of range value for column 'n'"),
        ("INSERT INTO t (n) VALUES (1 / 0)", RecordError, "type", "Division by 0"),
        ("INSERT INTO t (n) SELECT %(secret)s + 1", RecordError, "type", r"DOUBLE value: '\*\*\*'"),
        ("INSERT INTO t (n) VALUES (cast(5 AS unsigned) - 6)", RecordError, "type", "out of range"),
        ("INSERT INTO t (n, name) VALUES (1, x'ff')", RecordError, "type", r"string value: '\*\*\*' for column .*name"),
        ("INSERT INTO t (n) VALUES (-1)", RecordError, "constraint", "t.n"),
        ("INSERT INTO t (n, j) VALUES (1, %(secret)s)", RecordError, "constraint", "t.j"),
        ("INSERT INTO t (n) VALUES (NULL)", RecordError, "constraint", "'n' cannot be null"),
        ("INSERT INTO t (name) VALUES ('x')", RecordError, "constraint", "'n' doesn't have a default"),
        ("INSERT INTO t (n, parent) VALUES (1, 7)", RecordError, "constraint", "foreign key"),
        ("INSERT INTO nowhere VALUES (%(secret)s)", FatalError, None, "nowhere.*the schema changed"),
        ("SELECT nowhere, %(secret)s FROM t", FatalError, None, "Unknown column 'nowhere'.*the schema changed"),
        ("SELECT 1 FROM FROM t WHERE name = %(secret)s", FatalError, None, "syntax.* near 'FROM t WHERE name = ...'"),
        ("ROLLBACK TO SAVEPOINT gone", TransientError, None, "SAVEPOINT gone does not exist"),
    ],
)
def test_errors_of_statements(
    url: str, raw: mariadb.Raw, statement: str, error: type[Exception], reason: str | None, says: str
) -> None:
    with pytest.raises(error, match=says) as raised, mariadb.target_errors(url, table="s.t"), raw.cursor() as cursor:
        cursor.execute(statement, {"secret": SECRET})
    assert "secret" not in str(raised.value)
    assert getattr(raised.value, "reason", None) == reason
    if reason is not None:
        assert str(raised.value).startswith(f"target {mariadb.server_of(url)}, table s.t: ")
    if isinstance(raised.value, ConflictError):
        assert raised.value.table == "s.t"


def test_a_session_that_was_killed(url: str, raw: mariadb.Raw) -> None:
    for _ in range(3):
        with pytest.raises(TransientError), mariadb.target_errors(url):
            told(raw, "KILL CONNECTION_ID()")


def test_a_lock_that_is_not_had_in_time(url: str, raw: mariadb.Raw) -> None:
    engine = mariadb.engine(url, settings={"innodb_lock_wait_timeout": 0})
    told(raw, "SELECT * FROM t FOR UPDATE")
    with pytest.raises(TransientError, match="Lock wait timeout"), mariadb.target_errors(url), engine.begin() as other:
        other.execute(text("UPDATE t SET n = 2"))
    raw.rollback()
    with mariadb.target_errors(url), engine.begin() as other:
        assert other.execute(text("UPDATE t SET n = 1")).rowcount == 1
    engine.dispose()


def test_a_deadlock_is_transient_also_within_a_savepoint(url: str, raw: mariadb.Raw) -> None:
    engine = mariadb.engine(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO t (id, n) VALUES (16, 1), (17, 1)"))

    def cross(mine: int, theirs: int, connection: Connection, ready: Callable[[], object]) -> bool:
        """Whether it got both."""
        try:
            with mariadb.target_errors(url), connection.begin():
                connection.execute(text(f"UPDATE t SET n = 2 WHERE id = {mine}"))
                ready()
                with connection.begin_nested():
                    connection.execute(text(f"UPDATE t SET n = 3 WHERE id = {theirs}"))
        except TransientError:
            return False
        return True

    status = "SELECT variable_value FROM information_schema.global_status WHERE variable_name"
    waiting = f"{status} = 'innodb_row_lock_current_waits'"
    with engine.connect() as one, engine.connect() as two, ThreadPoolExecutor(1) as pool:
        ends = []

        def ready() -> None:
            ends.append(pool.submit(cross, 17, 16, two, lambda: None))
            until(lambda: told(raw, waiting) != ("0",), _BOUND_S, "the other one waits")

        ends_here = cross(16, 17, one, ready)
        assert sorted([ends_here, ends[0].result()]) == [False, True]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t WHERE n = 3")) == 1
        connection.execute(text("DELETE FROM t WHERE id > 5"))
        connection.commit()
    engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A SQLite database with a table `t` and a row."""
    made = f"sqlite:///{tmp_path / 'a b?#%.db'}"
    with closing(sqlite.connect(made, "target", create=True)) as raw:
        raw.execute("CREATE TABLE parent (id integer PRIMARY KEY)")
        raw.execute("CREATE TABLE t (id integer PRIMARY KEY, name text UNIQUE, n int NOT NULL CHECK (n > 0)) STRICT")
        raw.execute("INSERT INTO t VALUES (5, 'taken', 1)")
    return made


def test_the_pragmas_hold(file: str) -> None:
    with closing(sqlite.connect(file, "target", settings={"foreign_keys": "ON"})) as raw:
        names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout")
        assert [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names] == ["wal", 2, 1, 1, 10000]
        assert not raw.in_transaction
        raw.execute("INSERT INTO t VALUES (6, 'x', 1)")
        assert not raw.in_transaction, "nothing begins by itself"


def test_a_writer_shuts_out_writers_and_no_readers(file: str) -> None:
    engine = sqlite.engine(file, timeout_s=0)
    with engine.begin() as writer:
        writer.execute(text("DELETE FROM t"))
        with pytest.raises(TransientError, match="locked"), sqlite.target_errors(file), engine.begin():
            pass
        with engine.connect().execution_options(**{sqlite.BEGIN: "DEFERRED"}) as reader:
            assert reader.scalar(text("SELECT count(*) FROM t")) == 1
        with writer.begin_nested() as savepoint:
            writer.execute(text("INSERT INTO t VALUES (7, 'y', 1)"))
            savepoint.rollback()
    with engine.begin() as writer:
        assert writer.scalar(text("SELECT count(*) FROM t")) == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///{}/nowhere.db", "unable to open.*a new database is an empty file"),
        ("sqlite:///{}", "unable to open"),
        ("sqlite:///{}/text.db", "not a database.*correct the path"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///x.db?mode=ro", "not a URL of a SQLite file"),
        ("mysql://x/y", "not a URL of a SQLite file"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, url: str, says: str) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to look at its header " * 100)
    with pytest.raises(FatalError, match=says):
        sqlite.connect(url.format(tmp_path), "target")
    assert not (tmp_path / "nowhere.db").exists()


@pytest.mark.parametrize(
    ("statement", "value", "error", "reason", "says"),
    [
        ("INSERT INTO t VALUES (1, 'taken', ?)", 1, ConflictError, "constraint", "UNIQUE constraint failed: t.name"),
        ("INSERT INTO t VALUES (5, ?, 1)", SECRET, ConflictError, "constraint", "UNIQUE constraint failed: t.id"),
        ("INSERT INTO t VALUES (6, 'x', ?)", SECRET, RecordError, "type", "cannot store TEXT value in INT column t.n"),
        ("INSERT INTO t VALUES (?, 'x', 1)", SECRET, RecordError, "type", "datatype mismatch"),
        ("INSERT INTO t VALUES (6, 'x', ?)", 1 << 64, RecordError, "type", "more than 64 bits"),
        ("INSERT INTO t VALUES (6, ?, 1)", "secret\ud800", RecordError, "type", "no UTF-8"),
        ("SELECT json(?)", SECRET, RecordError, "type", "malformed JSON"),
        ("SELECT cast(? AS text)", b"secret\xff", RecordError, "type", "Could not decode"),
        ("INSERT INTO t VALUES (6, ?, NULL)", SECRET, RecordError, "constraint", "NOT NULL constraint failed: t.n"),
        ("INSERT INTO t VALUES (6, ?, -1)", SECRET, RecordError, "constraint", "CHECK constraint failed"),
        ("INSERT INTO t VALUES (6, zeroblob(?), 1)", 1 << 40, RecordError, "too_large", "too big"),
        ("SELECT ? FROM nowhere", SECRET, FatalError, None, "no such table: nowhere.*the schema changed"),
        ("SELECT t.nowhere, ? FROM t", SECRET, FatalError, None, "no such column: t.nowhere.*the schema changed"),
        ("SELECT SELECT ?", SECRET, FatalError, None, "syntax error"),
    ],
)
def test_errors_of_a_file(
    file: str, statement: str, value: object, error: type[Exception], reason: str | None, says: str
) -> None:
    with (
        pytest.raises(error, match=says) as raised,
        closing(sqlite.connect(file, "target")) as raw,
        sqlite.target_errors(file),
    ):
        raw.execute(statement, (value,)).fetchall()
    assert "secret" not in str(raised.value)
    assert getattr(raised.value, "reason", None) == reason
    if isinstance(raised.value, ConflictError):
        assert raised.value.table == "t"


def test_other_programs_can_read_and_tidy_the_file(file: str) -> None:
    engine = sqlite.engine(file)
    with engine.begin() as connection:
        ControlStore("p").ensure(connection)
        ControlStore("p").audit.add(connection, "me", "pause")
    engine.dispose()
    with closing(sqlite3.connect(sqlite.server_of(file))) as plain:
        assert plain.execute("SELECT who FROM changeover_audit").fetchall() == [("me",)]
        plain.execute("VACUUM")
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
