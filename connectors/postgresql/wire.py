"""Which PostgreSQL types travel exactly through Debezium, and as what. Pure.

A type that Debezium changes, or loses when a large value is left unchanged by an update, is refused before anything
runs. What is said of Debezium here was seen with 3.7.0 (tests/unit/data) or read in its source.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from connectors.wire import Wire, WireColumn
from mappers.errors import ConfigError, Problem
from mappers.mapping import Column, Table

SCALARS: dict[str, Wire] = {
    "boolean": Wire.BOOL,
    "smallint": Wire.INT,
    "integer": Wire.INT,
    "bigint": Wire.INT,
    "real": Wire.FLOAT,
    "double precision": Wire.FLOAT,
    "bytea": Wire.BYTES,
    "date": Wire.DATE,
    "time without time zone": Wire.TIME,
    "timestamp without time zone": Wire.TIMESTAMP,
    **dict.fromkeys(
        (
            "numeric",
            "text",
            "character varying",
            "character",
            '"char"',
            "citext",
            "uuid",
            "json",
            "jsonb",
            "xml",
            "timestamp with time zone",
            "inet",
            "cidr",
            "macaddr",
            "macaddr8",
            "ltree",
            "int4range",
            "int8range",
            "numrange",
            "daterange",
            "tsrange",
            "tstzrange",
        ),
        Wire.TEXT,
    ),
}
"""Type without modifier and schema -> its wire kind."""

ELEMENTS: dict[str, Wire] = {
    "integer": Wire.INT,
    "bigint": Wire.INT,
    **dict.fromkeys(("text", "character varying", "character", "uuid", "json", "jsonb"), Wire.TEXT),
}
"""Element types of arrays for which Debezium has a placeholder when a large value does not travel.
"""
WHOLE_ELEMENTS: dict[str, Wire] = {
    "smallint": Wire.INT,
    "boolean": Wire.BOOL,
    "real": Wire.FLOAT,
    "double precision": Wire.FLOAT,
    **dict.fromkeys(("numeric", "citext", "inet", "cidr", "macaddr", "macaddr8"), Wire.TEXT),
}
"""Element types of arrays for which it has none: it stops, or sends null, which is no different from a null written.

