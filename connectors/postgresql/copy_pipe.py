"""Bytes from one COPY into another, untouched, at libpq's level: a chunk costs no Python object per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import pq

from connectors.postgresql.session import translate

FLUSH_BYTES = 1 << 20


def pipe(
    source: psycopg.Connection, select: str, target: psycopg.Connection, copy_in: str, passed: Callable[[int], None]
) -> int:
    """Run `COPY (select) TO STDOUT` on the source and `copy_in` on the target, passing the bytes through.

    passed: called with the bytes that went through since its last call. Both statements must name the same format.
    Returns the rows written. Raises the error tree's word for an error of the source, and psycopg's for one of the
    target, whose transaction the caller owns. The source's connection is of no use after an error.
    """
    reader, writer = source.pgconn, target.pgconn
    with _of_source(source):
        _start(reader, select, pq.ExecStatus.COPY_OUT)
    _start(writer, copy_in, pq.ExecStatus.COPY_IN)
    try:
        with _of_source(source):
            _pump(reader, writer, passed)
    except BaseException:
        writer.put_copy_end(b"the source ended early")
        with suppress(psycopg.Error):
            _results(writer)
        raise
    writer.put_copy_end(None)
    rows = _results(writer)
    with _of_source(source):
        _results(reader)
    return rows


@contextmanager
def _of_source(connection: psycopg.Connection) -> Iterator[None]:
    info = connection.info
    where = f"source {info.host}:{info.port}/{info.dbname}"
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, where) from error


def _start(connection: pq.abc.PGconn, statement: str, expected: pq.ExecStatus) -> None:
    result = connection.exec_(statement.encode())
    if result.status != expected:
        raise psycopg.errors.error_from_result(result)


def _pump(reader: pq.abc.PGconn, writer: pq.abc.PGconn, passed: Callable[[int], None]) -> None:
    waiting = 0
    while True:
        size, data = reader.get_copy_data(0)
        if size <= 0:
            break
        writer.put_copy_data(data)
        waiting += size
        if waiting >= FLUSH_BYTES:
            passed(waiting)
            waiting = 0
    passed(waiting)
    if size == -2:
        raise psycopg.OperationalError(reader.get_error_message())


def _results(connection: pq.abc.PGconn) -> int:
    rows, failure = 0, None
    while (result := connection.get_result()) is not None:
        if result.status == pq.ExecStatus.COMMAND_OK:
            rows = int(result.command_tuples or 0)
        elif result.status == pq.ExecStatus.FATAL_ERROR and failure is None:
            failure = psycopg.errors.error_from_result(result)
    if failure is not None:
        raise failure
    return rows
