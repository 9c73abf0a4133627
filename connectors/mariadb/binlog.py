"""Positions in the binlog as growing numbers, and what a snapshot of the source sees in them.

A position is the file's number and the place in it, as one number of 64 bits: `at`. A transaction stands whole between
two positions, and a consistent snapshot of MariaDB tells the one between what it sees and what it does not, exactly.
MySQL does not; there the numbers of its GTIDs take the place of positions (not run against MySQL).

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.mariadb.session import Raw, is_mariadb, version_of
from connectors.snapshot import Snapshot
from mappers.errors import FatalError

FILE_SPAN = 1 << 32
"""Events say their place in the file in 32 bits."""
_SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"


@dataclass(frozen=True, slots=True)
class BinlogFile:
    """A file of the binlog that the server still has."""

    number: int
    size: int


def at(file: str, place: int) -> int:
    """The number of a place in a file: binlog.000002, 4 is 2 << 32 | 4."""
    return number_of(file) << 32 | place


def number_of(file: str) -> int:
    """The number at the end of a file's name. Raises FatalError for a name without one."""
    digits = file.rpartition(".")[2]
    if not digits.isdigit():
        raise FatalError(f"a binlog file is called {file!r}", where="source")
    return int(digits)


def take_snapshot(raw: Raw) -> Snapshot:
    """Begin a transaction that sees one state, and say which. The session's isolation is REPEATABLE READ.

    Raises FatalError where the binlog has outgrown what events can say of their place.
    """
    if not is_mariadb(raw):
        return _mysql_snapshot(raw)
    _run(raw, _SNAPSHOT)
    found: dict[str, Any] = dict(_run(raw, "SHOW STATUS LIKE 'Binlog_snapshot_%'"))
    file, place = str(found.get("Binlog_snapshot_file", "")), int(found.get("Binlog_snapshot_position") or 0)
    if not file:
        raise FatalError("log_bin is OFF", where="source", hint="start the server with log_bin")
    check_size([BinlogFile(number_of(file), place)])
    position = at(file, place)
    return Snapshot(position, position)


def _mysql_snapshot(raw: Raw) -> Snapshot:
    """What had been committed in the engine before the snapshot was taken: it may see more, which comes again."""
    ((uuid, executed),) = _run(raw, "SELECT @@server_uuid, @@GLOBAL.gtid_executed")
    _run(raw, _SNAPSHOT)
    return executed_snapshot(str(executed), str(uuid))


def executed_snapshot(executed: str, uuid: str) -> Snapshot:
    """The transactions of one server in a set of GTIDs, uuid:1-5:7, as a snapshot. Pure."""
    ranges: list[tuple[int, int]] = []
    for part in executed.replace("\n", "").split(","):
        name, _, intervals = part.strip().partition(":")
        if name.lower() == uuid.lower():
            ends = (interval.split("-") for interval in intervals.split(":"))
            ranges += [(int(low[0]), int(low[-1])) for low in ends]
    ranges.sort()
    if not ranges:
        return Snapshot(1, 1)
    xmin = ranges[0][1] + 1 if ranges[0][0] == 1 else 1
    xmax = ranges[-1][1] + 1
    seen = {number for low, high in ranges if high >= xmin for number in range(max(low, xmin), high + 1)}
    return Snapshot(xmin, xmax, frozenset(range(xmin, xmax)) - seen)


def end(raw: Raw) -> int:
    """The current end of the binlog. Everything that anyone can have read from it is before."""
    statement = "SHOW MASTER STATUS"
    if not is_mariadb(raw) and _version(raw) >= (8, 4):
        statement = "SHOW BINARY LOG STATUS"
    rows = _run(raw, statement)
    if not rows:
        raise FatalError("log_bin is OFF", where="source", hint="start the server with log_bin")
    return at(str(rows[0][0]), int(rows[0][1]))


def files(raw: Raw) -> list[BinlogFile]:
    """The files that the server still has, the oldest first."""
    return [BinlogFile(number_of(str(row[0])), int(row[1])) for row in _run(raw, "SHOW BINARY LOGS")]


def check_size(found: list[BinlogFile]) -> None:
    """Raise FatalError where a file is so large that places in it come round again."""
    if any(file.size >= FILE_SPAN for file in found):
        raise FatalError(
            "a transaction made a binlog file larger than 4 GB, beyond which events do not tell their place",
            where="source",
            hint="the rows that it touched may be missing: `run --anew` once the file has been purged",
        )


def server_of_log(raw: Raw) -> str:
    """Tells this server from its replicas, among which every server has an id of its own."""
    variable = "@@server_id" if is_mariadb(raw) else "@@server_uuid"
    ((found,),) = _run(raw, f"SELECT {variable}")
    return str(found)


def gtids_at(raw: Raw, position: int, base: str) -> str | None:
    """The GTIDs of what the binlog has before a position; None where it does not have that place (any more)."""
    ((found,),) = _run(raw, f"SELECT BINLOG_GTID_POS('{base}.{position >> 32:06d}', {position & (FILE_SPAN - 1)})")
    return None if found is None else str(found)


def base_name(raw: Raw) -> str:
    """What the binlog's files are called, without their number."""
    ((found,),) = _run(raw, "SELECT @@log_bin_basename")
    return str(found).rpartition("/")[2]


def allows_zero_dates(raw: Raw) -> bool:
    """Whether sessions may write 0000-00-00, unless they say otherwise."""
    ((modes,),) = _run(raw, "SELECT @@GLOBAL.sql_mode")
    named = set(str(modes).split(","))
    strict = named & {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "TRADITIONAL"}
    return not (strict and {"NO_ZERO_DATE", "NO_ZERO_IN_DATE"} <= named)


def _version(raw: Raw) -> tuple[int, ...]:
    return tuple(int(part) for part in version_of(raw).split("-")[0].split(".") if part.isdigit())


def _run(raw: Raw, statement: str) -> list[Any]:
    with raw.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
