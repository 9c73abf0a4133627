"""What the mutants of the product are run through: stories that the unbroken product comes out of with equal content.

`live` is the ordinary one. The others bring about, without leaving it to chance, the moment that one rule is there for.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.support import workload
from tests.support.databases import open_url
from tests.support.lives import Lives
from tests.support.polling import NotReached, until
from tests.support.processes import Daemon

BOUND_S = 40
WRONG_S = 3
"""How long a broken product is given to go wrong; a sound one waits through it."""


class StoryBroken(Exception):
    """The story itself did not come about: nothing is said about the product."""


def live(lives: Lives) -> None:
    """A backfill under live writes, killed in the middle, gone on with, killed again, and checked."""
    lives.reset()
    lives.count(worker=True, chunks_left=20, events=1, timeout_s=BOUND_S)
    lives.count(worker=True, chunks_left=0, events=300, timeout_s=BOUND_S)
    _check(lives)


def late(lives: Lives) -> None:
    """A commit that cannot be seen yet is in the stream, then its row's chunk is read, then it can be seen."""
    with _streaming(lives) as daemon, unseen(lives, "UPDATE docs SET title = 'seen late' WHERE score > 0"):
        loaded = lives.pipeline.events("already_loaded")
        _does_not_wait(lambda: lives.pipeline.events("already_loaded") > loaded)
        lives.begin_worker(daemon)
        lives.pipeline.until(daemon, lambda: lives.chunks_left() == 0, BOUND_S, "every chunk is done")
    _check(lives)


def early(lives: Lives) -> None:
    """A commit that cannot be seen yet is in the log before the pipeline is started."""
    lives.reset()
    with lives.paused(), unseen(lives, "UPDATE docs SET title = 'seen late' WHERE score > 0"):
        daemon = lives.begin(worker=False)
        lives.pipeline.until(daemon, lives.pipeline.chunks, BOUND_S, "the pipeline to be started")
        lives.begin_worker(daemon)
        _does_not_wait(lambda: lives.chunks_left() == 0)
    _check(lives)


def held(lives: Lives) -> None:
    """Rows change while their chunk is being read: after its snapshot, and before it is written."""
    with _streaming(lives) as daemon:
        with locked(lives, "app.documents"):
            lives.begin_worker(daemon)
            lives.pipeline.until(daemon, lambda: _state(lives, "public.docs", 0) == "reading", BOUND_S, "a chunk read")
            lives.pipeline.until(daemon, lambda: waiting(lives) > 0, BOUND_S, "its rows wait for the lock")
            at_source(
                lives, "UPDATE docs SET title = 'while read' WHERE id = (SELECT id FROM docs ORDER BY id LIMIT 1)"
            )
            loaded = lives.pipeline.events("already_loaded")
            _does_not_wait(lambda: lives.pipeline.events("already_loaded") > loaded)
        lives.pipeline.until(daemon, lambda: lives.chunks_left() == 0, BOUND_S, "every chunk is done")
    _check(lives)


def fenced(lives: Lives) -> None:
    """A row of a chunk that was not read yet is read by itself, together with rows it has to do with; then it changes.

    It is in one transaction with two rows that exchange a unique value, which takes a resync of all three.
    """
    more = "SELECT 'lower', 5000 + i, 'more ' || i FROM generate_series(1, 200) i ON CONFLICT (zone, number) DO NOTHING"
    at_source(lives, f"INSERT INTO seats {more}")
    with _streaming(lives) as daemon:
        _load_first_of_seats(lives, daemon)
        first = "SELECT zone, number FROM seats ORDER BY zone, number LIMIT 2"
        last = "SELECT zone, number FROM seats ORDER BY zone DESC, number DESC LIMIT 1"
        exchange = (
            f"UPDATE seats s SET label = o.label FROM ({first}) a JOIN seats o USING (zone, number), ({first}) b"
            " WHERE (s.zone, s.number) = (b.zone, b.number) AND (a.zone, a.number) <> (b.zone, b.number)"
        )

        def both(number: int) -> bool:
            mark = f"at once {number}"
            at_source(lives, f"BEGIN; UPDATE seats SET holder = '{mark}' WHERE (zone, number) = ({last})", exchange)
            written = f"SELECT count(*) FROM app.seats WHERE holder = '{mark}'"
            with suppress(NotReached):
                until(lambda: at_target(lives, written) == 1, 4, "")
                return True
            return False

        if not any(both(number) for number in range(5)):
            raise StoryBroken("the exchange never met the row")
        consumed = lives.pipeline.consumed()
        at_source(lives, f"UPDATE seats SET holder = 'later' WHERE (zone, number) = ({last})")
        lives.pipeline.until(daemon, lambda: lives.pipeline.consumed() > consumed + 2, BOUND_S, "the later change")
    lives.end()
    _check(lives)


STORIES: dict[str, Callable[[Lives], None]] = {
    "live": live, "late": late, "early": early, "held": held, "fenced": fenced,
}  # fmt: skip


# -- scenes ------------------------------------------------------------------------------------------------------------


def _check(lives: Lives) -> None:
    lives.check(workload.QUESTIONS, BOUND_S)


