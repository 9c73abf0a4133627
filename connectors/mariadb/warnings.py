"""What a server says of a statement beside its result: whatever was changed on the way in is an error here.

The strict modes make errors of most. What is left is said as a note: digits and fractions cut, spaces lost. A merge
must end without any.
"""

from __future__ import annotations

import re

from pymysql import err

from connectors.mariadb.errors import translate
from connectors.mariadb.infile import Connection
from mappers.errors import ChangeoverError, RecordError

HARMLESS = frozenset(
    {
        1050,  # a staging table is there already
        1051,
        1196,  # a rollback does not empty staging tables
        1287, 1681, 3719, 3778,  # deprecated words
        1592,  # a statement that a binary log by statements would repeat wrongly
    }
)  # fmt: skip
"""Warnings that are not about values."""
_WRITTEN_CUT = re.compile(r"Truncated incorrect (?:CHAR|BINARY)\(\d+\) value")
"""cast(x as char(3)) of a mapping."""


def checked(raw: Connection, where: str, table: str = "", *, may_cut: bool = False) -> None:
    """Raise RecordError where the last statement changed a value. Shows no value.

    may_cut: a cast that says how long its text is may make it so.
    """
    result = raw._result
    if result is None or not result.warning_count:
        return
    said = raw.show_warnings()  # type: ignore[no-untyped-call]
    for _, number, message in said or ():
        if number in HARMLESS or (may_cut and _WRITTEN_CUT.match(message)):
            continue
        raise _error(number, message, where, table)


def _error(number: int, message: str, where: str, table: str) -> ChangeoverError:
    found = translate(err.DataError(number, message), where, table=table)
    place = f"{where}, table {table}" if table else where
    return found if isinstance(found, RecordError) else RecordError(found.what, where=place, reason="type")
