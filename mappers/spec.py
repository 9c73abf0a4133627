"""One entry of `tables:` as the user writes it. What it means is decided in `resolve.py`, against both catalogues."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from mappers.names import split_name
from mappers.rows_spec import ExplodeSpec, FunctionSpec

__all__ = ["SqlText", "TableSpec", "split_name"]


def sql_text(value: Any) -> str:
    """A YAML scalar as SQL: text is an expression as it stands; numbers, true, false and null are their literals."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("the expression is empty: write null for no value, or \"''\" for an empty text")
        return value
    raise ValueError(f"{value} is not an SQL expression: put it in quotes, as in \"date '2020-01-31'\"")


SqlText = Annotated[str, BeforeValidator(sql_text, json_schema_input_type=str | int | float | bool | None)]
TableName = Annotated[str, Field(min_length=1)]


class TableSpec(BaseModel):
    """How the rows of one source table become rows of one target table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: TableName = Field(
        alias="from",
        description='The source table, schema.table; a bare name is in the default schema, "odd names" are quoted.',
    )
    target: TableName = Field(
        default="",
        alias="to",
        description="The target table, schema.table; a bare name is in the default schema. Left out: the same name as "
        "the source's, and the default schema for the default schema.",
    )
    key: dict[str, SqlText] | None = Field(
        default=None,
        description="The columns that identify a target row: target column -> expression over the source. They must be "
        "a primary key or unique constraint there. Left out: the target's primary key, as `columns` fills it.",
    )
    columns: Literal["*"] | dict[str, SqlText] = Field(
        default="*",
        description='What fills the target: target column -> SQL expression over the source. "*": every column '
        "that has the same name on both sides.",
    )
    overrides: dict[str, SqlText] = Field(
        default_factory=dict,
        description='With columns "*": target column -> expression, in place of or besides the same-named columns.',
    )
    where: Annotated[str, BeforeValidator(sql_text)] | None = Field(
        default=None,
        description="Only source rows for which this is true are migrated; a row that stops matching is deleted.",
    )
    functions: list[FunctionSpec] = Field(
        default_factory=list,
        description="Columns that are computed from a source row before the mapping sees it, beside the source's own.",
    )
    explode: ExplodeSpec | None = Field(
        default=None, description="One source row becomes one target row for every element of a list."
    )
    source_key: list[str] | None = Field(
        default=None,
        min_length=1,
        description="For a source table without primary key: NOT NULL columns with a unique index that identify a row.",
    )
    group: str = Field(default="default", min_length=1, description="Tables of one group are cut over together.")
    if_not_empty: Literal["refuse", "keep"] = Field(
        default="refuse",
        description="What to do when the target table already has rows: refuse, or keep them beside the migrated ones.",
    )
    on_new_columns: Literal["stop", "ignore"] = Field(
        default="stop",
        description="What to do when a column is added at the source while it runs: stop at the first event that has "
        "it, or leave it alone. Of several entries for one source table, one that says stop decides.",
    )

    _schemas: tuple[str, str] = PrivateAttr(("public", "public"))

    @field_validator("source", "target")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if value:
            split_name(value)
        return value

    @field_validator("key")
    @classmethod
    def _names_a_column(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and not value:
            raise ValueError("name at least one target column, or leave `key` out")
        return value

    @field_validator("source_key")
    @classmethod
    def _names_each_once(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a column is named twice")
        return value

    @model_validator(mode="after")
    def _overrides_a_star(self) -> TableSpec:
        if self.overrides and self.columns != "*":
            raise ValueError('overrides only go with columns: "*"; put these expressions into columns')
        return self

    def place(self, source: str, target: str) -> None:
        """Say what the default schema of each side is: `public` until then."""
        self._schemas = (source, target)

    @property
    def source_name(self) -> tuple[str, str]:
        """(schema, name) of the source table."""
        return split_name(self.source, self._schemas[0])

    @property
    def target_name(self) -> tuple[str, str]:
        """(schema, name) of the target table."""
        if self.target:
            return split_name(self.target, self._schemas[1])
        schema, name = self.source_name
        return self._schemas[1] if schema == self._schemas[0] else schema, name
