"""MariaDB's log (`connectors.source_log`): the binlog, and a connector whose committed offsets Kafka Connect tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from connectors.mariadb import binlog
from connectors.mariadb.binlog import BinlogFile, at
from connectors.mariadb.heartbeat_table import DATABASE, PLACE, Proof, Row, beat, prove, read
from connectors.mariadb.session import is_mariadb, server_of, translated
from connectors.mariadb.source import MariadbSource
from connectors.seams import Names
from connectors.source_log import LogState, Session
from mappers.errors import FatalError, TransientError


class Offsets(Protocol):
    """Asks Kafka Connect what the connector has committed."""

    def __call__(self) -> Mapping[str, Any] | None:
        """Its offset; None where there is none yet."""

    def close(self) -> None:
        """Close the connections."""


"""Asks Kafka Connect for the connector's committed source offset; None where it has none."""
OVER = "run `connector delete`, `connector apply` and `run --anew`: the tables are read from the beginning"
_DUMPS = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%%' AND USER = %s ORDER BY ID"


class MariadbLog:
    """The binlog as the connector reads it. reader: the account that the connector connects as."""

    def __init__(self, source: MariadbSource, pipeline: str, connector: str, reader: str, offsets: Offsets) -> None:
        self._source = source
        self._pipeline = pipeline
        self._reader = reader
        self._offsets = offsets
        self._end = 0
        self.where = f"source {server_of(source.url)}"
        self.name = f"connector {connector}"

    def close(self) -> None:
        """Close the connection to the source, which the next call opens again, and those to Kafka Connect."""
        self._source.close()
        self._offsets.close()

    def identity(self) -> str:
        """The server's id and the database, once the binlog was found to be the one that it was.

        Raises FatalError where the binlog began anew since the last time.
        """
        with translated("source", self._source.url):
            raw = self._source.raw()
            now, row = binlog.end(raw), read(raw, self._pipeline)
            if row is not None:
                self._check(now, row)
                self._prove(now)
            database = raw.db.decode() if isinstance(raw.db, bytes) else str(raw.db)
            return f"{binlog.server_of_log(raw)}/{database}"

    def _check(self, now: int, row: Row) -> None:
        raw, same = self._source.raw(), True
        if row.proof is not None and is_mariadb(raw):
            found = binlog.gtids_at(raw, row.proof.position, binlog.base_name(raw))
            same = found is None or found == row.proof.gtids
        if now < row.position or not same:
            what = "the binlog began anew: it is not the one that the stream was read from"
            raise FatalError(what, where=self.where, hint=OVER)

    def _prove(self, now: int) -> None:
        raw = self._source.raw()
        gtids = binlog.gtids_at(raw, now, binlog.base_name(raw)) if is_mariadb(raw) else None
        if gtids is not None:
            prove(raw, self._pipeline, Proof(now, gtids))

    def stream_id(self) -> str:
        """What `connector apply` wrote into the pipeline's row."""
        with translated("source", self._source.url):
            row = read(self._source.raw(), self._pipeline)
        return row.stream if row else ""

    def noted(self) -> int:
        """The last place before the current end of the binlog."""
        return self._now() - 1

    def emit(self, content: str) -> int:
        """Write a message into the pipeline's row. The position is the binlog's end before it."""
        position = self._now()
        with translated("source", self._source.url):
            if not beat(self._source.raw(), self._pipeline, content, position):
                what = f"{PLACE} has no row of pipeline {self._pipeline}"
                raise FatalError(what, where=self.where, hint="run `changeover connector apply`")
        return position

    def _now(self) -> int:
        """The end of the binlog, which only grows."""
        with translated("source", self._source.url):
            now = binlog.end(self._source.raw())
        if now < self._end:
            what = "the binlog went back: it was reset, or this is another server"
            raise FatalError(what, where=self.where, hint=OVER)
        self._end = now
        return now

    def confirmed(self) -> int:
        """Where the connector would begin again."""
        offset = self._offsets()
        if offset is None:
            what = f"{self.name} has committed nothing yet"
            raise TransientError(what, where="source", hint="run `changeover connector apply`")
        return position_of(offset)

    def state(self) -> LogState:
        """Who reads the binlog, and what of it the connector has still to read."""
        offset = self._offsets()
        confirmed = position_of(offset) if offset is not None else 0
        with translated("source", self._source.url):
            raw = self._source.raw()
            found, end = binlog.files(raw), binlog.end(raw)
        lost = lost_log(found, end, confirmed) if confirmed else ""
        return LogState(self.name, bool(self._sessions()), confirmed, retained(found, confirmed), lost)

    def session(self) -> Session | None:
        """The sessions in which the connector's account dumps the binlog; of several all count: none has a name.

        How far it has confirmed is not asked: MariaDB cannot say which rows were written since a transaction.
        """
        sessions = self._sessions()
        return Session(sessions, 0, 0, 0) if sessions else None

    def _sessions(self) -> str:
        with translated("source", self._source.url), self._source.raw().cursor() as cursor:
            cursor.execute(_DUMPS, (self._reader,))
            return ",".join(str(row[0]) for row in cursor.fetchall())

    def unread(self, tables: Names) -> list[str]:
        """The binlog has every table's changes; which of them travel, the connector's settings say."""
        return []


def position_of(offset: Mapping[str, Any]) -> int:
    """The position in a Debezium offset."""
    return at(str(offset["file"]), int(offset["pos"]))


def retained(files: list[BinlogFile], confirmed: int) -> int:
    """How many bytes of the binlog come after a position. Pure."""
    number, place = confirmed >> 32, confirmed & (binlog.FILE_SPAN - 1)
    return sum(f.size - (place if f.number == number else 0) for f in files if f.number >= number)


def lost_log(files: list[BinlogFile], end: int, confirmed: int) -> str:
    """Why the connector cannot go on from a position; "" where it can. Pure."""
    number = confirmed >> 32
    if end < confirmed:
        return "is ahead of the binlog, which began anew"
    if number not in {file.number for file in files}:
        return f"needs binlog file {number}, which was purged"
    if any(file.size >= binlog.FILE_SPAN for file in files if file.number >= number):
        return "reads a binlog file larger than 4 GB, in which events do not tell their place"
    return ""


__all__ = ["DATABASE", "MariadbLog", "lost_log", "position_of", "retained"]
