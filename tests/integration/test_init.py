"""`changeover init` on real schemas: its file is used as it is written."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from daemon.config.model import Config, load
from daemon.wiring import Parts
from mappers.mapping import Entry, Table
from tests.support import renaming, schemas
from tests.support.databases import Databases, open_url
from tests.support.schemas.ddl import statements

PROJECTS = ("rails_shop", "keycloak", "magento", "mastodon", "messaging", "sakila", "clinic")


def _make(url: str, tables: tuple[Table, ...] | list[Table]) -> None:
    with open_url(url) as connection, connection.transaction():
        for statement in statements(tables):
            connection.execute(statement.encode())


def _init(databases: Databases, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon.cli", "init", databases.source_url, databases.target_url, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _environ(databases: Databases) -> dict[str, str]:
    stack = databases.stack
    return {"SOURCE_URL": databases.source_url, "TARGET_URL": databases.target_url,
            "KAFKA_BOOTSTRAP": stack.kafka, "CONNECT_URL": stack.connect_url}  # fmt: skip


def _entries(config: Config, path: Path) -> list[Entry]:
    """The entries as `run` would start with them."""
    import threading

    parts = Parts(config, path, threading.Event())
    try:
        return [entry for mapped in parts.tables().values() for entry in mapped.entries]
    finally:
        parts.target.close()


def _source_column(entry: Entry, name: str) -> str | None:
    (read,) = entry.expression(name).inputs
    return read


def _hundred() -> renaming.Moved:
    """The tables of several projects, each in a schema of its own."""
    tables = [table for name in PROJECTS for table in schemas.load(name)]
    unique = {table.full_name: table for table in tables}
    rest = [table for name in PROJECTS for table in schemas.load(name)]
    assert len(rest) >= 100
    moved = []
    for name in PROJECTS:
        here = renaming.start(schemas.load(name))
        moved += renaming.renamed(
            here, lambda table, name=name: (f"{name}_{table.schema}", table.name), lambda _, column: column.name
        ).result
    assert unique
    return renaming.start(moved)


def test_a_hundred_tables_in_another_style_need_no_edit_and_take_less_than_ten_seconds(
    databases: Databases, tmp_path: Path
) -> None:
    start = _hundred()
    new = renaming.restyled(start, "snake", "camel", "plural", "t_")
    _make(databases.source_url, start.result)
    _make(databases.target_url, new.result)
    path = tmp_path / "changeover.yaml"
    began = time.monotonic()
    done = _init(databases, "--output", str(path))
    took = time.monotonic() - began
    text = path.read_text()
    assert done.returncode == 0, done.stderr
    print(done.stderr, f"{took:.1f} s")
    assert took < 10, f"{took:.1f} s for {len(start.result)} tables"
    entries = _entries(load(path, _environ(databases)), path)
    made = {entry.target.full_name: entry.source.full_name for entry in entries}
    refused = {target for target, source in new.tables.items() if source.endswith(".film")}
    assert made == {target: source for target, source in new.tables.items() if target not in refused}
    assert "tsvector cannot be followed exactly" in text
    lines = {(e.target.full_name, c.name): _source_column(e, c.name) for e in entries for c in e.columns}
    wanted = {place: source for place, source in new.columns.items() if place[0] not in refused}
    assert lines == wanted
    assert not [line for line in text.splitlines() if databases.stack.source_url in line]
