"""Which rights the account lacks on tables, found out by asking for the plan of a statement that needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pymysql

from connectors.mariadb.errors import RIGHTS
from connectors.mariadb.session import Raw
from connectors.seams import MissingGrant
from mappers.projection import quote

_ASKED = {
    "SELECT": "EXPLAIN SELECT * FROM {table}",
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
            mend = f"GRANT {', '.join(lacking)} ON {ticked(schema, name)} TO {account(raw)}"
            found.append(MissingGrant(f"{schema}.{name}", lacking, False, mend))
    return found


def _refused(raw: Raw, statement: str) -> bool:
    try:
        raw.query(statement)
    except pymysql.Error as error:
        return bool(error.args) and error.args[0] in RIGHTS
    return False


def may_write(raw: Raw, database: str) -> bool:
    """Whether a grant on the database, or on all, lets the account make and write tables there."""
    with raw.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [str(row[0]) for row in cursor.fetchall()]
    mine = [grant for grant in grants if f" ON `{database}`.* " in grant or " ON *.* " in grant]
    return any("ALL PRIVILEGES" in grant or {"CREATE", "UPDATE"} <= _words(grant) for grant in mine)


def _words(grant: str) -> set[str]:
    return set(grant.replace(",", " ").split())


def account(raw: Raw) -> str:
    """The account as GRANT names it."""
    with raw.cursor() as cursor:
        cursor.execute("SELECT current_user()")
        row = cursor.fetchone()
    user, _, host = str(row[0] if row else "@").rpartition("@")
    return f"'{user}'@'{host}'"


def ticked(*parts: str) -> str:
    """A dotted name as every session reads it, whatever its mode: for statements that a person runs."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)
