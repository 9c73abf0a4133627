"""Functions and lists as the user writes them in an entry of `tables:`, and what they stand for."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import string
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mappers.errors import RecordError
from mappers.rows import PLACE, Explode, RowFunction, Values

Kind = Literal["text", "bigint", "numeric", "double precision", "boolean", "bytea", "uuid", "jsonb"]
ColumnName = Annotated[str, Field(min_length=1)]
NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS, "url": uuid.NAMESPACE_URL, "oid": uuid.NAMESPACE_OID, "x500": uuid.NAMESPACE_X500,
}  # fmt: skip
Reference = Callable[[str, Sequence[str], Sequence[str]], Mapping[Values, Values]]
"""Reads a reference table of the source: (name, key columns, other columns) -> key's values -> the others', as text."""


class FunctionFault(Exception):
    """A function that cannot be had: what is wrong, and how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PythonFunction(_Spec):
    """A Python function over batches of rows."""

    python: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="module:function. It gets a list of rows, each a tuple of the inputs' values, and returns as many, "
        "each a tuple of the outputs' values.",
    )
    inputs: list[ColumnName] = Field(min_length=1, description="Source columns, in the order of the tuple")
    outputs: dict[ColumnName, Kind] = Field(min_length=1, description="Computed column -> its type")
    unique: bool = Field(
        default=False, description="Different inputs always give different outputs, so that it may make a key"
    )

    def function(self) -> RowFunction:
        """The function itself. Raises FunctionFault."""
        module, _, name = self.python.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except ImportError as error:
            hint = f"put {module}.py beside the configuration, or on PYTHONPATH"
            raise FunctionFault(f"the module {module} cannot be imported: {error}", hint) from error
        except AttributeError as error:
            raise FunctionFault(f"the module {module} has no {name}", "correct the name") from error
        if not callable(found):
            raise FunctionFault(f"{self.python} is no function", "name a function of a list of rows")
        return RowFunction(
            f"the function {self.python}",
            tuple(self.inputs),
            tuple(self.outputs.items()),
            _digest("python", self.python, _source(found), self.inputs, self.outputs),
            found,
            self.unique,
        )


