"""Events in Avro: what a real converter wrote, random rows against the JSON decoder, and everything malformed."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.change import Change
from connectors.kafka.avro import AvroReader, Schemas, avro_schema, schema_id, shortest
from connectors.kafka.decode import PLACEHOLDER, TableDecoder, decode_heartbeat, decode_message
from connectors.kafka.decode_values import Unfit
from connectors.kafka.field_names import column_names, escaped
from connectors.kafka.registry import Registry
from connectors.postgresql.wire import wire_columns
from daemon.handover import Resync, Upsert, fold
from mappers.errors import FatalError, RecordError, TransientError
from mappers.mapping import Column, Table
from tests.unit.test_decode import NUMBERED, SEMANTIC, TYPES, UUID3, dumped, event, row_of, rows, table, travelling

CAPTURED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "avro.json").read_text())
SECRET = "s3cret-value"


def registered(number: int) -> str:
    try:
        text: str = CAPTURED["schemas"][str(number)]
    except KeyError:
        raise Unfit(f"the registry has no schema {number}", "restore it") from None
    return text


REAL = Schemas(registered)


# -- what a real converter wrote ---------------------------------------------------------------------------------------


def captured(name: str, schemas: Schemas = REAL, columns: set[str] | None = None) -> TableDecoder:
    """The decoder of a captured table, of all its columns or of some."""
    found = CAPTURED["tables"][name]
    labels = {"mood": ("sad", "happy")}
    made = tuple(Column(c, kind, nullable=null, labels=labels.get(kind, ())) for c, kind, null in found["columns"])
    source = Table("public", name, made, tuple(found["key"]), replica_identity=found["identity"])
    wanted = columns or {column.name for column in made}
    return TableDecoder(f"t.public.{name}", source, wire_columns(source, wanted), source.key, schemas=schemas)


def values(form: str, topic: str) -> list[bytes | None]:
    return [None if value is None else base64.b64decode(value) for value in CAPTURED[form][topic]]


@pytest.mark.parametrize("name", CAPTURED["tables"])
def test_both_forms_of_the_same_transactions_make_the_same_changes(name: str) -> None:
    avro, plain = captured(name), captured(name)
    pairs = list(zip(values("avro", f"public.{name}"), values("json", f"public.{name}"), strict=True))
    assert len(pairs) >= 3
    for offset, (one, other) in enumerate(pairs):
        found, expected = avro.decode(one, offset), plain.decode(other, offset)
        if name != "defaults":
            assert str(found) == str(expected)  # as text, in which NaN is NaN


def test_mixed_forms_in_one_topic() -> None:
    decoder = captured("types")
    pairs = zip(values("avro", "public.types"), values("json", "public.types"), strict=True)
    for offset, (one, other) in enumerate(pairs):
        assert str(decoder.decode(one, offset)) == str(decoder.decode(other, offset))


def test_logical_messages() -> None:
    ((one,), (other,)) = values("avro", "message"), values("json", "message")
    assert decode_message(one, 3, avro=AvroReader(REAL)) == decode_message(other, 3)
    assert decode_message(one, 3, avro=AvroReader(REAL)).message == ("changeover", b"\x00\xff")


def test_null_and_default_look_alike_and_are_told_to_be_in_doubt() -> None:
    """Apicurio's converter writes the default for NULL: the event says so, and the row is read again."""
    decoder = captured("defaults")
    default, null, given_ = (decoder.decode(value, at) for at, value in enumerate(values("avro", "public.defaults")))
    assert (default.doubtful, null.doubtful, given_.doubtful) == (True, True, False)
    assert fold(None, null, old_copy=False) == Resync("NULL or the column's default")
    assert isinstance(fold(None, given_, old_copy=False), Upsert)
    assert captured("defaults", columns={"id", "by", "must"}).decode(values("avro", "public.defaults")[1], 1) == Change(
        "c", (2,), (2, None, "y"), frozenset(), null.xid, null.sequence, 1, null.commit_us
    )
    faithful = Schemas(registered, nulls_travel=lambda: True)
    assert not captured("defaults", faithful).decode(values("avro", "public.defaults")[0], 0).doubtful


def test_a_key_in_doubt_is_refused() -> None:
    columns = tuple(Column(name, kind) for name, kind, _ in CAPTURED["tables"]["defaults"]["columns"])
    source = Table("public", "defaults", columns, ("n",), replica_identity="f")
    decoder = TableDecoder("t", source, wire_columns(source, {"n"}), ("n",), schemas=REAL)
    with pytest.raises(RecordError, match="key column n may be NULL and has a default"):
        decoder.decode(values("avro", "public.defaults")[0], 0)


