"""Memory with rows of 20 KB: a backlog in several partitions of several topics, many times the size of the buffer."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import Figure
from tests.bench.ground import Ground, ground
from tests.bench.stream import PEAK_MB_FLOOR, apply, preload
from tests.support.pipeline import Settings
from tests.support.stack import Stack

TABLES = ("letters", "photos", "scans")
ROWS = 8_000
"""In each table."""
SOURCE_SQL = "".join(f"CREATE TABLE {name} (id bigint PRIMARY KEY, body text NOT NULL);" for name in TABLES)
TARGET_SQL = "CREATE SCHEMA app;" + "".join(
    f"CREATE TABLE app.{name} (id bigint PRIMARY KEY, body text NOT NULL);" for name in TABLES
)
BODY = "(SELECT string_agg(md5(n || '/' || k), '') FROM generate_series(1, 640) AS k)"
TWENTY = "generate_series(i * 20 + 1, i * 20 + 20) AS n"
LOAD = f"""
DO $$ BEGIN
    FOR i IN 0 .. {ROWS // 20 - 1} LOOP
        {"".join(f"INSERT INTO {name} SELECT n, {BODY} FROM {TWENTY}; " for name in TABLES)}
        COMMIT;
    END LOOP;
END $$
"""


def figures(stack: Stack) -> Iterator[Figure]:
    """Measure and verify."""
    mapping = [{"from": f"public.{name}", "to": f"app.{name}"} for name in TABLES]
    with ground(stack, "memory", SOURCE_SQL, TARGET_SQL, mapping, Settings(partitions=4, workers=1)) as at:
        preload(at, LOAD)
        found = apply(at, ROWS * len(TABLES))
        _equal(at)
    size_mb = ROWS * len(TABLES) * 0.02048
    yield Figure(
        f"memory: peak of the daemon, rows of 20 KB, a backlog of {size_mb:.0f} MB in 12 partitions",
        found.peak_mb, "MB", PEAK_MB_FLOOR, at_most=True,
    )  # fmt: skip


def _equal(at: Ground) -> None:
    for name in TABLES:
        query = "SELECT count(*), md5(string_agg(md5(id || body), '' ORDER BY id)) FROM {}"
        source = at.source.execute(query.format(name).encode()).fetchone()
        target = at.target.execute(query.format(f"app.{name}").encode()).fetchone()
        if source != target or source is None or source[0] != ROWS:
            raise RuntimeError(f"{name} differs: {source} at the source, {target} at the target")
