"""The source's side of the change stream: a publication of exactly the mapped tables.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from connectors.postgresql import statements
from mappers.errors import FatalError

_STATEMENTS = statements.load("publication.sql")
_OPTIONS = SQL("publish = 'insert, update, delete, truncate', publish_via_partition_root = true")
Names = Iterable[tuple[str, str]]
"""(schema, name) of tables."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication as it is. `owner` is the pipeline that its comment names; "" where it names none."""

    owner: str
    tables: frozenset[tuple[str, str]]
    complete: bool
    """It publishes all four operations, partitions as their root."""
    partial: bool
    """There is something in it besides whole tables."""


def owner_comment(pipeline: str) -> str:
    """What marks a publication as a pipeline's own."""
    return f"changeover pipeline {pipeline}"


def publication(conn: psycopg.Connection[Any], name: str) -> Publication | None:
    """The publication of that name, or None."""
    rows = statements.fetch(conn, _STATEMENTS["publication"], {"name": name})
    if not rows:
        return None
    comment = rows[0]["comment"]
    prefix = owner_comment("")
    return Publication(
        owner=comment.removeprefix(prefix) if comment.startswith(prefix) else "",
        tables=frozenset((schema, table) for schema, table in rows[0]["tables"]),
        complete=rows[0]["complete"],
        partial=rows[0]["partial"],
    )


def ensure_publication(conn: psycopg.Connection[Any], name: str, tables: Names, pipeline: str) -> str:
    """Create or alter it to publish everything about exactly these tables: "created", "altered" or "unchanged".

    Raises FatalError where one of that name exists that is not this pipeline's.
    """
    wanted = frozenset(tables)
    now = publication(conn, name)
    if now is None:
        with conn.transaction():
            conn.execute(
                SQL("CREATE PUBLICATION {} FOR {} WITH ({})").format(Identifier(name), _list(wanted), _OPTIONS)
            )
            conn.execute(
                SQL("COMMENT ON PUBLICATION {} IS {}").format(Identifier(name), Literal(owner_comment(pipeline)))
            )
        return "created"
    _check_owner(name, now, pipeline)
    if now.partial:
        raise FatalError(
            "it publishes more than whole tables: all tables, a schema, a row filter or a column list was added",
            where=f"publication {name}",
            hint="take that out with ALTER PUBLICATION",
        )
    if now.complete and now.tables == wanted:
        return "unchanged"
    with conn.transaction():
        conn.execute(SQL("ALTER PUBLICATION {} SET {}").format(Identifier(name), _list(wanted)))
        conn.execute(SQL("ALTER PUBLICATION {} SET ({})").format(Identifier(name), _OPTIONS))
    return "altered"


def drop_publication(conn: psycopg.Connection[Any], name: str, pipeline: str) -> bool:
    """Drop this pipeline's publication. False where there was none. Raises FatalError where it is someone else's."""
    now = publication(conn, name)
    if now is None:
        return False
    _check_owner(name, now, pipeline)
    conn.execute(SQL("DROP PUBLICATION {}").format(Identifier(name)))
    return True


def differing_partitions(conn: psycopg.Connection[Any], tables: Names) -> list[tuple[str, str, str]]:
    """(parent, partition, partition as SQL) where a partition's replica identity is not its parent's."""
    pairs = list(tables)
    names = {"schemas": [schema for schema, _ in pairs], "names": [name for _, name in pairs]}
    rows = statements.fetch(conn, _STATEMENTS["partition_identities"], names)
    return [(row["parent"], row["partition"], row["quoted"]) for row in rows]


def _check_owner(name: str, now: Publication, pipeline: str) -> None:
    if now.owner != pipeline:
        whose = f"it belongs to pipeline {now.owner}" if now.owner else "it was not made by Changeover"
        raise FatalError(
            f"a publication of that name exists and {whose}",
            where=f"publication {name}",
            hint="set source.publication to another name, or drop that publication if nobody uses it",
        )


def _list(tables: Iterable[tuple[str, str]]) -> Composed:
    """TABLE ONLY a, ONLY b: a child that inherits is a table of its own. (Partitions always come with their root.)"""
    return SQL("TABLE ") + SQL(", ").join(SQL("ONLY {}").format(Identifier(*table)) for table in sorted(tables))
