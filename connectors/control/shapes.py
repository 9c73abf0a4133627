"""What the source tables were when their rows were made, so that a later change of them is noticed, whenever it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select

from connectors.control.schema import source_shape
from connectors.shape import Shape
from connectors.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Stored:
    """A table's shape. ignored: columns that were added since, which the mapping does not read, as it was told.

    altered: a transaction that it sees may have written rows of another shape; None while the table never had one.
    read_again: partition -> offset. Of an event below it only the key is used, whatever its shape.
    """

    shape: Shape
    ignored: tuple[str, ...] = ()
    altered: Snapshot | None = None
    read_again: Mapping[int, int] = field(default_factory=dict)


class Shapes:
    """Reads and writes of one pipeline's shapes, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def all(self, connection: Connection) -> dict[str, Stored]:
        """Table -> what is stored of it; nothing of a table that joined under a version that stored none."""
        rows = connection.execute(select(source_shape).where(source_shape.c.pipeline == self.name))
        return {
            row.table_name: Stored(
                Shape.load(row.shape),
                tuple(json.loads(row.ignored)),
                Snapshot.parse(row.altered) if row.altered else None,
                {int(partition): offset for partition, offset in json.loads(row.read_again).items()},
            )
            for row in rows
        }

    def put(self, connection: Connection, table: str, stored: Stored) -> None:
        """Store this of a table, in the place of what is there."""
        mine = (source_shape.c.pipeline == self.name, source_shape.c.table_name == table)
        connection.execute(delete(source_shape).where(*mine))
        values = {"pipeline": self.name, "table_name": table, "shape": stored.shape.dump()}
        values |= {"ignored": json.dumps(stored.ignored), "read_again": json.dumps(stored.read_again)}
        altered = str(stored.altered) if stored.altered else None
        connection.execute(insert(source_shape).values(**values, altered=altered))
