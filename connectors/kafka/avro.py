"""Avro in Confluent's wire format: a zero, four bytes of the schema's id, the value. Pure.

fastavro reads the values. Before that a schema loses all that could change one: logical types, defaults, aliases. What
it says of the columns is kept apart, in the form that a schema inside a JSON message has (see `schema.py`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro

from connectors import floats
from connectors.kafka.decode_values import Unfit
from connectors.kafka.field_names import column_names

HEAD = 5
_STRUCTURE = frozenset(("type", "name", "namespace", "fields", "items", "values", "symbols", "size"))
_TYPES = {"int": "int32", "long": "int64", "record": "struct"}
"""Avro's type -> Connect's, where they differ in name."""
_LOGICAL = {
    name: f"org.apache.kafka.connect.data.{kind}"
    for name, kind in (("date", "Date"), ("time-millis", "Time"), ("timestamp-millis", "Timestamp"))
}
_CUT = "the value does not fit its schema: it is cut off, or the schema of its id is not what it was"
_REGISTRY = "restore the registry's content; a registry that was emptied gives new schemas old ids"
_CONVERTER = "let the connector write Confluent's wire format; for Apicurio's converter as-confluent=true"


@dataclass(frozen=True, slots=True)
class Schemas:
    """Where schemas come from.

    text: the schema of an id; raises Unfit where there is none, TransientError while the registry does not answer.
    nulls_travel: whether the connector's converter writes NULL as such in a column that has a default.
    """

    text: Callable[[int], str]
    nulls_travel: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """How the values of one schema are read.

    parsed: fastavro's. connect: as in JSON messages, empty where it has no rows. columns: the fields of a row, by the
    catalogue's names. narrow: those of them with 32-bit floats. defaults: nullable ones -> their default, where one.
    """

    parsed: Any
    connect: Mapping[str, Any] = field(default_factory=dict)
    columns: frozenset[str] = frozenset()
    narrow: tuple[str, ...] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)


def schema_id(value: bytes) -> int:
    """The id in a value's head. Raises Unfit."""
    if len(value) < HEAD or value[0] != 0:
        raise Unfit("the value does not begin as Confluent's wire format does", _CONVERTER)
    return int.from_bytes(value[1:HEAD], "big")


def avro_schema(text: str, columns: Iterable[str] = ()) -> AvroSchema:
    """A schema ready to read with, its rows' fields called as the columns are. Raises Unfit."""
    try:
        document = json.loads(text)
        row = _row(document)
        fields = row["fields"] if row else []
        names = column_names([each["name"] for each in fields], frozenset(columns))
        parsed = fastavro.parse_schema(_structure(document, row, names))
    except (ValueError, KeyError, TypeError, AttributeError, fastavro.schema.SchemaParseException) as error:
        raise Unfit(f"the schema cannot be used ({type(error).__name__})", "look at it in the registry") from None
    if row is None:
        return AvroSchema(parsed)
    told = {names[each["name"]]: _connect(each["type"]) for each in fields}
    after = {"type": "struct", "field": "after", "fields": [{**kind, "field": name} for name, kind in told.items()]}
    return AvroSchema(
        parsed,
        {"type": "struct", "fields": [after]},
        frozenset(told),
        tuple(name for name, kind in told.items() if "float" in (kind["type"], kind.get("items", {}).get("type"))),
        {
            names[each["name"]]: _default(each["default"], told[names[each["name"]]])
            for each in fields
            if each.get("default") is not None and told[names[each["name"]]]["optional"]
        },
    )


def read(schema: AvroSchema, value: bytes) -> Any:
    """A value without its head, every number and text as it was written. Raises Unfit."""
    stream = io.BytesIO(value)
    stream.seek(HEAD)
    try:
        found = fastavro.schemaless_reader(stream, schema.parsed, None)
    except (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, StopIteration, MemoryError):
        raise Unfit(_CUT, _REGISTRY) from None
    if stream.tell() != len(value):
        raise Unfit(_CUT, _REGISTRY)
    return found


class AvroReader:
    """Reads values of any schema. Not for use by several threads at once."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._known: dict[int, AvroSchema] = {}

    def event(self, value: bytes) -> Any:
        """The event. Raises Unfit, and what `Schemas.text` raises."""
        number = schema_id(value)
        schema = self._known.get(number)
        if schema is None:
            schema = self._known[number] = avro_schema(self._schemas.text(number))
        return read(schema, value)


def shortest(value: Any) -> Any:
    """A 32-bit float as the 64-bit one of the same shortest decimal, which is how JSON and the databases write it."""
    if isinstance(value, list):
        return [shortest(item) for item in value]
    return None if value is None else floats.shortest(value)


def _row(document: Any) -> Any:
    """The record of the rows in an event's schema; None where it has none."""
    fields = document.get("fields") if isinstance(document, dict) else None
    for part in ("before", "after"):
        for each in fields or ():
            if each["name"] == part:
                found = next((kind for kind in _union(each["type"]) if isinstance(kind, dict)), None)
                if found is not None and found.get("type") == "record":
                    return found
    return None


def _union(kind: Any) -> list[Any]:
    return kind if isinstance(kind, list) else [kind]


def _structure(kind: Any, row: Any, names: Mapping[str, str]) -> Any:
    """The schema without anything but its structure, the row's fields renamed."""
    if isinstance(kind, list):
        return [_structure(each, row, names) for each in kind]
    if not isinstance(kind, dict):
        return kind
    made = {name: value for name, value in kind.items() if name in _STRUCTURE}
    for part in ("type", "items", "values"):
        if part in made:
            made[part] = _structure(made[part], row, names)
    if "fields" in made:
        made["fields"] = [
            {"name": names[each["name"]] if kind is row else each["name"], "type": _structure(each["type"], row, names)}
            for each in made["fields"]
        ]
    return made


def _connect(kind: Any) -> dict[str, Any]:
    """A column's type as Connect's JSON schemas tell it: type, optional, name, items."""
    branches = [each for each in _union(kind) if each != "null"]
    if len(branches) != 1:
        return {"type": "union", "optional": True}
    (one,), optional = branches, isinstance(kind, list)
    if isinstance(one, dict) and isinstance(one["type"], dict | list):
        return _connect(one["type"]) | {"optional": optional}
    about = one if isinstance(one, dict) else {"type": one}
    made = {"type": about.get("connect.type") or _TYPES.get(about["type"], about["type"]), "optional": optional}
    if name := about.get("connect.name") or _LOGICAL.get(about.get("logicalType", ""), about.get("logicalType")):
        made["name"] = name
    if about["type"] == "array":
        made["items"] = _connect(about["items"])
    return made


def _default(value: Any, kind: Mapping[str, Any]) -> object:
    """A field's default as a value that was read."""
    if kind["type"] == "bytes" and isinstance(value, str):
        return value.encode("latin-1")
    return shortest(value) if kind["type"] == "float" else value