def test_cut_off_anywhere() -> None:
    value = values("avro", "public.keyed")[0]
    assert value is not None
    decoder = captured("keyed")
    for length in range(1, len(value)):
        with pytest.raises(RecordError, match=r"^t\.public\.keyed\[2\] offset 7: public\.keyed: ") as caught:
            decoder.decode(value[:length], 7, 2)
        assert caught.value.hint
    with pytest.raises(RecordError, match="does not fit its schema"):
        decoder.decode(value + b"\0", 7, 2)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_anywhere(data: st.DataObject) -> None:
    """A damaged value is an error with a place, or another value: it never ends the reader in another way."""
    value = bytearray(values("avro", "public.types")[0] or b"")
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(5, len(value) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RecordError):
        assert captured("types").decode(bytes(value), 7).offset == 7


# -- random rows -------------------------------------------------------------------------------------------------------

AVRO = {"int64": "long", "int32": "int", "string": "string", "double": "double", "boolean": "boolean", "bytes": "bytes"}
ITEMS = {"ia": "int", "ta": "string", "ua": "string", "fa": "double", "na": "string"}


def field(name: str, kind: str, semantic: str | None) -> dict[str, Any]:
    if kind == "array":
        return {"name": name, "type": ["null", {"type": "array", "items": ["null", ITEMS[name]]}]}
    named = {"type": AVRO[kind], **({"connect.name": semantic} if semantic else {})}
    return {"name": name, "type": ["null", named], "default": None}


def document(**changed: tuple[str, str | None] | None) -> dict[str, Any]:
    """A schema as a converter writes it, with columns changed or left out."""
    fields = [field(name, *found) for name, found in {**SEMANTIC, **changed}.items() if found is not None]
    optional = {name: ["null", kind] for name, kind in (("ts_us", "long"), ("txId", "long"), ("sequence", "string"))}
    source = [{"name": "ts_ms", "type": "long"}, *({"name": n, "type": kind} for n, kind in optional.items())]
    value = {"type": "record", "name": "Value", "fields": fields}
    record = {"type": "record", "name": "Source", "fields": source}
    parts = {"before": ["null", value], "after": ["null", "Value"], "source": record, "op": "string", "ts_ms": "long"}
    return {"type": "record", "name": "Envelope", "fields": [{"name": n, "type": kind} for n, kind in parts.items()]}


def written(schema: Any, payload: Any, number: int = 1) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, payload)
    return b"\0" + number.to_bytes(4, "big") + stream.getvalue()


def sent(row: dict[str, Any]) -> dict[str, Any]:
    """A row as Avro has it: bytes and special floats are themselves."""
    plain = travelling(row)
    return plain | {name: row[name] for name in ("y", "f", "fa")}


def make(text: str | Callable[[int], str], source: Table | None = None, **options: Any) -> TableDecoder:
    source = source or table()
    schemas = Schemas(text if callable(text) else lambda number: text)
    wires = wire_columns(replace(source, replica_identity="f"), set(TYPES))
    return TableDecoder("legacy.public.things", source, wires, ("id",), schemas=schemas, **options)


DOCUMENT = document()
SHARED, PLAIN = make(json.dumps(DOCUMENT)), make(json.dumps(DOCUMENT))


@settings(max_examples=100, deadline=None)
@given(rows, st.sampled_from("curd"))
def test_rows_arrive_as_in_json(row: dict[str, Any], op: str) -> None:
    avro, plain = sent(row), travelling(row)
    pair = (event(op, None, avro), event(op, None, plain)) if op == "d" else (event(op, avro), event(op, plain))
    found, expected = SHARED.decode(written(DOCUMENT, pair[0]), 3), PLAIN.decode(dumped(pair[1]), 3)
    assert found == expected
    assert (found.key, found.row) == ((row["id"],), None if op == "d" else tuple(row.values()))


PLACEHOLDERS: list[tuple[str, Any]] = [
    ("t", PLACEHOLDER), ("n", PLACEHOLDER), ("y", PLACEHOLDER.encode()), ("ia", NUMBERED), ("ta", [PLACEHOLDER]),
    ("ua", [UUID3]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "form"), PLACEHOLDERS)