@contextmanager
def _streaming(lives: Lives) -> Iterator[Daemon]:
    """A pipeline that streams, at the stream's end, with no chunk read yet and the source at rest."""
    lives.reset()
    daemon = lives.begin(worker=False)
    lives.pipeline.until(daemon, lives.pipeline.chunks, BOUND_S, "the pipeline to be started")
    with lives.paused():
        lives.pipeline.until(daemon, lambda: _at_end(lives), BOUND_S, "the stream is at its end")
        yield daemon


def _at_end(lives: Lives) -> bool:
    tables = lives.pipeline.status().raw["tables"].values()
    return not any(table["backlog_events"] for table in tables)


def _load_first_of_seats(lives: Lives, daemon: Daemon) -> None:
    """Load every chunk up to the first one of seats, and no other of them."""
    lock = "LOCK TABLE app.seats IN SHARE ROW EXCLUSIVE MODE"
    url = lives.pipeline.databases.target_url
    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        one.execute(lock)
        lives.begin_worker(daemon)
        lives.pipeline.until(daemon, lambda: waiting(lives) == 1, BOUND_S, "the first chunk waits")
        queued = threading.Thread(target=two.execute, args=(lock,), daemon=True)
        queued.start()  # is served after the first chunk and before the second
        lives.pipeline.until(daemon, lambda: waiting(lives) == 2, BOUND_S, "the second lock waits")
        one.rollback()
        queued.join(BOUND_S)
        lives.pipeline.until(daemon, lambda: waiting(lives) == 1, BOUND_S, "the second chunk waits")
        os.kill(daemon.beside.pop().pid, signal.SIGKILL)
    states = [chunk.state for (table, _), chunk in sorted(lives.pipeline.chunks().items()) if table == "public.seats"]
    if states[:2] != ["done", "reading"] or states[-1] != "pending":
        raise StoryBroken(f"the chunks of seats are {states}")


def _state(lives: Lives, table: str, number: int) -> str:
    chunk = lives.pipeline.chunks().get((table, number))
    return chunk.state if chunk else ""


def waiting(lives: Lives) -> int:
    """Sessions of the target that wait for a lock."""
    return at_target(lives, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")


def at_source(lives: Lives, *statements: str) -> None:
    """Run statements at the source; with BEGIN in front, as one transaction."""
    with open_url(lives.pipeline.databases.source_url) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        if statements[0].startswith("BEGIN"):
            connection.execute("COMMIT")


def at_target(lives: Lives, query: str) -> int:
    """A number that the target tells."""
    with open_url(lives.pipeline.databases.target_url) as connection:
        return int(str(_value(connection, query)))


@contextmanager
def locked(lives: Lives, table: str) -> Iterator[None]:
    """Nobody writes the target's table for the length of the block."""
    with psycopg.connect(lives.pipeline.databases.target_url) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        yield


def _does_not_wait(look: Callable[[], bool]) -> None:
    """Give a product that does not wait the time to go wrong."""
    with suppress(NotReached):
        until(look, WRONG_S, "")


@contextmanager
def unseen(lives: Lives, statement: str) -> Iterator[None]:
    """For the length of the block, a transaction is committed in the log and delivered, and no snapshot sees it.

    It waits for a synchronous standby that there is not; that is how it is for every commit for some microseconds.
    """
    with open_url(lives.pipeline.databases.source_url) as control:
        control.execute("ALTER SYSTEM SET synchronous_commit = local")
        control.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        control.execute("SELECT pg_reload_conf()")
        try:
            with _hidden(lives, control, statement):
                yield
        finally:
            control.execute("ALTER SYSTEM RESET synchronous_commit")
            control.execute("ALTER SYSTEM RESET synchronous_standby_names")
            control.execute("SELECT pg_reload_conf()")


@contextmanager
def _hidden(lives: Lives, control: psycopg.Connection, statement: str) -> Iterator[None]:
    with psycopg.connect(lives.pipeline.databases.source_url) as connection:
        connection.execute("SET synchronous_commit = on")
        until(lambda: _value(connection, "SHOW synchronous_standby_names") == "nobody", 20, "the setting")
        connection.execute(statement.encode())
        commit = threading.Thread(target=connection.commit, daemon=True)
        commit.start()
        pid = connection.info.backend_pid
        waits = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'SyncRep'"
        until(lambda: _value(control, waits) == 1, 20, "the commit waits for a standby")
        try:
            _delivered(control)
            yield
        finally:
            control.execute("SELECT pg_cancel_backend(%s)", (pid,))
            commit.join(20)


def _delivered(control: psycopg.Connection) -> None:
    """Wait until the connector has confirmed the log up to here."""
    position = _value(control, "SELECT pg_current_wal_insert_lsn()")
    control.execute("SELECT pg_logical_emit_message(true, 'test', '')")
    confirmed = (
        f"SELECT confirmed_flush_lsn >= '{position}' FROM pg_replication_slots WHERE database = current_database()"
    )
    until(lambda: _value(control, confirmed), 20, "the commit is delivered")


def _value(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
