"""A target in which nothing lasts: its transactions are savepoints of one that is rolled back.

What runs on it is the real thing, statement by statement. What a rollback does not take back is said in
docs/plan-and-explain.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from connectors.postgresql.session import target_errors
from connectors.postgresql.transaction import STAGES, TargetTransaction

IDLE_S = 30
"""How long the server lets the transaction sit idle, should this process be stopped or cut off with it."""


class Rehearsal:
    """A `Target`. lasting: nothing; what one transaction did the next one sees, until the end of the rehearsal."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url
        self._created: set[int] = set()

    @contextmanager
    def begin(self) -> Iterator[TargetTransaction]:
        """A savepoint: taken back on any error. Staging tables are empty at its begin, as after a commit."""
        with target_errors(self._url):
            with self._connection.begin_nested():
                transaction = TargetTransaction(self._connection, self._url)
                transaction.created = set(self._created)
                self._empty(transaction)
                yield transaction
            self._created |= transaction.created

    def _empty(self, transaction: TargetTransaction) -> None:
        for number in sorted(self._created | self._connection.info.get(STAGES, set())):
            transaction.raw.execute(f"TRUNCATE pg_temp.stage_{number}, pg_temp.stage_text_{number}".encode())


@contextmanager
def rehearsed(connection: Connection, url: str, *, lock_timeout_s: float, one_snapshot: bool) -> Iterator[Rehearsal]:
    """A rehearsal on this connection, rolled back at the end of the block, whatever happens in it.

    one_snapshot: all of it sees the target as it was at its first statement.
    """
    with target_errors(url):
        outer = connection.begin()
        try:
            if one_snapshot:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_timeout_s * 1000)}"))
            connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'"))
            yield Rehearsal(connection, url)
        finally:
            outer.rollback()
