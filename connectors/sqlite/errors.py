"""SQLite's errors, put into the one error tree by the extended result code."""

from __future__ import annotations

import re
import sqlite3

from mappers.errors import ChangeoverError, ConflictError, FatalError, RecordError, TransientError

TRANSIENT = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_PROTOCOL", "SQLITE_INTERRUPT")
DUPLICATE = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID")
FILE = {
    "SQLITE_CANTOPEN": "check the path; a new database is an empty file",
    "SQLITE_NOTADB": "the file is no SQLite database: correct the path",
    "SQLITE_CORRUPT": "restore the file; `PRAGMA integrity_check` says what is damaged",
    "SQLITE_READONLY": "the user that runs this needs write access to the file and its directory",
    "SQLITE_PERM": "the user that runs this needs write access to the file and its directory",
}
_FAILED = re.compile(r"constraint failed: (?P<table>[^.]+)\.")
_UNKNOWN = re.compile(r"no such (table|column|function|module|index)|has no column named")
_DATA = re.compile(r"integer overflow|malformed JSON|bad JSON path|Could not decode to UTF-8|cannot store \w+ value")


def translate(error: sqlite3.Error, where: str, *, table: str = "") -> ChangeoverError:
    """The error tree's word for a driver's error. Never shows a row's values.

    where: begins with the side. table: the table that was being written, as ConflictError shall name it.
    """
    what = (str(error).strip() or type(error).__name__).splitlines()[0]
    name = str(getattr(error, "sqlite_errorname", None) or "")
    if name.startswith(DUPLICATE):
        found = _FAILED.search(what)
        table = table or (found["table"] if found else "")
        return ConflictError(what, table=table, where=_place(where, table))
    if name.startswith(TRANSIENT):
        return TransientError(what, where=where)
    for code, hint in FILE.items():
        if name.startswith(code):
            return FatalError(what, where=where, hint=hint)
    if _UNKNOWN.search(what):
        return FatalError(what, where=where, hint="the schema changed; compare it with the mapping and start again")
    return _record(error, name, what, _place(where, table)) or FatalError(what, where=where)


def _record(error: sqlite3.Error, name: str, what: str, place: str) -> RecordError | None:
    if name == "SQLITE_TOOBIG" or "too big" in what:
        return RecordError(what, where=place, reason="too_large")
    if name.startswith("SQLITE_MISMATCH") or isinstance(error, sqlite3.DataError) or _DATA.search(what):
        return RecordError(re.sub(r"'.*'", "'***'", what), where=place, reason="type")
    if isinstance(error, sqlite3.IntegrityError):
        return RecordError(what, where=place, reason="constraint")
    return None


def _place(where: str, table: str) -> str:
    return f"{where}, table {table}" if table else where
