"""The schemas beside this as each engine declares them: records as its catalogue has them, and the SQL that makes them.

Types are chosen as a person would who moves a schema and loses nothing. Nothing of the product's own rules is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mappers.mapping import Column, Table
from mappers.names import quote
from tests.support.schemas import ddl

SCHEMAS = {"postgresql": "public", "mariadb": "shop", "sqlite": "main"}
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_MARIADB = {
    "integer": "int(11)", "bigint": "bigint(20)", "smallint": "smallint(6)", "boolean": "tinyint(1)",
    "text": "longtext", "json": "json", "uuid": "uuid", "bytea": "longblob", "double precision": "double",
    "real": "float", "date": "date", "time without time zone": "time(6)",
    "timestamp without time zone": "datetime(6)", "timestamp with time zone": "timestamp(6)",
}  # fmt: skip
_SQLITE = {
    "integer": "INTEGER", "bigint": "BIGINT", "smallint": "SMALLINT", "boolean": "BOOLEAN", "text": "TEXT",
    "json": "TEXT", "uuid": "CHAR(36)", "bytea": "BLOB", "double precision": "DOUBLE", "real": "REAL",
    "date": "DATE", "time without time zone": "TIME", "timestamp without time zone": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
}  # fmt: skip


def common(tables: Sequence[Table]) -> list[Table]:
    """The tables in one schema, with the types that every engine has in some form; text in a key has a length,
    and a uuid in a key is text."""
    names = [table.name for table in tables]
    assert len(set(names)) == len(names)
    return [_common(table) for table in tables]


def _common(table: Table) -> Table:
    unique = {name for constraint in table.uniques for name in constraint.columns}
    pointing = {name for key in table.references for name in key.columns}
    keyed = {*table.key, *unique, *pointing}
    columns = tuple(replace(column, type=_plain(column, column.name in keyed)) for column in table.columns)
    return moved(replace(table, columns=columns), "public")


def _plain(column: Column, keyed: bool) -> str:
    kind = column.type
    if kind == "jsonb" or kind.endswith("[]"):
        return "json"
    if keyed and kind in ("text", "uuid"):
        return f"character varying({255 if kind == 'text' else 36})"
    return {"inet": "character varying(45)", "numeric": "numeric(20,6)"}.get(kind, kind)


def moved(table: Table, schema: str) -> Table:
    """The table, and what it points to, in another schema."""
    references = tuple(replace(key, schema=schema) for key in table.references)
    return replace(table, schema=schema, references=references)


def declared(tables: Sequence[Table], engine: str) -> list[Table]:
    """The same tables as another engine's catalogue describes them."""
    if engine == "postgresql":
        return list(tables)
    make = {"mariadb": _in_mariadb, "sqlite": _in_sqlite}[engine]
    return [moved(replace(table, columns=tuple(map(make, table.columns))), SCHEMAS[engine]) for table in tables]


def _in_mariadb(column: Column) -> Column:
    kind = column.type
    if column.labels:
        spelled = "enum({})".format(",".join(f"'{label}'" for label in column.labels))
    else:
        spelled = _MARIADB.get(kind) or kind.replace("character varying", "varchar").replace("character", "char")
        spelled = spelled.replace("numeric", "decimal")
    text = spelled.startswith(("varchar", "char", "longtext", "enum"))
    return replace(column, type=spelled, collation="utf8mb4_general_ci" if text else "")


def _in_sqlite(column: Column) -> Column:
    kind = column.type
    if found := _NUMERIC.fullmatch(kind):
        spelled = f"DECIMAL({found[1]},{found[2]})" if int(found[1]) <= 15 else "TEXT"
    elif column.labels:
        spelled = "TEXT"
    else:
        spelled = _SQLITE.get(kind) or kind.upper().replace("CHARACTER VARYING", "VARCHAR")
    return replace(column, type=spelled, labels=())


def statements(tables: Sequence[Table], engine: str) -> Iterator[str]:
    """Everything that makes tables of that engine's records, in the database that is connected to."""
    if engine == "postgresql":
        yield from ddl.statements(tables)
        return
    yield from (_table(table, engine) for table in tables)
    if engine == "mariadb":
        for table in tables:
            for number, sql in enumerate(_references(table)):
                name = quote(f"{table.name}_{number}_fk")
                yield f"ALTER TABLE {quote(table.name)} ADD CONSTRAINT {name} {sql}"


def _table(table: Table, engine: str) -> str:
    column = _mariadb_column if engine == "mariadb" else _sqlite_column
    parts = [column(table, each) for each in table.columns]
    if table.key:
        parts.append(f"PRIMARY KEY ({_listed(table.key)})")
    parts += (f"UNIQUE ({_listed(unique.columns)})" for unique in table.uniques)
    parts += _references(table) if engine == "sqlite" else ()
    return f"CREATE TABLE {quote(table.name)} ({', '.join(parts)})"


def _references(table: Table) -> Iterator[str]:
    for key in table.references:
        if len(key.columns) == len(key.referenced):
            yield f"FOREIGN KEY ({_listed(key.columns)}) REFERENCES {quote(key.table)} ({_listed(key.referenced)})"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names))


def _mariadb_column(table: Table, column: Column) -> str:
    number = column.type.startswith(("int", "bigint", "smallint"))
    default = ""
    if column.has_default and number:
        default = " AUTO_INCREMENT" if table.key == (column.name,) else " DEFAULT 0"
    null = "NULL" if column.nullable else "NOT NULL"
    return f"{quote(column.name)} {column.type} {null}{default}"


def _sqlite_column(table: Table, column: Column) -> str:
    return f"{quote(column.name)} {column.type}{'' if column.nullable else ' NOT NULL'}"
