"""The control tables' names in a SQLite file, which has no schemas: `changeover.chunk` is `changeover_chunk` there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Index, Table
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteIdentifierPreparer

from connectors.control.schema import DEFAULT_SCHEMA


def prefix_control_tables(engine: Engine) -> None:
    """Let this engine's statements name the control tables by prefix; every other name stays as it is."""
    dialect: Any = engine.dialect
    dialect.identifier_preparer = _Preparer(dialect)
    dialect.statement_compiler = _Compiler


def control_name(name: str) -> str:
    """The name of a control table, or of its index, in the file."""
    return f"{DEFAULT_SCHEMA}_{name}"


def _is_control(element: object) -> bool:
    return isinstance(element, Table) and element.schema == DEFAULT_SCHEMA


class _Preparer(SQLiteIdentifierPreparer):
    """Leaves the control tables' schema out, and puts it before their names."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self.schema_for_object: Any = _schema

    def format_table(self, table: Any, use_schema: bool = True, name: str | None = None) -> str:
        if _is_control(table):
            name = control_name(name or table.name)
        return super().format_table(table, use_schema=use_schema, name=name)

    def format_index(self, index: Index) -> str:
        if _is_control(index.table):
            return self.quote(control_name(str(index.name)))
        return super().format_index(index)


class _Compiler(SQLiteCompiler):
    """Names a control table, and a column by its table, as the file has it."""

    def visit_table(  # type: ignore[override]
        self, table: Any, asfrom: bool = False, **options: Any
    ) -> str:
        if asfrom and _is_control(table):
            return self.preparer.format_table(table)
        return str(super().visit_table(table, asfrom=asfrom, **options))  # type: ignore[no-untyped-call]

    def visit_column(  # type: ignore[override]
        self, column: Any, *, include_table: bool = True, **options: Any
    ) -> str:
        if not (include_table and _is_control(column.table)):
            return super().visit_column(column, include_table=include_table, **options)
        name = super().visit_column(column, include_table=False, **options)
        return f"{self.preparer.format_table(column.table)}.{name}"


def _schema(element: Any) -> str | None:
    return None if _is_control(element) else element.schema
