"""Connections that send LOAD DATA LOCAL its rows from memory.

The protocol lets a server ask for any file of the client's, and the driver would open whatever it asks for. Here no
file is ever opened: what the program gave is sent, whatever name the server says, and nothing where it gave nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pymysql import err
from pymysql.connections import Connection as Plain
from pymysql.connections import MySQLResult
from pymysql.constants import CLIENT, CR

if TYPE_CHECKING:
    _Plain = Plain[Any]
else:
    _Plain = Plain

PACKET_BYTES = 256 * 1024
"""How much of the rows is sent at once: less than any server's max_allowed_packet."""


class Connection(_Plain):
    """The driver's connection, which can be fed. local_infile: tell the server that this client can send rows."""

    def __init__(self, *, local_infile: bool = False, client_flag: int = 0, **settings: Any) -> None:
        self.feed: Iterable[bytes] | None = None
        self.can_load = False
        """Whether LOAD DATA LOCAL works on this session; whoever asked the server sets it."""
        self.packet_max = 1 << 20
        """Bytes of a statement that the server takes; as before."""
        flag = client_flag | (CLIENT.LOCAL_FILES if local_infile else 0)
        super().__init__(client_flag=flag, local_infile=False, **settings)

    def load(self, statement: str, rows: Iterable[bytes]) -> int:
        """Run a LOAD DATA LOCAL INFILE with these bytes in the file's place. Returns how many rows it made."""
        self.feed = rows
        try:
            return int(self.query(statement) or 0)
        finally:
            self.feed = None

    def _read_query_result(self, unbuffered: bool = False) -> int:
        self._result: Any = None
        result = _Fed(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows or 0)


class _Fed(MySQLResult):
    """The result of a statement that may ask for rows."""

    def _read_load_local_packet(self, first_packet: Any) -> None:
        connection: Any = self.connection
        rows, connection.feed = connection.feed, None
        try:
            for chunk in _packets(rows or ()):
                connection.write_packet(chunk)
        finally:
            connection.write_packet(b"")
            answer = connection._read_packet()
        if rows is None:
            raise err.OperationalError(CR.CR_COMMANDS_OUT_OF_SYNC, "the server asked for a file")
        self._read_ok_packet(answer)  # type: ignore[attr-defined]


def _packets(rows: Iterable[bytes]) -> Iterator[bytes]:
    """The rows' bytes in pieces of one size."""
    held: list[bytes] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= PACKET_BYTES:
            data = b"".join(held)
            whole = len(data) - len(data) % PACKET_BYTES
            yield from (data[start : start + PACKET_BYTES] for start in range(0, whole, PACKET_BYTES))
            held, size = [data[whole:]], len(data) - whole
    if size:
        yield b"".join(held)
