"""MariaDB's and MySQL's errors, put into the one error tree. Their numbers tell more than the driver's classes."""

from __future__ import annotations

import re

import pymysql

from mappers.errors import ChangeoverError, ConflictError, FatalError, RecordError, TransientError

TRANSIENT = frozenset(
    {
        1020,  # the row changed since it was read
        1021,  # disk full
        1030,  # the storage engine's own error
        1037, 1038, 1041,  # out of memory
        1040, 1203, 1226,  # too many connections
        1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184,  # the server or the network ends the connection
        1114, 1206,  # table full, too many locks
        1205, 1213,  # lock wait timeout, deadlock
        1317, 1927, 1969, 3024, 4031,  # killed, or over a time limit
        1412,  # the table was altered after the snapshot was taken
        2002, 2003, 2005, 2006, 2013, 2014, 2055,  # the client cannot reach the server, or lost it
    }
)  # fmt: skip
CREDENTIALS = frozenset({1045, 1049, 1130, 1131, 1251, 1524, 1698, 1820, 1862, 2059, 3118, 4151})
RIGHTS = frozenset({1044, 1142, 1143, 1227, 1370})
UNKNOWN = frozenset({1051, 1054, 1109, 1146, 1176, 1305})
DUPLICATE = frozenset({1062, 1586, 1859})
CONSTRAINT = frozenset({1048, 1216, 1217, 1364, 1451, 1452, 1644, 3819, 4025})
DATA = frozenset({1265, 1292, 1300, 1366, 1367, 1411, 1416, 1690, 3140, 3141, 3143, 3156, 4038})
TOO_LARGE = frozenset({1118, 1153, 1301})
READ_ONLY = frozenset({1290, 1792, 1836})

_VALUE = re.compile(r"'.*'(?P<tail> for (?:column|function) .*| at row \d+|)$", re.DOTALL)
"""The value in a message about bad data: whatever is quoted before the column's name."""
_ENTRY = re.compile(r"entry '.*' for key", re.DOTALL)
_NEAR = re.compile(r"near '([^']*).*(?= at line \d+$)", re.DOTALL)
"""A syntax error shows the statement from its fault on, with the values that the driver wrote into it."""
_KEY = re.compile(r" for key '(?:(?P<table>[^'.]+)\.)?(?P<key>[^']+)'$")
_ACCOUNT = re.compile(r"user '(?P<user>[^']*)'@'(?P<host>[^']*)'")


def translate(error: pymysql.Error, where: str, *, table: str = "") -> ChangeoverError:
    """The error tree's word for a driver's error. Never shows a row's values.

    where: begins with the side. table: the table that was being written, as ConflictError shall name it: MariaDB does
    not say it.
    """
    number, what = _parts(error)
    if number in DUPLICATE:
        return _conflict(what, where, table)
    if number in CREDENTIALS:
        return FatalError(what, where=where, hint="check user, password and database name")
    if number in RIGHTS:
        return FatalError(what, where=where, hint=_grant(what))
    if number in TRANSIENT or _connection_lost(error, number, what):
        side = where.partition(" ")[0]
        return TransientError(what, where=where, hint=f"start it, or correct {side}.url" if number == 2003 else "")
    if number in UNKNOWN:
        return FatalError(what, where=where, hint="the schema changed; compare it with the mapping and start again")
    if number in READ_ONLY:
        return FatalError(what, where=where, hint="it accepts no writes: is it a replica?")
    place = f"{where}, table {table}" if table else where
    return _record(error, number, what, place) or FatalError(_NEAR.sub(r"near '\1...'", what), where=where)


def _parts(error: pymysql.Error) -> tuple[int, str]:
    """(number, message); 0 where the driver has its own words."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[-1]) if error.args else ""
    return number, (text or "the connection is closed").strip().splitlines()[0]


def _connection_lost(error: pymysql.Error, number: int, what: str) -> bool:
    """A deadlock takes the savepoints with it: whoever goes back to one finds it gone."""
    return isinstance(error, pymysql.err.InterfaceError) or (number == 1305 and what.startswith("SAVEPOINT "))


def _conflict(what: str, where: str, table: str) -> ConflictError:
    key = _KEY.search(what)
    table = table or (key["table"] or "" if key else "")
    place = f"{where}, table {table}" if table else where
    return ConflictError(_ENTRY.sub("entry '***' for key", what), table=table, where=place)


def _record(error: pymysql.Error, number: int, what: str, place: str) -> RecordError | None:
    state = str(getattr(error, "sqlstate", None) or "")
    if number in TOO_LARGE:
        hint = "raise max_allowed_packet of the server" if number != 1118 else ""
        return RecordError(what, where=place, hint=hint, reason="too_large")
    if number in CONSTRAINT or state.startswith("23"):
        return RecordError(what, where=place, reason="constraint")
    if number in DATA or state.startswith("22") or isinstance(error, pymysql.err.DataError):
        return RecordError(_VALUE.sub(r"'***'\g<tail>", what) if _has_value(what) else what, where=place, reason="type")
    return None


def _has_value(what: str) -> bool:
    """What else is quoted in such a message is the column."""
    return ": '" in what or "in '" in what or "double '" in what


def _grant(what: str) -> str:
    """The statement that gives the account what it was refused."""
    found = _ACCOUNT.search(what)
    account = f"'{found['user']}'@'{found['host']}'" if found else "this account"
    if database := re.search(r"to database '(.+)'", what):
        return f"GRANT ALL PRIVILEGES ON `{database[1]}`.* TO {account}, or check the database's name"
    command = re.match(r"([A-Z, ]+?) command denied", what)
    if command and (table := re.search(r"for table [`'\"]?(.+?)[`'\"]?$", what)):
        parts = re.split(r"[`\"]\.[`\"]", table[1])
        return f"GRANT {command[1]} ON {'.'.join(f'`{part}`' for part in parts)} TO {account}"
    return f"GRANT it to {account}; a new start names what is missing on the mapped tables, as statements"
