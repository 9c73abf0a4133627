"""The decoder's properties and its refusals: round trips, placeholders, schemas, everything malformed."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.change import Change
from connectors.kafka.decode import PLACEHOLDER, TableDecoder, decode_heartbeat, decode_message
from connectors.postgresql.wire import wire_columns
from connectors.wire import INFINITY_US
from mappers.errors import ConfigError, RecordError
from mappers.mapping import Column, Table

SECRET = "s3cret-value"
SOURCE = {"ts_ms": 5, "ts_us": 5123, "txId": 7, "sequence": '["10","20"]', "lsn": 20, "schema": "public"}
TYPES = {
    "id": "bigint",
    "t": "text",
    "n": "numeric(10,2)",
    "f": "double precision",
    "b": "boolean",
    "y": "bytea",
    "d": "date",
    "ti": "time(3) without time zone",
    "ts": "timestamp(3) without time zone",
    "tz": "timestamp with time zone",
    "ia": "integer[]",
    "ta": "text[]",
    "ua": "uuid[]",
    "fa": "double precision[]",
    "na": "numeric[]",
}
SEMANTIC = {
    "id": ("int64", None),
    "t": ("string", None),
    "n": ("string", None),
    "f": ("double", None),
    "b": ("boolean", None),
    "y": ("bytes", None),
    "d": ("int32", "io.debezium.time.Date"),
    "ti": ("int64", "io.debezium.time.MicroTime"),
    "ts": ("int64", "io.debezium.time.MicroTimestamp"),
    "tz": ("string", "io.debezium.time.ZonedTimestamp"),
    **dict.fromkeys(("ia", "ta", "ua", "fa", "na"), ("array", None)),
}
ITEMS = {"ia": "int32", "ta": "string", "ua": "string", "fa": "double", "na": "string"}


def table(identity: str = "f", key: tuple[str, ...] = ("id",), extra: tuple[Column, ...] = ()) -> Table:
    columns = tuple(Column(name, kind, nullable=name not in key) for name, kind in TYPES.items())
    return Table("public", "things", (*columns, *extra), key, replica_identity=identity)


def make(source: Table | None = None, wanted: set[str] | None = None, **options: Any) -> TableDecoder:
    source = source or table()
    chosen = wires = wire_columns(table(), wanted or set(TYPES))
    assert chosen
    return TableDecoder("legacy.public.things", source, wires, ("id",), **options)


def event(op: str, after: Any, before: Any = None, **more: Any) -> dict[str, Any]:
    return {"before": before, "after": after, "source": SOURCE, "op": op, "ts_ms": 9, **more}


def dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def schema(**changed: tuple[str, str | None] | None) -> dict[str, Any]:
    fields = []
    for name, found in {**SEMANTIC, **changed}.items():
        if found is not None:
            kind, semantic = found
            items = {"items": {"type": ITEMS[name], "optional": True}} if kind == "array" else {}
            named = {"name": semantic, "version": 1} if semantic else {}
            fields.append({"type": kind, "optional": True, "field": name, **named, **items})
    rows = [{"type": "struct", "fields": fields, "field": part} for part in ("before", "after")]
    return {"type": "struct", "fields": rows, "optional": False}


def inline(payload: Any, **changed: tuple[str, str | None] | None) -> bytes:
    return dumped({"schema": schema(**changed), "payload": payload})


texts = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda t: t != PLACEHOLDER)
numerics = st.decimals(allow_nan=False, allow_infinity=False, places=2).map(lambda d: format(d, "f"))
moments = st.datetimes().map(lambda m: m.isoformat() + "Z")


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def arrays(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return nullable(st.lists(nullable(values), max_size=4))


NEUTRAL = {
    "id": st.integers(-(1 << 63), (1 << 63) - 1),
    "t": nullable(texts),
    "n": nullable(numerics | st.sampled_from(["NaN", "Infinity", "-Infinity"])),
    "f": nullable(st.floats(allow_nan=False)),
    "b": nullable(st.booleans()),
    "y": nullable(st.binary(max_size=20)),
    "d": nullable(st.integers(-2_440_588, 2_145_042_905) | st.sampled_from([INFINITY_US, -INFINITY_US])),
    "ti": nullable(st.integers(0, 86_400_000_000)),
    "ts": nullable(st.integers(-210_866_803_200_000_000, 9_200_000_000_000_000_000) | st.just(INFINITY_US)),
    "tz": nullable(moments | st.sampled_from(["infinity", "-infinity"])),
    "ia": arrays(st.integers(-(1 << 31), (1 << 31) - 1)),
    "ta": arrays(texts),
    "ua": arrays(st.uuids().map(str)),
    "fa": arrays(st.floats(allow_nan=False)),
    "na": arrays(numerics | st.just("NaN")),
}
rows = st.fixed_dictionaries(NEUTRAL).map(lambda row: {name: row[name] for name in TYPES})
DAYS = {INFINITY_US: 2_146_033_979, -INFINITY_US: -2_147_472_691}
NUMBERS = {"NaN": "NAN", "Infinity": "POSITIVE_INFINITY", "-Infinity": "NEGATIVE_INFINITY"}


def debezium(name: str, value: Any) -> Any:
    """The JSON value that Debezium writes for a neutral one."""
    if isinstance(value, list):
        return [debezium(name, item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if name in ("n", "na"):
        return NUMBERS.get(value, value)
    return DAYS.get(value, value) if name == "d" else value


def travelling(row: dict[str, Any]) -> dict[str, Any]:
    return {name: debezium(name, value) for name, value in row.items()}


SHARED, ADAPTIVE = make(), make(time_precision="adaptive")


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from("cur"))
def test_rows_arrive_as_they_were(row: dict[str, Any], op: str) -> None:
    decoder = SHARED
    expected = Change(op, (row["id"],), tuple(row.values()), frozenset(), 7, (10, 20), 3, 5123)
    payload = event(op, travelling(row))
    for value in (dumped(payload), inline(payload), inline(payload), dumped(payload)):
        assert decoder.decode(value, 3) == expected
    assert decoder._slow(dumped(payload), 3) == expected


@settings(max_examples=60, deadline=None)
@given(rows)
def test_deletes_carry_the_key_only(row: dict[str, Any]) -> None:
    change = SHARED.decode(dumped(event("d", None, travelling(row))), 3)
    assert (change.op, change.key, change.row) == ("d", (row["id"],), None)


@settings(max_examples=60, deadline=None)
@given(rows, st.sets(st.sampled_from(sorted(set(TYPES) - {"id"})), min_size=1))
def test_wanted_columns_only(row: dict[str, Any], wanted: set[str]) -> None:
    decoder = make(wanted=wanted | {"id"})
    change = decoder.decode(dumped(event("u", travelling(row))), 3)
    assert change.row == tuple(value for name, value in row.items() if name in wanted | {"id"})


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_milliseconds(row: dict[str, Any], data: st.DataObject) -> None:
    """time.precision.mode=adaptive counts in milliseconds where the type has no more; a schema says so itself."""
    row["ti"] = data.draw(nullable(st.integers(0, 86_400_000).map(lambda ms: ms * 1000)))
    row["ts"] = data.draw(nullable(st.integers(-62_135_596_800_000, 253_402_300_799_000).map(lambda ms: ms * 1000)))
    sent = travelling(row)
    sent |= {name: None if sent[name] is None else sent[name] // 1000 for name in ("ti", "ts")}
    payload = event("c", sent)
    assert ADAPTIVE.decode(dumped(payload), 1).row == tuple(row.values())
    millis = {"ti": ("int32", "io.debezium.time.Time"), "ts": ("int64", "io.debezium.time.Timestamp")}
    assert [SHARED.decode(inline(payload, **millis), 1).row for _ in range(2)] == [tuple(row.values())] * 2


def row_of(**changed: Any) -> dict[str, Any]:
    return dict.fromkeys(TYPES) | {"id": 1} | changed


NUMBERED = list(PLACEHOLDER.encode())
UUID3 = "b68a35a7-17ad-35b3-af2a-ae46edb4545a"
FORMS = [
    ("t", PLACEHOLDER),
    ("n", PLACEHOLDER),
    ("y", base64.b64encode(PLACEHOLDER.encode()).decode()),
    ("y", PLACEHOLDER),
    ("ia", NUMBERED),
    ("ia", PLACEHOLDER),
    ("ta", [PLACEHOLDER]),
    ("ua", [UUID3]),
    ("fa", PLACEHOLDER),
]


@pytest.mark.parametrize("identity", ["d", "f"])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_placeholder_of_every_type(name: str, form: Any, identity: str) -> None:
    change = make(table(identity)).decode(dumped(event("u", row_of(**{name: form}))), 3)
    assert change.missing == frozenset({list(TYPES).index(name)})
    assert change.row == (1, *[None] * (len(TYPES) - 1))


def test_full_replica_identity_fills_the_gap() -> None:
    payload = dumped(event("u", row_of(t=PLACEHOLDER, ia=NUMBERED), row_of(t="old", ia=[4])))
    filled = make(table("f")).decode(payload, 3)
    assert (filled.missing, filled.row and filled.row[1], filled.row and filled.row[10]) == (frozenset(), "old", [4])
    assert make(table("d")).decode(payload, 3).missing == frozenset({1, 10})


def test_another_placeholder() -> None:
    decoder = make(table("d"), placeholder="§gone")
    change = decoder.decode(dumped(event("u", row_of(t="§gone", ia=[-62, -89, 103, 111, 110, 101]))), 3)
    assert change.missing == frozenset({1, 10})
    assert decoder.decode(dumped(event("u", row_of(t=PLACEHOLDER))), 3).missing == frozenset()


def test_special_values() -> None:
    sent = row_of(f="NaN", fa=[1, "NaN"], ts=-(1 << 63), tz="-0043-03-15T12:00:00.5Z")
    row = make().decode(dumped(event("u", sent)), 3).row
    assert row is not None
    assert math.isnan(row[3])  # type: ignore[arg-type]
    assert row[8] == -INFINITY_US
    assert row[9] == "0044-03-15 12:00:00.5+00 BC"
    for sent_text, text in {
        "0000-01-02T00:00:00Z": "0001-01-02 00:00:00+00 BC",
        "+12024-01-01T01:02:03Z": "12024-01-01 01:02:03+00",
        "0001-01-01T00:00:00Z": "0001-01-01T00:00:00Z",
    }.items():
        made = make().decode(dumped(event("u", row_of(tz=sent_text))), 3).row
        assert made is not None
        assert made[9] == text


def test_control_events() -> None:
    decoder = make()
    assert decoder.decode(None, 4) == Change("", (), None, frozenset(), None, None, 4, 0)
    assert decoder.decode(dumped({"schema": None, "payload": None}), 4).op == ""
    truncate = decoder.decode(dumped(event("t", None)), 4)
    assert truncate == Change("t", (), None, frozenset(), 7, (10, 20), 4, 5123)
    beat = {"ts_ms": 12}
    for value in (dumped(beat), dumped({"schema": {}, "payload": beat})):
        assert decode_heartbeat(value, 5) == Change("", (), None, frozenset(), None, None, 5, 12_000)


def test_positions_that_are_not_there() -> None:
    source = {"ts_ms": 5, "txId": None, "sequence": '[null,"20"]'}
    change = make().decode(dumped({**event("r", row_of()), "source": source}), 3)
    assert (change.xid, change.sequence, change.commit_us) == (None, (-1, 20), 5000)
    change = make().decode(dumped({**event("r", row_of()), "source": {"ts_ms": 5}}), 3)
    assert (change.xid, change.sequence, change.commit_us) == (None, None, 5000)
    change = make().decode(dumped({**event("d", None, row_of()), "source": source}), 3)
    assert (change.op, change.sequence, change.commit_us) == ("d", (-1, 20), 5000)


def test_schemas_turn_at_any_message() -> None:
    """The connector is reconfigured, or a column appears that is not wanted: every message says what it is."""
    source = table(extra=(Column("more", "text"),))
    decoder = make(source)
    payload = event("u", row_of(t="x"))
    wide = event("u", row_of(t="y", more="z"))
    values = [inline(payload), dumped(payload), inline(wide, more=("string", None)), inline(payload)] * 3
    values += [json.dumps({"payload": payload, "schema": schema()}, indent=1).encode(), dumped(wide)]
    rows_made = [decoder.decode(value, 1).row for value in values]
    assert [row and row[1] for row in rows_made] == ["x", "x", "y", "x"] * 3 + ["x", "y"]


def test_many_schemas_are_not_all_kept() -> None:
    decoder = make(table(extra=tuple(Column(f"x{i}", "text") for i in range(30))))
    for i in range(30):
        decoder.decode(inline(event("u", row_of()), **{f"x{i}": ("string", None)}), i)
    assert len(decoder._shapes) <= 8


MALFORMED: dict[str, tuple[bytes, str]] = {
    "cut": (dumped(event("c", row_of(t=SECRET)))[:-9], "not valid JSON"),
    "empty": (b"", "not valid JSON"),
    "bad utf-8": (dumped(event("c", row_of(t="@"))).replace(b"@", b"\xff"), "not valid JSON"),
    "avro": (b"\0\0\0\0\x07abc", "no registry is configured"),
    "no object": (b"[1]", "has no op"),
    "no op": (dumped({"after": row_of(t=SECRET)}), "has no op"),
    "unwrapped row": (dumped(row_of(t=SECRET)), "has no op"),
    "unknown op": (dumped(event(SECRET, row_of())), "op is none that is known"),
    "op of another type": (dumped(event({"a": SECRET}, row_of())), "op is none that is known"),  # type: ignore[arg-type]
    "no source": (dumped({"op": "c", "after": row_of()}), "has no source"),
    "no time": (dumped({"op": "c", "after": row_of(), "source": {}}), "no whole number ts_ms"),
    "xid is text": (dumped(event("c", row_of(), source={**SOURCE, "txId": SECRET})), "no whole number txId"),
    "sequence": (dumped(event("c", row_of(), source={**SOURCE, "sequence": SECRET})), "not a pair"),
    "sequence of one": (dumped(event("c", row_of(), source={**SOURCE, "sequence": '["1"]'})), "not a pair"),
    "sequence number": (dumped(event("c", row_of(), source={**SOURCE, "sequence": 5})), "not a pair"),
    "no after": (dumped(event("u", None)), "no row after"),
    "after is text": (dumped(event("u", SECRET)), "no row after"),
    "new column": (dumped(event("u", row_of(extra=SECRET))), "column extra is new"),
    "dropped column": (dumped(event("u", {"id": 1})), "column t is mapped but not in the event"),
    "key null": (dumped(event("u", row_of(id=None))), "key column id is null"),
    "key is a placeholder": (dumped(event("u", row_of(id=PLACEHOLDER))), "key column id is null or did not travel"),
    "delete without before": (dumped(event("d", None)), "no replica identity"),
    "delete without key": (dumped(event("d", None, {"t": SECRET})), "lacks the key column id"),
    "delete with null key": (dumped(event("d", None, row_of(id=None))), "key column id is null"),
    "int is text": (
        dumped(event("u", row_of(id=SECRET))),
        "column id (bigint): a whole number is expected, text arrived",
    ),
    "int is fraction": (dumped(event("u", row_of(id=1.5))), "column id (bigint): a whole number is expected"),
    "int is true": (dumped(event("u", row_of(id=True))), "a whole number is expected, true or false arrived"),
    "text is number": (dumped(event("u", row_of(t=5))), "column t (text): text is expected"),
    "numeric is number": (dumped(event("u", row_of(n=1.5))), "number as text is expected"),
    "numeric is base64": (dumped(event("u", row_of(n="AfQ="))), "number as text is expected"),
    "numeric is an object": (dumped(event("u", row_of(n={"scale": 2, "value": "AQ=="}))), "number as text"),
    "bytes": (dumped(event("u", row_of(y="\\xdead%"))), "base64 is expected"),
    "date": (dumped(event("u", row_of(d=-2_147_483_648))), "outside PostgreSQL's range"),
    "date is text": (dumped(event("u", row_of(d="2024-01-01"))), "a whole number is expected, text arrived"),
    "time": (dumped(event("u", row_of(ti=86_400_000_001))), "not between"),
    "timestamp is text": (dumped(event("u", row_of(ts=SECRET))), "a whole number is expected, text arrived"),
    "zoned": (dumped(event("u", row_of(tz="+nonsense"))), "ISO 8601"),
    "float": (dumped(event("u", row_of(f=SECRET))), "a number or a whole number is expected"),
    "array": (dumped(event("u", row_of(ia=5))), "an array is expected"),
    "array's element": (dumped(event("u", row_of(ia=["1"]))), "a whole number is expected"),
    "two dimensions": (dumped(event("u", row_of(ta=["[Ljava.lang.String;@1b2"]))), "more than one dimension"),
}


@pytest.mark.parametrize(("value", "says"), MALFORMED.values(), ids=list(MALFORMED))
def test_malformed(value: bytes, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        make().decode(value, 41, 2)
    message = str(caught.value)
    assert says in message
    assert message.startswith("legacy.public.things[2] offset 41: public.things: ")
    assert caught.value.hint
    assert SECRET not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("identity", ["d", "i", "n"])
def test_delete_whose_identity_lacks_the_key(identity: str) -> None:
    source = table(identity, key=("t",))
    with pytest.raises(RecordError, match="does not carry the key"):
        make(source).decode(dumped(event("d", None, row_of())), 1)


DISAGREEING: dict[str, tuple[dict[str, Any], str]] = {
    "changed type": ({"t": ("int32", None)}, "column t is text, but travels as int32"),
    "decimal": ({"n": ("bytes", "org.apache.kafka.connect.data.Decimal")}, "decimal.handling.mode=string"),
    "nanoseconds": ({"ts": ("int64", "io.debezium.time.NanoTimestamp")}, "time.precision.mode=microseconds"),
    "text time": ({"ts": ("string", "io.debezium.time.IsoTimestamp")}, "time.precision.mode=microseconds"),
    "unnamed date": ({"d": ("int32", None)}, "schema and catalogue disagree: column d"),
    "zone where none is": ({"t": ("string", "io.debezium.time.ZonedTimestamp")}, "column t is text"),
    "no zone where one is": ({"tz": ("string", None)}, "column tz"),
    "number for array": ({"ia": ("int32", None)}, "column ia"),
    "new column": ({"extra": ("string", None)}, "column extra is new"),
    "dropped column": ({"t": None}, "column t is mapped but not in the event"),
}


@pytest.mark.parametrize(("changed", "says"), DISAGREEING.values(), ids=list(DISAGREEING))
def test_schema_disagrees(changed: dict[str, Any], says: str) -> None:
    decoder = make()
    decoder.decode(inline(event("u", row_of())), 1)
    with pytest.raises(RecordError, match=r"^legacy\.public\.things") as caught:
        decoder.decode(inline(event("u", row_of()), **changed), 1)
    assert says in str(caught.value)


def test_schema_without_a_row() -> None:
    for odd in (None, {}, {"type": "struct", "fields": [{"field": "after", "type": "string"}]}):
        with pytest.raises(RecordError, match="describes no row"):
            make().decode(dumped({"schema": odd, "payload": event("u", row_of())}), 1)


def test_milliseconds_that_lose_digits() -> None:
    columns = (Column("id", "bigint"), Column("at", "timestamp without time zone"))
    source = Table("public", "things", columns, ("id",))
    decoder = TableDecoder("t", source, wire_columns(source, {"id", "at"}), ("id",))
    fields = [{"type": "int64", "field": "id"}, {"type": "int64", "field": "at", "name": "io.debezium.time.Timestamp"}]
    made = {"type": "struct", "fields": [{"type": "struct", "field": "after", "fields": fields}]}
    with pytest.raises(RecordError, match="milliseconds only"):
        decoder.decode(dumped({"schema": made, "payload": event("u", {"id": 1, "at": 5})}), 1)


def test_garbage_after_a_known_schema() -> None:
    decoder = make()
    value = inline(event("u", row_of()))
    decoder.decode(value, 1)
    decoder.decode(value, 2)
    for odd in (value[:-1], value[:-2], value + b"x", value[:-1] + b"]"):
        with pytest.raises(RecordError, match="not valid JSON"):
            decoder.decode(odd, 3)


def test_logical_message() -> None:
    message = {"op": "m", "source": SOURCE, "message": {"prefix": "p", "content": "AP8="}}
    assert decode_message(dumped(message), 4).message == ("p", b"\x00\xff")
    assert make().decode(dumped(message), 4).message == ("p", b"\x00\xff")
    assert decode_message(None, 4).op == ""
    for odd, says in [
        ({**message, "op": "c"}, "no logical message"),
        ({**message, "message": None}, "no prefix"),
        ({**message, "message": {"prefix": "p", "content": "§"}}, "not base64"),
        ({"ts_ms": 4}, "no op"),
    ]:
        with pytest.raises(RecordError, match=says) as caught:
            decode_message(dumped(odd), 4, "legacy.message", 0)
        assert str(caught.value).startswith("legacy.message[0] offset 4: ")
    with pytest.raises(RecordError, match="no whole number ts_ms"):
        decode_heartbeat(b"{}", 4, "hb")


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "tab\t", "sp ace", "é😀", "class", "c1"])
def test_names_of_columns(name: str) -> None:
    source = Table("public", "things", (Column("id", "bigint"), Column(name, "text")), ("id",))
    decoder = TableDecoder("t", source, wire_columns(source, {"id", name}), ("id",))
    assert decoder.decode(dumped(event("u", {"id": 1, name: "x"})), 1).row == (1, "x")
    assert decoder.decode(dumped(event("d", None, {"id": 1, name: None})), 1).key == (1,)


def test_keys_that_cannot_be() -> None:
    source = table()
    wires = wire_columns(source, {"id", "ia"})
    for key in ((), ("ia",), ("t",)):
        with pytest.raises(ConfigError, match="cannot be the source key"):
            TableDecoder("t", source, wires, key)