def test_placeholder_of_every_type(name: str, form: Any) -> None:
    value = written(DOCUMENT, event("u", row_of(**{name: form})))
    assert make(json.dumps(DOCUMENT), table("d")).decode(value, 3).missing == {list(TYPES).index(name)}
    old: Any = {"y": b"old", "ia": [4], "ta": ["old"], "ua": [str(UUID3)[::-1]]}.get(name, "1.5")
    filled = make(json.dumps(DOCUMENT)).decode(
        written(DOCUMENT, event("u", row_of(**{name: form}), row_of(**{name: old}))), 3
    )
    assert filled.row is not None
    assert (filled.missing, filled.row[list(TYPES).index(name)]) == (frozenset(), old)


def test_special_floats() -> None:
    row = SHARED.decode(written(DOCUMENT, event("u", row_of(f=math.nan, fa=[-math.inf, math.nan, None]))), 3).row
    assert str(row) == str(SHARED.decode(dumped(event("u", row_of(f="NaN", fa=["-Infinity", "NaN", None]))), 3).row)


DISAGREEING: dict[str, tuple[dict[str, Any], str]] = {
    "changed type": ({"t": ("int32", None)}, "column t is text, but travels as int32"),
    "no meta data": ({"ts": ("int64", None)}, "schema and catalogue disagree: column ts"),
    "text time": ({"ts": ("string", "io.debezium.time.IsoTimestamp")}, "time.precision.mode=microseconds"),
    "new column": ({"extra": ("string", None)}, "column extra is new"),
    "dropped column": ({"t": None}, "column t is mapped but not in the event"),
}


@pytest.mark.parametrize(("changed", "says"), DISAGREEING.values(), ids=list(DISAGREEING))
def test_schema_disagrees(changed: dict[str, Any], says: str) -> None:
    schemas = {1: DOCUMENT, 2: document(**changed)}
    decoder = make(lambda number: json.dumps(schemas[number]))
    decoder.decode(written(DOCUMENT, event("u", row_of())), 1)
    payload = {name: 1 if found and found[0] == "int32" else None for name, found in changed.items()}
    for _ in range(2):
        with pytest.raises(RecordError, match=r"^legacy\.public\.things offset 1: public\.things: ") as caught:
            decoder.decode(written(schemas[2], event("u", row_of(**payload)), 2), 1)
        assert says in str(caught.value)
    assert decoder.decode(written(DOCUMENT, event("u", row_of())), 2).offset == 2


def test_schemas_in_turn() -> None:
    """A column appears that the catalogue has and nobody wants."""
    schemas = {1: DOCUMENT, 2: document(more=("string", None))}
    source = table(extra=(Column("more", "text"),))
    decoder = make(lambda number: json.dumps(schemas[number]), source)
    made = [written(schemas[n], event("u", row_of(t=str(n), **({"more": "z"} if n == 2 else {}))), n) for n in (1, 2)]
    found = [decoder.decode(value, 1).row for value in made * 3]
    assert [row and row[1] for row in found] == ["1", "2"] * 3


def test_logical_types_change_nothing() -> None:
    """What Confluent's converter writes of Connect's own times: fastavro would make dates and rounded times of them."""
    schema = document(ts=("int64", "org.apache.kafka.connect.data.Timestamp"))
    fields = schema["fields"][0]["type"][1]["fields"]
    next(f for f in fields if f["name"] == "ts")["type"][1]["logicalType"] = "timestamp-millis"
    columns = tuple(Column(n, "timestamp(3) without time zone" if n == "ts" else k) for n, k in TYPES.items())
    source = Table("public", "things", columns, ("id",), replica_identity="f")
    decoder = make(json.dumps(schema), source)
    row = decoder.decode(written(document(), event("u", row_of(ts=-62_135_596_800_001))), 1).row
    assert row is not None
    assert row[8] == -62_135_596_800_001_000


# -- what is no event --------------------------------------------------------------------------------------------------


def test_values_that_are_not_confluents() -> None:
    good = written(DOCUMENT, event("u", row_of(t=SECRET)))
    cases: list[tuple[bytes, TableDecoder, str]] = [
        (good, TableDecoder("t", table(), wire_columns(table(), {"id"}), ("id",)), "no registry is configured"),
        (b"\0" + bytes(4) + good[1:], make(registered), "has no schema 0"),
        (good[:3], SHARED, "does not begin as Confluent's"),
        (b"\1" + good[1:], SHARED, "not valid JSON"),
        (good, make("{"), "schema cannot be used"),
        (good, make('{"type": "record"}'), "schema cannot be used"),
        (good, make('"string"'), "does not fit its schema"),
        (b"\0\0\0\0\1\4ab", make('"string"'), "describes no row"),
    ]
    for value, decoder, says in cases:
        with pytest.raises(RecordError) as caught:
            decoder.decode(value, 4, 2)
        assert says in str(caught.value)
        assert caught.value.hint
        assert SECRET not in str(caught.value)
    with pytest.raises(RecordError, match="no registry is configured"):
        decode_message(good, 4)


