"""Where an event stands in its source's log: its transaction, and what tells old copies from new ones. Pure.

PostgreSQL's connector says a transaction id and a pair of log positions. Those of MariaDB and MySQL say a file, a
place in it, and the row within the event; the numbers that come of them are those of `connectors.mariadb.binlog`.
"""

from __future__ import annotations

from typing import Any

from connectors.change import Sequence2
from connectors.kafka.decode_values import Unfit

MYSQL = "mysql"


def binlog_place(
    file: str, pos: int | None, row: int | None, gtid: str | None, connector: str | None
) -> tuple[int, Sequence2]:
    """(transaction, sequence) of an event of a binlog. Raises Unfit.

    The transaction is the event's own position: it stands between the ends of its transaction, and no snapshot begins
    there. MySQL's is the number of its GTID.
    """
    digits = file.rpartition(".")[2]
    if not digits.isdigit() or pos is None:
        raise Unfit("source.file and source.pos are no place in a binlog")
    position = int(digits) << 32 | pos
    return (position if connector != MYSQL else _number(gtid)), (position, row or 0)


def place_of(source: dict[str, Any]) -> tuple[int, Sequence2] | None:
    """The same of an event's source as it was parsed; None for one that has no binlog."""
    file, pos, row = source.get("file"), source.get("pos"), source.get("row")
    if file is None:
        return None
    if not isinstance(file, str) or type(pos) is not int or not (row is None or type(row) is int):
        raise Unfit("source.file, source.pos and source.row are no place in a binlog")
    return binlog_place(file, pos, row, source.get("gtid"), source.get("connector"))


def transaction_of(source: dict[str, Any]) -> object:
    """What an event's source says of its transaction, whatever it is; None where it says nothing."""
    place = place_of(source)
    return place[0] if place else source.get("txId")


def _number(gtid: str | None) -> int:
    number = (gtid or "").rpartition(":")[2]
    if not number.isdigit():
        raise Unfit("the event has no GTID", "set gtid_mode=ON at the source")
    return int(number)
