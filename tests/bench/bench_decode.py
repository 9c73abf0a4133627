"""Messages a second of CPU for 12 columns: python tests/bench/bench_decode.py [messages]."""

from __future__ import annotations

import gc
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fastavro

from connectors.kafka.avro import Schemas
from connectors.kafka.decode import PLACEHOLDER, TableDecoder
from connectors.postgresql.wire import wire_columns
from mappers.mapping import Column, Table

BATCH = 2_000
"""How many changes are held at once, as a consumer holds them."""
FIELDS: dict[str, tuple[str, str, str | None, Any]] = {
    "id": ("bigint", "int64", None, 123456),
    "customer_id": ("integer", "int32", None, 999),
    "name": ("text", "string", None, "Some customer name"),
    "email": ("character varying(80)", "string", None, "someone.somewhere@example.org"),
    "status": ("text", "string", None, "shipped"),
    "total": ("numeric(12,2)", "string", None, "1234.56"),
    "quantity": ("integer", "int32", None, 12),
    "ratio": ("double precision", "double", None, 0.25),
    "active": ("boolean", "boolean", None, True),
    "notes": ("text", "string", None, "A longer text that says something about this order, and goes on a little"),
    "created_at": ("timestamp without time zone", "int64", "io.debezium.time.MicroTimestamp", 1700000000123456),
    "updated_at": ("timestamp with time zone", "string", "io.debezium.time.ZonedTimestamp", "2024-05-05T12:13:14.12Z"),
}
ROW = {name: field[3] for name, field in FIELDS.items()}
SOURCE: dict[str, Any] = {
    "version": "3.7.0.Final",
    "connector": "postgresql",
    "name": "legacy",
    "ts_ms": 1700000000123,
    "snapshot": "false",
    "db": "legacy",
    "sequence": '["24023128","24023999"]',
    "ts_us": 1700000000123456,
    "ts_ns": 1700000000123456000,
    "schema": "public",
    "table": "orders",
    "txId": 771,
    "lsn": 24023999,
    **dict.fromkeys(("xmin", "origin", "origin_lsn")),
}


def event(op: str, before: Any, after: Any) -> dict[str, Any]:
    times = {"op": op, "ts_ms": 1700000000200, "ts_us": 1700000000200123, "ts_ns": 1700000000200123456}
    return {"before": before, "after": after, "source": SOURCE, "transaction": None, **times}


def dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def schema() -> dict[str, Any]:
    fields = []
    for name, (_, kind, semantic, _) in FIELDS.items():
        named = {"name": semantic, "version": 1} if semantic else {}
        fields.append({"type": kind, "optional": name != "id", **named, "field": name})
    rows = [
        {"type": "struct", "fields": fields, "optional": True, "name": "legacy.public.orders.Value", "field": part}
        for part in ("before", "after")
    ]
    source = [{"type": "string", "optional": True, "field": name} for name in SOURCE]
    rest: list[Any] = [{"type": "struct", "fields": source, "optional": False, "field": "source"}]
    rest += [{"type": "int64", "optional": True, "field": name} for name in ("ts_ms", "ts_us", "ts_ns")]
    return {"type": "struct", "fields": [*rows, *rest], "optional": False, "name": "Envelope", "version": 2}


def avro() -> dict[str, Any]:
    """The schema that a registry's converter writes for these events."""
    kinds = {"int64": "long", "int32": "int"}
    fields = []
    for name, (_, kind, semantic, _) in FIELDS.items():
        plain = {"type": kinds.get(kind, kind), **({"connect.name": semantic} if semantic else {})}
        fields.append({"name": name, "type": plain if name == "id" else ["null", plain]})
    given = ("version", "connector", "name", "db", "schema", "table", "ts_ms")
    source = [
        {"name": name, "type": kind if name in given else ["null", kind]}
        for name, value in SOURCE.items()
        for kind in ("string" if isinstance(value, str) else "long",)
    ]
    value = {"type": "record", "name": "Value", "fields": fields}
    block = {"type": "record", "name": "block", "fields": [{"name": "id", "type": "string"}]}
    parts = {
        "before": ["null", value],
        "after": ["null", "Value"],
        "source": {"type": "record", "name": "Source", "fields": source},
        "transaction": ["null", block],
        "op": "string",
        **{name: ["null", "long"] for name in ("ts_ms", "ts_us", "ts_ns")},
    }
    return {"type": "record", "name": "Envelope", "fields": [{"name": n, "type": kind} for n, kind in parts.items()]}


def binary(payload: Any) -> bytes:
    """An event in Confluent's wire format."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, avro(), payload)
    return b"\0\0\0\0\1" + stream.getvalue()


def decoder(wanted: set[str]) -> TableDecoder:
    columns = tuple(Column(name, field[0], nullable=name != "id") for name, field in FIELDS.items())
    table = Table("public", "orders", columns, ("id",))
    schemas = Schemas(lambda number: json.dumps(avro()))
    return TableDecoder("legacy.public.orders", table, wire_columns(table, wanted), ("id",), schemas=schemas)


def measure(title: str, value: bytes, messages: int, wanted: set[str] | None = None) -> None:
    decode = decoder(wanted or set(ROW)).decode
    decode(value, 0)
    best = float("inf")
    for _ in range(5):
        gc.collect()
        start = time.process_time()
        for first in range(0, messages, BATCH):
            [decode(value, offset) for offset in range(first, first + BATCH)]
        best = min(best, time.process_time() - start)
    print(f"{title:44} {len(value):5} bytes {messages / best:10,.0f} messages/s {best / messages * 1e6:6.2f} us")


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    gc.freeze()
    gc.disable()
    key = dict.fromkeys(ROW) | {"id": 1}
    plain = event("u", None, ROW)
    measure("schemaless", dumped(plain), messages)
    measure("schemaless, before and after", dumped(event("u", ROW, ROW)), messages)
    measure("Avro", binary(plain), messages)
    measure("Avro, before and after", binary(event("u", ROW, ROW)), messages)
    measure("Avro, 5 of 12 columns wanted", binary(plain), messages, set(list(ROW)[:5]))
    measure("Avro, deletes", binary(event("d", ROW, None)), messages)
    measure("inline schema", dumped({"schema": schema(), "payload": plain}), messages)
    measure("schemaless, 5 of 12 columns wanted", dumped(plain), messages, set(list(ROW)[:5]))
    measure("schemaless, a value did not travel", dumped(event("u", None, ROW | {"notes": PLACEHOLDER})), messages)
    measure("schemaless, deletes", dumped(event("d", key, None)), messages)
    forever = ROW | {"created_at": 9223372036854775807}
    measure("schemaless, an infinite timestamp", dumped(event("u", None, forever)), messages)
    measure("schemaless, a NaN (read with care)", dumped(event("u", None, ROW | {"ratio": "NaN"})), messages // 10)


if __name__ == "__main__":
    main()