With REPLICA IDENTITY FULL unchanged values travel too, and it takes them from there.
"""

_LOST_ARRAY = "Debezium cannot say that a large array of this type was left unchanged by an update"
_INEXACT_ARRAY = "Debezium reads the elements through Java's calendar, which changes some of them"
_ARRAYS = {
    "date": _INEXACT_ARRAY,
    "time without time zone": _INEXACT_ARRAY,
    "timestamp without time zone": _INEXACT_ARRAY,
    "timestamp with time zone": _INEXACT_ARRAY,
}

_OMITTED = "Debezium leaves columns of this type out of its events"
_SHAPE = "Debezium sends geometry of its own instead of the value"
_PLANE = "double precision columns for the coordinates"
REFUSED: dict[str, tuple[str, str]] = {
    "time with time zone": ("Debezium changes it to UTC and loses its offset", "time"),
    "interval": ("Debezium sends ISO 8601 text in which mixed signs read differently", "bigint (microseconds)"),
    "money": ("its text depends on lc_monetary and Debezium rounds it", "numeric"),
    "bit": ("Debezium sends its bytes reversed and without their length", "text or bytea"),
    "bit varying": ("Debezium sends its bytes reversed and without their length", "text or bytea"),
    "hstore": ("its form depends on the connector's hstore.handling.mode", "jsonb"),
    "tsvector": ("it is derived from other columns", "a generated column of the target"),
    "tsquery": (_OMITTED, "text"),
    "name": ("Debezium 3.7 sends null for it", "text"),
    "oid": ("Debezium sends the number of an object that means nothing elsewhere", "bigint"),
    "xid": (_OMITTED, "bigint"),
    "xid8": (_OMITTED, "bigint"),
    "pg_lsn": (_OMITTED, "text"),
    "jsonpath": (_OMITTED, "text"),
    **dict.fromkeys(("point", "line", "lseg", "box", "path", "polygon", "circle"), (_SHAPE, _PLANE)),
    **dict.fromkeys(("geometry", "geography"), (_SHAPE, "bytea (ST_AsEWKB)")),
    **dict.fromkeys(("vector", "halfvec", "sparsevec"), ("Debezium rounds it to a float form of its own", "real[]")),
    **dict.fromkeys(
        ("int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange"),
        (_OMITTED, "text"),
    ),
}
"""Type -> (why it does not travel exactly, what to use instead)."""

_EXTENSIONS = frozenset(["citext", "ltree", "hstore", "vector", "halfvec", "sparsevec", "geometry", "geography"])
_MODIFIER = re.compile(r"\s*\([^)]*\)")


def bare_type(spelling: str) -> str:
    """The type without modifier and array brackets, an extension's also without its schema: public.citext gives citext.

    Built-in types are spelled without a schema, so that app.text is a type of the user's own.
    """
    plain = _MODIFIER.sub("", spelling).removesuffix("[]")
    name = plain.rpartition(".")[2]
    return name if name in _EXTENSIONS else plain


def wire_columns(
    table: Table, wanted: Collection[str], path: tuple[str | int, ...] = ("tables",)
) -> tuple[WireColumn, ...]:
    """The wanted columns, in table order, as they travel. Raises ConfigError with a problem for each that cannot.

    `path` leads to the table's entry in the configuration.
    """
    made: list[WireColumn] = []
    problems = [_unknown(table, name, path) for name in sorted(set(wanted) - {c.name for c in table.columns})]
    for column in table.columns:
        if column.name not in wanted:
            continue
        found = _wire(column, table.replica_identity == "f")
        if isinstance(found, WireColumn):
            made.append(found)
        else:
            problems.append(_refusal(table, column, *found, path))
    if problems:
        raise ConfigError(problems)
    return tuple(made)


def _wire(column: Column, whole: bool) -> WireColumn | tuple[str, str]:
    """The column as it travels, or (why it cannot, what to do instead of reading it)."""
    if column.generated:
        return "it is generated, and generated columns do not travel", "write its expression over the other columns"
    if column.type.endswith("[]"):
        return _array(column, whole)
    bare = bare_type(column.type)
    kind = Wire.TEXT if column.labels else SCALARS.get(bare)
    if kind is not None:
        return WireColumn(column.name, column.type, kind, nullable=column.nullable)
    reason, instead = REFUSED.get(bare, ("Debezium has no exact form for this type", "text"))
    return reason, f"change its type at the source to {instead}, or leave the column out"


def _array(column: Column, whole: bool) -> WireColumn | tuple[str, str]:
    bare = bare_type(column.type)
    element = ELEMENTS.get(bare) or (WHOLE_ELEMENTS.get(bare) if whole else None)
    if element is not None:
        return WireColumn(column.name, column.type, Wire.ARRAY, element, column.nullable)
    hint = "change its type at the source to integer[], bigint[], text[] or uuid[], or leave the column out"
    if bare in WHOLE_ELEMENTS:
        return _LOST_ARRAY, f"ALTER TABLE .. REPLICA IDENTITY FULL, {hint}"
    return _ARRAYS.get(bare, "Debezium has no exact form for this type"), hint


def _unknown(table: Table, name: str, path: tuple[str | int, ...]) -> Problem:
    return Problem((*path, name), f"{table.full_name} has no column {name}", "correct the name")


def _refusal(table: Table, column: Column, reason: str, hint: str, path: tuple[str | int, ...]) -> Problem:
    what = f"{table.full_name}.{column.name}: {column.type} cannot be followed exactly: {reason}"
    return Problem((*path, column.name), what, hint)
