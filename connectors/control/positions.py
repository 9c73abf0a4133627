"""Where every partition stands: the next offset, moved by compare-and-set, and the ledger kept beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Row, Select, Update, bindparam, case, func, insert, select, tuple_, update

from connectors.change import Sequence2
from connectors.chunks import LEDGER_FIELDS, Advance, Ledger, Position
from connectors.control.dialects import MARIADB, POSTGRESQL, SQLITE, by_key, engine_of, now
from connectors.control.journal import MOVED, Journal, log_of, logged
from connectors.control.schema import checkpoint
from mappers.errors import FencedError


class Positions:
    """Reads and writes of one pipeline's positions, by its name.

    The statements of every batch are built once: to build one costs more than to run it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        mine = select(checkpoint).where(checkpoint.c.pipeline == name)
        self._all = mine.order_by(checkpoint.c.topic, checkpoint.c.partition)
        wanted = tuple_(checkpoint.c.topic, checkpoint.c.partition).in_(bindparam("wanted", expanding=True))
        self._lock = by_key(self._all, checkpoint).where(wanted).with_for_update()
        self._advance = _advance_statement(name)
        self._move = _move_statement(name)
        self._log = {engine: log_of(engine, name) for engine in (MARIADB, SQLITE)}
        self._journal = Journal(name)

    def add(self, connection: Connection, positions: Iterable[Position]) -> None:
        """Write the first position of each partition, and note it in the journal."""
        positions = list(positions)
        rows = [
            {
                "pipeline": self.name,
                "topic": p.topic,
                "partition": p.partition,
                "table_name": p.table,
                "next_offset": p.next_offset,
                "topic_id": p.topic_id,
                "commit_lsn": p.high_water[0],
                "event_lsn": p.high_water[1],
            }
            for p in positions
        ]
        if rows:
            connection.execute(insert(checkpoint), rows)
            self._journal.begin(connection, positions)

    def all(self, connection: Connection) -> list[Position]:
        """Every partition's position, in (topic, partition) order."""
        return [_position(row) for row in connection.execute(self._all)]

    def lock(self, connection: Connection, expected: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], Position]:
        """Lock the partitions' rows, in order, and compare: (topic, partition) -> the offset this process believes in.

        Raises FencedError when one has moved, or is gone: another process owns that partition.
        """
        rows = connection.execute(self._lock, {"wanted": list(expected)})
        found = {(p.topic, p.partition): p for p in map(_position, rows)}
        for where, offset in expected.items():
            stored = found[where].next_offset if where in found else None
            if stored != offset:
                raise FencedError(
                    f"the position in the target is {stored}, this process is at {offset}",
                    where=f"{where[0]}[{where[1]}]",
                    hint="another process owns this partition; this one rolled back",
                )
        return found

    def lock_table(self, connection: Connection, table: str) -> list[Position]:
        """Lock and read every position of the table, in order: no batch of it is in flight till the commit.

        InnoDB would wait for the rows of other tables too, which it reads on the way: there the keys are looked up
        first. A partition never changes its table.
        """
        mine = self._all.where(checkpoint.c.table_name == table)
        if engine_of(connection) != MARIADB:
            return [_position(row) for row in connection.execute(mine.with_for_update())]
        wanted = [(row.topic, row.partition) for row in connection.execute(mine)]
        return [_position(row) for row in connection.execute(self._lock, {"wanted": wanted})]

    def raise_water(self, connection: Connection, table: str, water: Sequence2) -> None:
        """Raise the high water of the table's partitions to `water` where it is lower: what is below is an old copy."""
        below = tuple_(checkpoint.c.commit_lsn, checkpoint.c.event_lsn) < tuple_(*water)
        mine = (checkpoint.c.pipeline == self.name, checkpoint.c.table_name == table)
        connection.execute(update(checkpoint).where(*mine, below).values(commit_lsn=water[0], event_lsn=water[1]))

    def advance(self, connection: Connection, advances: Sequence[Advance]) -> None:
        """Move positions by compare-and-set, add to their ledgers, and write the journal: one statement a partition,
        two where the engine cannot change two tables in one.

        Raises FencedError where one has moved.
        """
        engine = engine_of(connection)
        advance = self._advance_at_once if engine == POSTGRESQL else self._advance_in_two
        for move in advances:
            if not advance(connection, engine, _advance_values(move)):
                raise FencedError("the position moved meanwhile", where=f"{move.topic}[{move.partition}]")

    def _advance_at_once(self, connection: Connection, engine: str, values: dict[str, object]) -> bool:
        return connection.scalar(self._advance, values) == 1

    def _advance_in_two(self, connection: Connection, engine: str, values: dict[str, object]) -> bool:
        if connection.execute(self._move, values).rowcount != 1:
            return False
        connection.execute(self._log[engine], {name: values[name] for name in ("b_topic", "b_partition", "b_start")})
        return True


def _advance_statement(name: str) -> Select[int]:
    moved = _move_statement(name).returning(*MOVED).cte("moved")
    return select(func.count()).select_from(moved).add_cte(logged(name, moved))


def _move_statement(name: str) -> Update:
    mine = (
        checkpoint.c.pipeline == name,
        checkpoint.c.topic == bindparam("b_topic"),
        checkpoint.c.partition == bindparam("b_partition"),
        checkpoint.c.next_offset == bindparam("b_start"),
    )
    newest = case(
        (checkpoint.c.source_time_us < bindparam("b_time"), bindparam("b_time")), else_=checkpoint.c.source_time_us
    )
    return (
        update(checkpoint)
        .where(*mine)
        .values(
            next_offset=bindparam("b_end"),
            commit_lsn=bindparam("b_commit_lsn"),
            event_lsn=bindparam("b_event_lsn"),
            source_time_us=newest,
            updated_at=now(),
            **{field: checkpoint.c[field] + bindparam(f"b_{field}") for field in LEDGER_FIELDS},
        )
    )


def _advance_values(move: Advance) -> dict[str, object]:
    return {
        "b_topic": move.topic,
        "b_partition": move.partition,
        "b_start": move.start,
        "b_end": move.end,
        "b_commit_lsn": move.high_water[0],
        "b_event_lsn": move.high_water[1],
        "b_time": move.source_time_us,
        **{f"b_{field}": getattr(move.ledger, field) for field in LEDGER_FIELDS},
    }


def _position(row: Row[tuple[object, ...]]) -> Position:
    ledger = Ledger(*(getattr(row, name) for name in LEDGER_FIELDS))
    water: Sequence2 = (row.commit_lsn, row.event_lsn)
    where = (row.topic, row.partition, row.table_name, row.next_offset)
    return Position(*where, water, row.topic_id, ledger, row.source_time_us)