def test_a_heartbeat() -> None:
    schema = {"type": "record", "name": "Heartbeat", "fields": [{"name": "ts_ms", "type": "long"}]}
    reader = AvroReader(Schemas(lambda number: json.dumps(schema)))
    assert decode_heartbeat(written(schema, {"ts_ms": 12}), 5, avro=reader).commit_us == 12_000


def test_a_registry_that_is_away_is_waited_for() -> None:
    answers = iter([TransientError("away"), None])

    def text(number: int) -> str:
        if (error := next(answers)) is not None:
            raise error
        return json.dumps(DOCUMENT)

    decoder, value = make(text), written(DOCUMENT, event("u", row_of()))
    with pytest.raises(TransientError, match="away"):
        decoder.decode(value, 1)
    assert [decoder.decode(value, at).offset for at in (1, 2)] == [1, 2], "asked for once it was there, and kept"


# -- the registry ------------------------------------------------------------------------------------------------------


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> Registry:
    return Registry("http://me:secret@registry:8081/v7/", client=httpx.Client(transport=httpx.MockTransport(handler)))


def test_a_schema_by_its_id() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.headers["authorization"][:6]) == ("/v7/schemas/ids/7", "Basic ")
        return httpx.Response(200, json={"schema": '"string"'})

    assert answering(handler).schema(7) == '"string"'


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (httpx.Response(404, json={"error_code": 40403}), Unfit, "has no schema 7"),
        (httpx.Response(404, html="<html>"), FatalError, "Confluent's interface"),
        (httpx.Response(200, html="<html>"), FatalError, "Confluent's interface"),
        (httpx.Response(401, json={}), FatalError, "user and password"),
        (httpx.Response(503, json={}), TransientError, "answers 503"),
        (httpx.Response(429, json={}), TransientError, "answers 429"),
        (httpx.Response(200, json={"schema": "{}", "schemaType": "JSON"}), Unfit, "schema 7 is JSON"),
        (httpx.Response(200, json={"schema": "{}", "references": [{}]}), Unfit, "refers to others"),
    ],
)
def test_what_a_registry_may_say(answer: httpx.Response, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        answering(lambda request: answer).schema(7)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(TransientError, match=r"^registry http://registry:8081/v7: it does not answer"):
        answering(refuse).schema(7)


# -- names and numbers -------------------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), unique=True, min_size=1))
def test_names_are_found_again(names: list[str]) -> None:
    fields = [escaped(name) for name in names]
    assert all(f.isascii() and f.replace("_", "a").isalnum() for f in fields)
    if len(set(fields)) == len(fields):
        assert column_names(fields, names) == dict(zip(fields, names, strict=True))
    if all(name.isascii() and name.replace("_", "a").isalnum() for name in names):
        assert column_names(names, names) == {name: name for name in names}, "a connector that escapes nothing"


def test_names_as_debezium_escapes_them() -> None:
    pairs = {"Id x": "Id_u0020x", "1st": "_u0031st", "Ā0": "_u1000", "😀": "_ud83d_ude00", "\t": "_u009"}
    assert {name: escaped(name) for name in pairs} == pairs
    assert column_names(["_u0041_u005f"], []) == {"_u0041_u005f": "A_"}, "one that the catalogue does not have"
    assert escaped("Ā0") == escaped("\u1000"), "why a schema's names cannot be read back alone"


@given(st.floats(width=32))
def test_narrow_floats_have_their_shortest_decimal(value: float) -> None:
    made = shortest(value)
    if math.isnan(value):
        assert math.isnan(made)
        return
    assert struct.pack("f", made) == struct.pack("f", value)
    for shorter in range(1, 9):
        candidate = float(f"{value:.{shorter}g}")
        if abs(candidate) < 3.4e38 and struct.unpack("f", struct.pack("f", candidate))[0] == value:
            assert made == candidate
            break


def test_arrays_of_narrow_floats() -> None:
    assert shortest([struct.unpack("f", struct.pack("f", 1.1))[0], None, 3.0]) == [1.1, None, 3.0]


def test_a_schema_keeps_nothing_but_its_structure() -> None:
    text = json.dumps({"type": "int", "logicalType": "date", "connect.default": 4, "doc": "x"})
    assert avro_schema(text).parsed == {"type": "int"} or avro_schema(text).parsed == "int"
    assert schema_id(b"\0\0\0\1\2xyz") == 258
