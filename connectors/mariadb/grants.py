"""Which rights the account lacks on tables, found out by asking for the plan of a statement that needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pymysql

from connectors.mariadb.errors import RIGHTS
from connectors.mariadb.session import Raw
from connectors.seams import MissingGrant
from mappers.projection import quote

_ASKED = {
    "SELECT": "EXPLAIN SELECT 1 FROM {table}",
    "INSERT": "EXPLAIN INSERT INTO {table} VALUES ()",
    "UPDATE": 'EXPLAIN UPDATE {table} SET "changeover.none" = 1',
    "DELETE": "EXPLAIN DELETE FROM {table} WHERE false",
}
"""Right -> a statement that is planned and not run. Whatever else is wrong with it, rights are looked at first."""


def missing_grants(raw: Raw, names: Iterable[tuple[str, str]], rights: Sequence[str]) -> list[MissingGrant]:
    """The tables on which the account lacks some of these rights, with the statement that grants them."""
    found = []
    for schema, name in names:
        table = f"{quote(schema)}.{quote(name)}"
        lacking = tuple(right for right in rights if _refused(raw, _ASKED[right].format(table=table)))
        if lacking:
            mend = f"GRANT {', '.join(lacking)} ON {ticked(schema, name)} TO {_account(raw)}"
            found.append(MissingGrant(f"{schema}.{name}", lacking, False, mend))
    return found


def _refused(raw: Raw, statement: str) -> bool:
    try:
        raw.query(statement)
    except pymysql.Error as error:
        return bool(error.args) and error.args[0] in RIGHTS
    return False


def _account(raw: Raw) -> str:
    with raw.cursor() as cursor:
        cursor.execute("SELECT current_user()")
        row = cursor.fetchone()
    user, _, host = str(row[0] if row else "@").rpartition("@")
    return f"'{user}'@'{host}'"


def ticked(*parts: str) -> str:
    """A dotted name as every session reads it, whatever its mode: for statements that a person runs."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)
