"""What a source table is, as far as changes of it may alter rows without an event. Neutral; no engine's catalogue.

Rows are made under one shape. What differs from it later tells of an ALTER, a rename or a partition that came or went.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """A column. number: of its place, which a column that is added again does not get. type: as the source spells it.

    written: changes with every ALTER of the column. labels: of its enum type, by an id that renaming does not change.
    """

    number: int
    type: str
    written: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of storage: the table's own, or a partition's. file: changes when it is written anew, or emptied.

    quiet: a partition that was made as one, and so began empty; not one that was attached with what it had.
    """

    name: str
    file: str
    quiet: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """A table. identity: of this table and no other of its name. named: changes when it is renamed, or gets an owner.

    published: changes when it leaves the stream and comes back; empty while it is not in it. key: the primary key.
    rows_identity: what says in an event which row it is about. parts: id -> storage. replaceable: it can be dropped and
    created again without an event and without another identity.
    """

    identity: str
    named: str
    owner: str
    published: str
    rows_identity: str
    key: tuple[str, ...]
    partitioned: bool
    columns: Mapping[str, ColumnShape]
    parts: Mapping[str, Part]
    replaceable: bool = False

    def dump(self) -> str:
        """As the control schema keeps it."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def load(cls, text: str) -> Shape:
        """From the control schema."""
        facts = json.loads(text)
        columns = {name: ColumnShape(**column) for name, column in facts.pop("columns").items()}
        parts = {number: Part(**part) for number, part in facts.pop("parts").items()}
        return cls(columns=columns, parts=parts, key=tuple(facts.pop("key")), **facts)


NO_SHAPE = Shape("", "", "", "", "", (), False, {}, {})
"""Of a table that is not followed."""