class Uuid5Function(_Spec):
    """A deterministic id: RFC 9562's version 5, by SHA-1. The engines do not agree on a function for it."""

    uuid5: str = Field(
        min_length=3, description="The name that is hashed, with source columns in braces: legacy-user:{id}"
    )
    namespace: str = Field(description="A UUID, or one of dns, url, oid, x500")
    output: ColumnName = Field(description="The computed column")

    @model_validator(mode="after")
    def _readable(self) -> Uuid5Function:
        if not self.inputs:
            raise ValueError("uuid5 names no column: write one in braces, as in user:{id}")
        try:
            self._namespace()
        except ValueError:
            raise ValueError("namespace is neither a UUID nor one of dns, url, oid, x500") from None
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns in braces, each once."""
        return tuple(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(self.uuid5) if name))

    def _namespace(self) -> uuid.UUID:
        return NAMESPACES.get(self.namespace) or uuid.UUID(self.namespace)

    def function(self) -> RowFunction:
        """NULL where one of the columns is."""
        space, inputs = self._namespace(), self.inputs
        parts = [(text, name) for text, name, _, _ in string.Formatter().parse(self.uuid5)]

        def one(row: Values) -> Values:
            values = dict(zip(inputs, row, strict=True))
            if any(value is None for value in row):
                return (None,)
            name = "".join(text + (_plain(values[column]) if column else "") for text, column in parts)
            return (str(uuid.uuid5(space, name)),)

        digest = _digest("uuid5", self.uuid5, str(space), self.output)
        outputs = ((self.output, "uuid"),)
        return RowFunction(
            "uuid5", inputs, outputs, digest, lambda rows: list(map(one, rows)), unique=len(inputs) == 1, strict=True
        )


class ValuesFunction(_Spec):
    """A table of values, written in the mapping."""

    values: dict[str, str | None] = Field(min_length=1, description="Value of the input -> value of the output")
    input: ColumnName = Field(description="A source column")
    output: ColumnName = Field(description="The computed column, of type text")
    missing: Literal["refuse", "null", "keep"] = Field(
        default="refuse", description="A value that is not listed: a dead letter, NULL, or the value itself"
    )

    def function(self) -> RowFunction:
        """NULL stays NULL."""

        def one(row: Values) -> Values:
            if row[0] is None:
                return (None,)
            value = _plain(row[0])
            if value in self.values:
                return (self.values[value],)
            if self.missing == "refuse":
                hint = "add it to values, or set missing"
                raise RecordError(f"a value of {self.input} is not among the listed ones", hint=hint)
            return (value if self.missing == "keep" else None,)

        digest = _digest("values", self.values, self.input, self.output, self.missing)
        outputs = ((self.output, "text"),)
        strict = self.missing != "null" and None not in self.values.values()
        return RowFunction("values", (self.input,), outputs, digest, lambda rows: list(map(one, rows)), strict=strict)


class LookupFunction(_Spec):
    """A small reference table of the source, read as a whole when the process starts."""

    lookup: str = Field(min_length=1, description="The reference table at the source, schema.table")
    key: dict[ColumnName, ColumnName] = Field(
        min_length=1, description="Column of the reference table -> source column that holds its value"
    )
    outputs: dict[ColumnName, ColumnName] = Field(
        min_length=1, description="Computed column, of type text -> column of the reference table"
    )
    missing: Literal["refuse", "null"] = Field(
        default="refuse", description="A key that the reference table does not have: a dead letter, or NULL"
    )

    def function(self, reference: Reference) -> RowFunction:
        """The function over what the reference table has now. Raises FunctionFault."""
        inputs = tuple(self.key.values())
        found = reference(self.lookup, list(self.key), list(self.outputs.values()))

        def one(row: Values) -> Values:
            values = found.get(tuple(map(_plain, row))) if None not in row else None
            if values is not None:
                return values
            if self.missing == "refuse" and None not in row:
                hint = "add the row there and start again, or set missing: null"
                raise RecordError(f"{self.lookup} has no row for a value of {', '.join(inputs)}", hint=hint)
            return (None,) * len(self.outputs)

        content = sorted((key, tuple(map(str, values))) for key, values in found.items())
        digest = _digest("lookup", self.lookup, self.key, self.outputs, self.missing, content)
        outputs = tuple((name, "text") for name in self.outputs)
        return RowFunction(f"the lookup in {self.lookup}", inputs, outputs, digest, lambda rows: list(map(one, rows)))


FunctionSpec = PythonFunction | Uuid5Function | ValuesFunction | LookupFunction


class ExplodeSpec(_Spec):
    """One source row becomes one target row for every element of a list."""

    split: ColumnName | None = Field(default=None, description="A source column with an array, or a list in one text")
    separator: str = Field(default=",", min_length=1, description="What stands between the elements of `split`")
    json_: ColumnName | None = Field(
        default=None, alias="json", description="A source column with a JSON array: texts as they are, others as JSON"
    )
    columns: list[ColumnName] | None = Field(
        default=None, min_length=1, description="Source columns that hold an element each; NULL ones hold none"
    )
    as_: ColumnName = Field(alias="as", description="The column that holds an element, for the expressions")
    ordinal: ColumnName | None = Field(
        default=None, description="The column that holds its place, from 1, before any is left out"
    )
    duplicates: Literal["refuse", "first"] = Field(
        default="refuse", description="Two elements that make the same target key: a dead letter, or the first counts"
    )

    @model_validator(mode="after")
    def _one_list(self) -> ExplodeSpec:
        if sum(part is not None for part in (self.split, self.json_, self.columns)) != 1:
            raise ValueError("write one of split, json and columns")
        return self

    def explode(self) -> Explode:
        """What makes the elements."""
        inputs: Sequence[str] = self.columns or [self.split or self.json_ or ""]
        digest = _digest("explode", self.model_dump(mode="json", by_alias=True))
        first, nullable = self.duplicates == "first", self.columns is None
        return Explode(
            "explode", tuple(inputs), self.as_, self.ordinal or PLACE, first, nullable, digest, self._items()
        )

    def _items(self) -> Callable[[Values], Sequence[str | None]]:
        if self.columns is not None:
            return lambda values: [_plain(value) for value in values if value is not None]
        if self.json_ is not None:
            return lambda values: _json_items(values[0], self.json_ or "")
        return lambda values: _split(values[0], self.separator)


def _split(value: object, separator: str) -> list[str | None]:
    if isinstance(value, list):
        return [None if item is None else _plain(item) for item in value]
    return list(str(value).split(separator)) if value not in (None, "") else []


def _json_items(value: object, column: str) -> list[str | None]:
    if value is None:
        return []
    try:
        found = msgspec.json.decode(str(value), type=list[msgspec.Raw] | None)
        return [_json_item(bytes(item)) for item in found or []]
    except (msgspec.DecodeError, UnicodeError) as error:
        hint = "mend the value, or explode it by split"
        raise RecordError(f"{column} holds no JSON array", hint=hint, reason="type") from error


def _json_item(raw: bytes) -> str | None:
    if raw == b"null":
        return None
    return str(json.loads(raw)) if raw[:1] == b'"' else raw.decode()


def _plain(value: object) -> str:
    """A neutral value as text: how keys of lookups and names of ids are written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def _source(function: Any) -> str:
    """The function's own text, so that a changed one shows; its bytecode where there is no text."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return code.co_code.hex() if code is not None else ""


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
