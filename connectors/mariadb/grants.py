"""Rights that the source's account lacks on tables, found by trying: roles count as they do for reads.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import pymysql

from connectors.mariadb.errors import RIGHTS
from connectors.mariadb.session import Raw
from connectors.seams import MissingGrant, Names


def missing_reads(raw: Raw, names: Names) -> list[MissingGrant]:
    """The tables that the account may not read in full. An unknown table is not among them."""
    lacking = [name for name in names if _refused(raw, f"SELECT * FROM {_place(*name)} LIMIT 0")]
    return [
        MissingGrant(f"{schema}.{name}", ("SELECT",), False, f"GRANT SELECT ON {_mend(schema, name)} TO {account(raw)}")
        for schema, name in lacking
    ]


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
        cursor.execute("SELECT CURRENT_USER()")
        row = cursor.fetchone()
    user, _, host = str(row[0] if row else "").rpartition("@")
    return f"'{user}'@'{host}'"


def _refused(raw: Raw, query: str) -> bool:
    try:
        with raw.cursor() as cursor:
            cursor.execute(query)
    except pymysql.Error as error:
        if error.args and error.args[0] in RIGHTS:
            return True
        if error.args and error.args[0] in _UNKNOWN:
            return False
        raise
    return False


_UNKNOWN = (1049, 1146)


def _place(schema: str, name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))


def _mend(schema: str, name: str) -> str:
    return ".".join("`" + part.replace("`", "``") + "`" for part in (schema, name))
