"""An SQL target's transactions, over SQLAlchemy's pool: ordinary ones, several on one session, and rehearsals.

A rehearsal is a target in which nothing lasts: its transactions are savepoints of one that is rolled back. What runs in
it is the real thing, statement by statement; what a rollback does not take back is said in docs/plan-and-explain.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine

from connectors.seams import MissingGrant, Names
from connectors.sql.dialect import Dialect
from connectors.sql.stage import Stage
from connectors.sql.transaction import STAGES, SqlTransaction, committed
from connectors.tables import MappedTable
from connectors.wire import WireColumn
from mappers.dialects import Dialect as Expressions
from mappers.mapping import Entry, Table


class SqlTarget(ABC):
    """Connections to a target. Thread-safe: every transaction takes its own from the pool.

    dialect: how its statements are written. expressions: the dialect of its mappings. enforces_triggers: sessions fire
    triggers and check foreign keys; known after the first connection.
    """

    dialect: Dialect
    expressions: Expressions
    url: str
    engine: Engine
    enforces_triggers: bool

    @abstractmethod
    def stage_of(self, mapped: MappedTable) -> Stage:
        """The SQL of a mapped table's staging tables."""

    @abstractmethod
    def transaction(self, connection: Connection) -> SqlTransaction:
        """The engine's own transaction on this connection, before it begins."""

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into the error tree."""

    @abstractmethod
    def broken(self, connection: Connection) -> bool:
        """Whether the connection is of no use any more."""

    @abstractmethod
    def one_snapshot(self, connection: Connection) -> None:
        """Let the connection's next transaction see the target as it is at its first statement, to its end."""

    def reading(self, connection: Connection) -> None:  # noqa: B027
        """The connection's next transaction writes staging tables at most. Before it."""

    def hurried(self, connection: Connection, lock_timeout_s: float) -> None:  # noqa: B027
        """How long the connection's next transaction may wait to begin. Before it."""

    @abstractmethod
    def patience(self, connection: Connection, lock_timeout_s: float) -> None:
        """Within the transaction: how long a lock is waited for, and that the session is not left idle for ever."""

    @property
    @abstractmethod
    def where(self) -> str:
        """The server, for messages."""

    @abstractmethod
    def tables(self, names: Names | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""

    @abstractmethod
    def missing_grants(self, names: Names, rights: Sequence[str]) -> list[MissingGrant]:
        """What the role may not do with these tables."""

    @abstractmethod
    def functions(self) -> frozenset[str]:
        """Names of functions that give one value for one row, whenever and by whomever they are called."""

    @abstractmethod
    def locale(self) -> str:
        """The database's locale; two databases of one engine with the same one agree on lower() and on order."""

    @abstractmethod
    def known_types(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> the type it is staged as: the target's type for the same values, else text.

        wires: the columns as they travel; their types are in the source's own spelling.
        """

    def carried(self, table: Table, wires: Sequence[WireColumn]) -> dict[str, str]:
        """Source column -> the type that `describe` gives the column as it is."""
        return self.known_types(table, wires)

    def obstacles(self, entry: Entry) -> list[tuple[str, str]]:
        """(what, how to mend it) of everything about the target table by which the engine would not keep rows exactly,
        besides types, rights and foreign keys."""
        return []

    @abstractmethod
    def describe(self, mapped: MappedTable, entry: Entry) -> list[tuple[str, str]]:
        """Prepare the entry's projection: (target column, type the engine gives its expression).

        Raises FatalError with the engine's words for an expression that it does not accept.
        """

    def notes(self) -> list[str]:
        """What `status` says of the way in which the engine is used, where there is a choice."""
        return []

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    @contextmanager
    def begin(self, *, one_snapshot: bool = False, reading: bool = False) -> Iterator[SqlTransaction]:
        """One transaction, committed at the end of the block, rolled back on any error.

        one_snapshot: all of it sees one state of the target. reading: it writes staging tables at most, so that an
        engine with one writer lets it run beside that. Raises TransientError when the server goes away, also where it
        is unknown whether the COMMIT was carried out.
        """
        with self._connection() as connection:
            if reading:
                self.reading(connection)
            if one_snapshot:
                self.one_snapshot(connection)
            transaction = self.transaction(connection)
            with committed(transaction):
                yield transaction

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Several transactions on one database session: a chunk worker's claim ends with its session."""
        with self._connection() as connection:
            yield Session(self, connection)

    @contextmanager
    def rehearse(self, lock_timeout_s: float, *, one_snapshot: bool = False) -> Iterator[Rehearsal]:
        """A target in which nothing lasts: one transaction, rolled back at the end of the block.

        A lock that is not had within `lock_timeout_s` is a TransientError. one_snapshot: all of it sees one state.
        """
        with self._connection() as connection:
            if one_snapshot:
                self.one_snapshot(connection)
            self.hurried(connection, lock_timeout_s)
            outer = connection.begin()
            try:
                self.patience(connection, lock_timeout_s)
                yield Rehearsal(self, connection)
            finally:
                outer.rollback()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self.errors(), self.engine.connect() as connection:
            try:
                yield connection
            finally:
                if not connection.invalidated and self.broken(connection):
                    connection.invalidate()


class Session:
    """One database session: its transactions see each other's temporary tables and share one identity."""

    def __init__(self, target: SqlTarget, connection: Connection) -> None:
        self._target = target
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """One transaction on this session."""
        transaction = self._target.transaction(self._connection)
        with self._target.errors(), committed(transaction):
            yield transaction


class Rehearsal:
    """A `Target`. What one transaction did the next one sees, until the end of the rehearsal."""

    def __init__(self, target: SqlTarget, connection: Connection) -> None:
        self._target = target
        self._connection = connection
        self._created: set[int] = set()

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """A savepoint: taken back on any error. Staging tables are empty at its begin, as after a commit."""
        with self._target.errors():
            with self._connection.begin_nested():
                transaction = self._target.transaction(self._connection)
                transaction.created = set(self._created)
                transaction.clear_stages(self._created | self._connection.info.get(STAGES, set()))
                yield transaction
            self._created |= transaction.created
