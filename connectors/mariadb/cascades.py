"""Foreign keys by which the server changes rows of a table without logging it: InnoDB does not write its cascades into
the binlog, so that they never travel.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.mariadb.session import Raw

_SILENT = ("CASCADE", "SET NULL", "SET DEFAULT")
_QUERY = """
SELECT r.CONSTRAINT_SCHEMA, r.TABLE_NAME, r.CONSTRAINT_NAME, r.UNIQUE_CONSTRAINT_SCHEMA, r.REFERENCED_TABLE_NAME,
       r.DELETE_RULE, r.UPDATE_RULE,
       (SELECT GROUP_CONCAT(CONCAT('`', k.COLUMN_NAME, '`') ORDER BY k.ORDINAL_POSITION SEPARATOR ', ')
          FROM information_schema.KEY_COLUMN_USAGE k WHERE k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA
           AND k.TABLE_NAME = r.TABLE_NAME AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME),
       (SELECT GROUP_CONCAT(CONCAT('`', k.REFERENCED_COLUMN_NAME, '`') ORDER BY k.ORDINAL_POSITION SEPARATOR ', ')
          FROM information_schema.KEY_COLUMN_USAGE k WHERE k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA
           AND k.TABLE_NAME = r.TABLE_NAME AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME)
  FROM information_schema.REFERENTIAL_CONSTRAINTS r
 WHERE r.CONSTRAINT_SCHEMA = %s AND r.TABLE_NAME = %s ORDER BY 3"""


@dataclass(frozen=True, slots=True)
class Cascade:
    """A foreign key of a table by which its rows change silently. parent: the table that it points to. mend: the SQL
    that makes the server refuse instead.
    """

    table: str
    name: str
    parent: str
    rules: str
    mend: str

    @property
    def what(self) -> str:
        """What is wrong with it."""
        return (
            f"its foreign key {self.name} to {self.parent} has {self.rules}, and what the server changes by that is "
            "not in its log"
        )


def read_cascades(raw: Raw, names: Sequence[tuple[str, str]]) -> list[Cascade]:
    """Those of these tables."""
    found = []
    for schema, name in names:
        with raw.cursor() as cursor:
            cursor.execute(_QUERY, (schema, name))
            found += [_cascade(*map(str, row)) for row in cursor.fetchall() if {row[5], row[6]} & set(_SILENT)]
    return found


def _cascade(
    schema: str, table: str, name: str, their_schema: str, parent: str, delete: str, update: str, mine: str, theirs: str
) -> Cascade:
    rules = [f"ON {verb} {rule}" for verb, rule in (("DELETE", delete), ("UPDATE", update)) if rule in _SILENT]
    strict = f"CONSTRAINT `{name}_strict` FOREIGN KEY ({mine}) REFERENCES `{their_schema}`.`{parent}` ({theirs})"
    mend = (
        f"ALTER TABLE `{schema}`.`{table}` DROP FOREIGN KEY `{name}`, ADD {strict}; then let the application, or a "
        f"trigger on {parent}, change the rows first: both are logged"
    )
    return Cascade(f"{schema}.{table}", name, f"{their_schema}.{parent}", " ".join(rules), mend)
