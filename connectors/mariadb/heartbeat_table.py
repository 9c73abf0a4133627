"""The table of our own at the source: rows for sentinels and heartbeats, which travel like any other; and the binlog's
place when they were written, so that a binlog that began anew is found out.

Errors of the driver pass through as they are: callers run under `session.translated`.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

import pymysql

from connectors.mariadb.session import Raw

DATABASE, TABLE = "changeover", "heartbeat"
PLACE = f"{DATABASE}.{TABLE}"
_UNKNOWN = (1049, 1146)
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {PLACE} (
  pipeline varchar(64) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY,
  stream char(36) CHARACTER SET utf8mb4 NOT NULL,
  beats bigint NOT NULL DEFAULT 0,
  position bigint NOT NULL DEFAULT 0,
  proof text CHARACTER SET utf8mb4 NOT NULL,
  content text CHARACTER SET utf8mb4 NOT NULL
) ENGINE = InnoDB COMMENT = 'written by changeover: heartbeats, and where the binlog is'"""


@dataclass(frozen=True, slots=True)
class Proof:
    """A place of the binlog, and the GTIDs before it: another binlog has others there."""

    position: int
    gtids: str


@dataclass(frozen=True, slots=True)
class Row:
    """A pipeline's row. stream: made anew with the connector. position: the binlog's end at the last beat."""

    stream: str
    position: int
    proof: Proof | None


def create(raw: Raw, pipeline: str) -> bool:
    """Make the database, the table and the pipeline's row, as far as they are not there. Whether the row was made."""
    with raw.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{DATABASE}'")
        if not int((cursor.fetchone() or (0,))[0]):
            cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
    if read(raw, pipeline) is not None:
        return False
    with raw.cursor() as cursor:
        cursor.execute(_CREATE)
        values = (pipeline, str(uuid.uuid4()))
        cursor.execute(f"INSERT INTO {PLACE} (pipeline, stream, proof, content) VALUES (%s, %s, '', '')", values)
    return True


def by_hand(pipeline: str) -> str:
    """What makes database, table and row, for whoever runs the connector."""
    return (
        f"CREATE DATABASE IF NOT EXISTS {DATABASE};{_CREATE};\nINSERT INTO {PLACE} (pipeline, stream, proof, content)"
        f" VALUES ('{pipeline}', UUID(), '', '')"
    )


def read(raw: Raw, pipeline: str) -> Row | None:
    """The pipeline's row; None where there is none."""
    try:
        with raw.cursor() as cursor:
            cursor.execute(f"SELECT stream, position, proof FROM {PLACE} WHERE pipeline = %s", (pipeline,))
            row = cursor.fetchone()
    except pymysql.Error as error:
        if error.args[0] in _UNKNOWN:
            return None
        raise
    if row is None:
        return None
    return Row(str(row[0]), int(row[1]), Proof(**json.loads(row[2])) if row[2] else None)


def beat(raw: Raw, pipeline: str, content: str, position: int) -> bool:
    """Write a message into the pipeline's row. False where there is none."""
    change = f"UPDATE {PLACE} SET content = %s, position = %s, beats = beats + 1 WHERE pipeline = %s"
    with raw.cursor() as cursor:
        return bool(cursor.execute(change, (content, position, pipeline)))


def prove(raw: Raw, pipeline: str, proof: Proof) -> None:
    """Keep what tells this binlog from another one."""
    text = json.dumps({"position": proof.position, "gtids": proof.gtids})
    with raw.cursor() as cursor:
        cursor.execute(f"UPDATE {PLACE} SET proof = %s WHERE pipeline = %s", (text, pipeline))


def drop(raw: Raw, pipeline: str) -> bool:
    """Remove the pipeline's row, and the table and the database once nothing is left in them. Whether it was there."""
    if read(raw, pipeline) is None:
        return False
    with raw.cursor() as cursor:
        cursor.execute(f"DELETE FROM {PLACE} WHERE pipeline = %s", (pipeline,))
        cursor.execute(f"SELECT count(*) FROM {PLACE}")
        if int((cursor.fetchone() or (1,))[0]):
            return True
        cursor.execute(f"DROP TABLE {PLACE}")
        cursor.execute(f"SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{DATABASE}'")
        if not int((cursor.fetchone() or (1,))[0]):
            cursor.execute(f"DROP DATABASE {DATABASE}")
    return True
