"""PostgreSQL as a target: one transaction stages a batch, projects it, merges it, and carries the control state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError

from connectors.postgresql import merge
from connectors.postgresql.catalogue import load_functions, load_tables
from connectors.postgresql.session import connect, role_of, server_of, translate
from connectors.postgresql.source import locale_of
from connectors.postgresql.stage import NUMBER, Stage
from connectors.seams import Staged, StagedText, TextRow
from connectors.tables import MappedTable
from mappers.errors import ChangeoverError, ConflictError, FatalError, TransientError
from mappers.mapping import Entry, Table
from mappers.projection import affected, qualified

PLANNER = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET random_page_cost = 1.1"
"""A staged batch is small beside its target table: always look rows up by the key's index."""


STAGES = "changeover_stages"
"""Where a pooled connection remembers which staging tables it has (a rollback takes new ones away again)."""


HOLDER = -1
"""Ordinal of staged rows that are only there to be compared and removed."""


class PostgresTarget:
    """Connections to the target. Thread-safe: every transaction takes its own connection from the pool."""

    def __init__(self, url: str, *, timeout_s: int = 10) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self.enforces_triggers = True
        self.engine: Engine = create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_size=2, max_overflow=4, pool_reset_on_return="rollback"
        )

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[TargetTransaction]:
        """One transaction, committed at the end of the block, rolled back on any error.

        Raises TransientError when the server goes away, also where it is unknown whether the COMMIT was carried out.
        """
        with self._translated(), self.engine.connect() as connection:
            try:
                with _committed(connection) as transaction:
                    yield transaction
            except BaseException:
                _drop_if_broken(connection)
                raise

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Several transactions on one database session: a chunk worker's claim ends with its session."""
        with self._translated(), self.engine.connect() as connection:
            try:
                yield Session(connection, self._translated)
            finally:
                _drop_if_broken(connection)

    def tables(self, names: Sequence[tuple[str, str]] | None = None) -> dict[str, Table]:
        """The catalogue's records of these tables, or of all of them; an unknown one is absent."""
        with self.begin() as transaction:
            return load_tables(transaction.raw, names)

    def functions(self) -> frozenset[str]:
        """Names of functions that the target's catalogue calls immutable."""
        with self.begin() as transaction:
            return load_functions(transaction.raw)

    def locale(self) -> str:
        """The database's locale, as `PostgresSource.locale` gives it."""
        with self.begin() as transaction:
            return locale_of(transaction.raw)

    def known_types(self, table: Table, columns: Sequence[str]) -> dict[str, str]:
        """Source column -> the type it is staged as: its own where the target has the same, else text."""
        with self.begin() as transaction:
            return {name: _known_type(transaction.raw, table, name) for name in columns}

    def describe(self, mapped: MappedTable, entry: Entry) -> list[tuple[str, str]]:
        """Prepare the entry's projection: (target column, type the engine gives its expression).

        Raises FatalError with the engine's words for an expression that it does not accept.
        """
        stage = stage_of(mapped)
        expressions = ", ".join(column.expression.sql for column in entry.columns)
        where = f" WHERE {entry.where.sql}" if entry.where else ""
        query = f"SELECT {expressions} FROM {stage.empty()} AS s{where}"
        with self.begin() as transaction:
            cursor = transaction.raw.execute(query.encode())
            result = cursor.pgresult
            assert result is not None
            shapes = [(result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
            oids, modifiers = [list(part) for part in zip(*shapes, strict=True)]
            names = transaction.raw.execute(
                "SELECT format_type(o, m) FROM unnest(%s::oid[], %s::int[]) AS x(o, m)", (oids, modifiers)
            )
            return [(column.name, row[0]) for column, row in zip(entry.columns, names, strict=True)]

    def _connect(self) -> psycopg.Connection:
        connection = connect(self.url, "target", timeout_s=self._timeout_s)
        connection.execute(PLANNER.encode())
        try:
            connection.execute("SET session_replication_role = replica")
            self.enforces_triggers = False
        except pg.InsufficientPrivilege:
            self.enforces_triggers = True
        connection.autocommit = False
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ChangeoverError:
            raise
        except DBAPIError as error:
            raise _classify(error.orig, self.url, error) from error
        except psycopg.Error as error:
            raise _classify(error, self.url, error) from error


class TargetTransaction:
    """What may be done within one transaction of the target.

    control: for `ControlStore`. raw: the driver's connection underneath, the same transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.control = connection
        self.created: set[int] = set()
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self.raw: psycopg.Connection = raw

    def merge(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> list[int]:
        """Stage rows of the stream and merge them. groups[i]: the columns that did not travel in group i + 1.

        Returns ordinals that no entry takes (filtered). The rows in a group must have a target row (`absent`).
        """
        relation = self.stage(mapped, rows)
        gone = any(row[1] for row in rows)
        return self._merge(mapped, relation, groups, deletes=gone, everything=False)

    def stage(self, mapped: MappedTable, rows: Sequence[Staged]) -> str:
        """Load rows of the stream into the wire table; returns the relation to select from."""
        stage = self._prepared(mapped)
        with self.raw.cursor() as cursor:
            stage.load(cursor, rows)
        return stage.typed(stage.wire_name)

    def absent(self, mapped: MappedTable, rows: Sequence[Staged], groups: Sequence[frozenset[str]]) -> set[int]:
        """Ordinals of rows in a group that have no target row to take the other values from. Leaves no rows staged."""
        stage = self._prepared(mapped)
        relation = self.stage(mapped, rows)
        found: set[int] = set()
        for entry in mapped.entries:
            for group in range(1, len(groups) + 1):
                found.update(self._ordinals(merge.absent(entry, relation, group)))
        self.raw.execute(f"TRUNCATE {stage.wire_name}".encode())
        return found

    def merge_text(self, mapped: MappedTable, rows: Sequence[StagedText], *, replace: bool) -> list[int]:
        """Stage rows in the source's text form and merge them; `replace` deletes all their target rows first.

        Returns ordinals that no entry takes.
        """
        relation = self.stage_text(mapped, rows)
        return self._merge(mapped, relation, (), deletes=True, everything=replace)

    def stage_text(self, mapped: MappedTable, rows: Sequence[StagedText]) -> str:
        """Load rows in the source's text form; what was staged so before is replaced. Returns the relation."""
        stage = self._prepared(mapped)
        self.raw.execute(f"TRUNCATE {stage.text_name}".encode())
        with self.raw.cursor() as cursor:
            stage.load_text(cursor, rows)
        return stage.typed(stage.text_name)

    def conflicting(self, mapped: MappedTable, rows: Sequence[StagedText]) -> set[TextRow]:
        """Source keys, as text, of target rows holding a unique value that one of these rows needs.

        Raises FatalError where such a row's source key cannot be told from the target row.
        """
        self.stage_text(mapped, rows)
        return self.conflicting_staged(mapped)

    def conflicting_staged(self, mapped: MappedTable) -> set[TextRow]:
        """The same for rows that already stand in the text table."""
        found: set[TextRow] = set()
        stage = self._prepared(mapped)
        relation = stage.typed(stage.text_name)
        for entry in mapped.entries:
            for unique in entry.target.uniques:
                if unique.partial or not any(c.name in unique.columns for c in entry.columns):
                    continue
                if not entry.carrier:
                    raise FatalError(
                        f"rows exchange values of {unique.name}, and the target row does not carry its source key",
                        where=entry.name,
                        hint=f"add a target column that carries {', '.join(entry.source_key)} verbatim",
                    )
                query = merge.conflicts(entry, relation, unique.columns, entry.carrier)
                found.update(tuple(row) for row in self.raw.execute(query.encode()))
        return found

    def evict(self, mapped: MappedTable, holders: Sequence[StagedText]) -> None:
        """Remove the target rows of `holders`, which hold unique values that the rows in the text table need.

        The holders come as the source has them at the snapshot of the staged rows. Raises FatalError when one of them
        still has such a value there: then the conflict is the data's own.
        """
        stage = self._prepared(mapped)
        with self.raw.cursor() as cursor:
            stage.load_text(cursor, [(HOLDER, gone, values) for _, gone, values in holders])
        relation = stage.typed(stage.text_name)
        for entry in mapped.entries:
            for unique in entry.target.uniques:
                if unique.partial or not any(c.name in unique.columns for c in entry.columns):
                    continue
                if self.raw.execute(merge.duplicates(entry, relation, unique.columns).encode()).fetchone():
                    raise FatalError(
                        f"two source rows have the same value for {unique.name}",
                        where=entry.name,
                        hint="mend the mapping, the constraint, or the source's rows",
                    )
            mine = f"(SELECT * FROM {relation} AS x WHERE {NUMBER} = {HOLDER})"
            self.raw.execute(merge.delete(entry, mine, everything=True).encode())
        self.raw.execute(f"DELETE FROM {stage.text_name} WHERE n = {HOLDER}".encode())

    def truncate(self, mapped: MappedTable) -> None:
        """Empty every table that this source table feeds."""
        for entry in mapped.entries:
            self.raw.execute(f"DELETE FROM {qualified(entry.target)}".encode())

    def has_rows(self, table: Table) -> bool:
        """Whether the table holds any row."""
        row = self.raw.execute(f"SELECT EXISTS (SELECT FROM {qualified(table)})".encode()).fetchone()
        return bool(row and row[0])

    def insert_staged(self, mapped: MappedTable) -> None:
        """Insert what stands in the text table: a chunk whose projection could not be pushed down."""
        stage = self._prepared(mapped)
        relation = stage.typed(stage.text_name)
        for entry in mapped.entries:
            self.raw.execute(merge.insert(entry, relation).encode())

    def prepare_text(self, mapped: MappedTable) -> str:
        """Make sure the text table exists and is empty; returns its name."""
        stage = self._prepared(mapped)
        self.raw.execute(f"TRUNCATE {stage.text_name}".encode())
        return stage.text_name

    def _merge(
        self,
        mapped: MappedTable,
        relation: str,
        groups: Sequence[frozenset[str]],
        *,
        deletes: bool,
        everything: bool,
    ) -> list[int]:
        query = merge.filtered(mapped.entries, relation)
        filtered = self._ordinals(query) if query else []
        for entry in mapped.entries:
            if deletes or entry.where is not None or not entry.key_is_derived:
                self.raw.execute(merge.delete(entry, relation, everything=everything).encode())
            self.raw.execute(merge.upsert(entry, relation).encode())
            for group, missing in enumerate(groups, start=1):
                statement = merge.update(entry, relation, group, affected(entry, missing).untouched)
                if statement:
                    self.raw.execute(statement.encode())
        return filtered

    def _ordinals(self, query: str) -> list[int]:
        return [row[0] for row in self.raw.execute(query.encode())]

    def _prepared(self, mapped: MappedTable) -> Stage:
        stage = stage_of(mapped)
        if mapped.number not in self.control.info.get(STAGES, ()) and mapped.number not in self.created:
            self.raw.execute(stage.ddl().encode())
            self.created.add(mapped.number)
        return stage


class Session:
    """One database session: its transactions see each other's temporary tables and share one identity."""

    def __init__(self, connection: Connection, translated: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._translated = translated

    @contextmanager
    def begin(self) -> Iterator[TargetTransaction]:
        """One transaction on this session."""
        with self._translated(), _committed(self._connection) as transaction:
            yield transaction


@contextmanager
def _committed(connection: Connection) -> Iterator[TargetTransaction]:
    transaction = TargetTransaction(connection)
    with connection.begin():
        yield transaction
    connection.info.setdefault(STAGES, set()).update(transaction.created)


def stage_of(mapped: MappedTable) -> Stage:
    """The staging tables of a mapped table."""
    return Stage(mapped.number, mapped.wires, mapped.types)


def _known_type(connection: psycopg.Connection, table: Table, name: str) -> str:
    column = table.column(name)
    row = connection.execute(
        "SELECT t.oid, ARRAY(SELECT enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY enumsortorder)"
        " FROM (SELECT to_regtype(%s) AS oid) t",
        (column.type,),
    ).fetchone()
    if row is None or row[0] is None or tuple(row[1]) != column.labels:
        return "text"
    return column.type


def _drop_if_broken(connection: Connection) -> None:
    raw = connection.connection.driver_connection if not connection.invalidated else None
    if isinstance(raw, psycopg.Connection) and (raw.broken or raw.closed):
        connection.invalidate()


def _classify(error: BaseException | None, url: str, outer: Exception) -> ChangeoverError:
    where = "target " + server_of(url)
    if isinstance(error, pg.UniqueViolation | pg.ExclusionViolation):
        table = f"{error.diag.schema_name}.{error.diag.table_name}"
        return ConflictError(str(error.diag.message_primary), table=table, where=f"{where}, table {table}")
    if isinstance(error, pg.CardinalityViolation):
        return FatalError(
            "two source rows of one batch became one target row", where=where, hint="make the key expressions injective"
        )
    if isinstance(error, psycopg.Error):
        return translate(error, where, role_of(url))
    return TransientError(str(outer).splitlines()[0], where=where)
