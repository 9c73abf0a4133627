"""Events of another shape than the table has now: new columns that are ignored, and events from before an ALTER."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.kafka.decode import TableDecoder
from connectors.postgresql.wire import wire_columns
from connectors.snapshot import Snapshot
from mappers.errors import RecordError
from mappers.mapping import Column, Table

SOURCE = Table("public", "things", (Column("id", "bigint", nullable=False), Column("v", "text")), ("id",))
ALTERED = Snapshot(50, 50)
"""Transaction 49 may have written rows of another shape, transaction 50 cannot."""


def decoder(source: Table = SOURCE, **options: Any) -> TableDecoder:
    wires = wire_columns(source, {column.name for column in source.columns})
    return TableDecoder("legacy.public.things", source, wires, source.key, **options)


def event(after: Any, op: str = "u", xid: int = 49, schema: dict[str, str] | None = None) -> bytes:
    source = {"ts_ms": 5, "ts_us": 5123, "txId": xid, "sequence": '["10","20"]'}
    payload = {"before": None, "after": after, "source": source, "op": op}
    if schema is None:
        return json.dumps(payload).encode()
    fields = [{"type": kind, "field": name} for name, kind in schema.items()]
    row = {"type": "struct", "field": "after", "fields": fields}
    return json.dumps({"schema": {"type": "struct", "fields": [row]}, "payload": payload}).encode()


def test_a_new_column_is_ignored_quickly_and_with_a_schema_too() -> None:
    made = decoder(ignore_new=True)
    for schema in (None, {"id": "int64", "v": "string", "new": "int32"}):
        change = made.decode(event({"id": 1, "v": "a", "new": 7}, xid=99, schema=schema), 3)
        assert (change.key, change.row, change.unread) == ((1,), (1, "a"), False)
    with pytest.raises(RecordError, match="column v is mapped but not in the event"):
        made.decode(event({"id": 1, "new": 7}, xid=99), 3)
    with pytest.raises(RecordError, match="column new is new"):
        decoder().decode(event({"id": 1, "v": "a", "new": 7}, xid=99), 3)


@pytest.mark.parametrize(
    ("after", "schema"),
    [
        ({"id": 1, "old name": "a"}, {"id": "int64", "old name": "string"}),
        ({"id": 1, "v": 12}, {"id": "int64", "v": "int32"}),
        ({"id": 1, "v": ["a"]}, {"id": "int64", "v": "array"}),
    ],
)
@pytest.mark.parametrize("inline", [False, True], ids=["plain", "with schemas"])
def test_of_an_event_from_before_an_alter_the_key_is_used(
    after: dict[str, object], schema: dict[str, str], inline: bool
) -> None:
    older = event(after, schema=schema if inline else None)
    for op in "cu":
        change = decoder(altered=ALTERED).decode(older.replace(b'"op": "u"', b'"op": "%c"' % ord(op)), 3)
        assert (change.op, change.key, change.row, change.unread, change.xid) == (op, (1,), None, True, 49)
    newer = event(after, xid=50, schema=schema if inline else None)
    for made, value in ((decoder(altered=ALTERED), newer), (decoder(), older), (decoder(read_after=ALTERED), older)):
        with pytest.raises(RecordError):
            made.decode(value, 3)


def test_a_readable_event_from_before_an_alter_is_read() -> None:
    change = decoder(altered=ALTERED).decode(event({"id": 1, "v": "a"}), 3)
    assert (change.row, change.unread) == ((1, "a"), False)


@pytest.mark.parametrize("after", [{"v": "a"}, {"id": "one", "old": 1}, {"id": None, "old": 1}, {"old": 1}])
def test_an_event_that_is_older_than_the_key_says_so(after: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=r"older than the table's key.*run --anew"):
        decoder(altered=ALTERED).decode(event(after), 3)


def test_times_in_the_key_need_the_schema_that_is_not_understood() -> None:
    columns = (Column("at", "timestamp without time zone", nullable=False), Column("v", "text"))
    source = Table("public", "things", columns, ("at",))
    value = event({"at": 1_000, "v": 1}, schema={"at": "int64", "v": "int32"})
    with pytest.raises(RecordError, match="schema and catalogue disagree"):
        decoder(source, altered=ALTERED).decode(value, 3)
