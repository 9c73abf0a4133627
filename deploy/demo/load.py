"""Fills the demo's databases: the old schema with 300,000 rows at the source, the new one, empty, at the target.

    python -m deploy.demo.load SOURCE_URL TARGET_URL [--scale N]

`--scale` multiplies the rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
SOURCE_TABLES = ("customers", "orders", "order_lines", "sessions", "settings", "audit_log", "probe")


def load(source_url: str, target_url: str, scale: int = 1) -> dict[str, int]:
    """Create both schemas and fill the old one; returns the rows of each old table."""
    with psycopg.connect(target_url) as target:
        target.execute((HERE / "target.sql").read_text().encode())
    with psycopg.connect(source_url) as source:
        source.execute((HERE / "legacy.sql").read_text().encode())
        for statement in _statements(scale):
            source.execute(statement)
    with psycopg.connect(source_url, autocommit=True) as source:
        source.execute("VACUUM (ANALYZE)")
        return count(source)


def count(source: psycopg.Connection) -> dict[str, int]:
    """The rows of each old table."""
    rows = {}
    for table in SOURCE_TABLES:
        found = source.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        rows[table] = int(found[0]) if found else 0
    return rows


def _statements(scale: int) -> list[bytes]:
    """The statements of load.sql; a blank line ends one."""
    text = (HERE / "load.sql").read_text().replace(":scale", str(scale))
    blocks = [block.strip() for block in text.split(";\n\n")]
    return [block.encode() for block in blocks if block]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fill the demo's source and create its target schema.")
    parser.add_argument("source_url")
    parser.add_argument("target_url")
    parser.add_argument("--scale", type=int, default=1, help="multiply the 300,000 rows")
    given = parser.parse_args()
    started = time.monotonic()
    for table, rows in load(given.source_url, given.target_url, given.scale).items():
        print(f"{table:<12} {rows:>9,}")
    print(f"loaded in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
