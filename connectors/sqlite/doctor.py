"""What `doctor` asks of a SQLite file, as frozen facts. Nothing is judged here or written, nobody is waited for."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote as url_quoted

from connectors.sqlite.catalogue import load_tables
from connectors.sqlite.session import path_of, translated
from mappers.mapping import Table
from mappers.projection import qualified

_CHECK = re.compile(r"\bCHECK\s*\(", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NETWORK = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "fuse.glusterfs"))
"""File systems on which a write-ahead log has no shared memory between machines, or no locks to rely on."""


@dataclass(frozen=True, slots=True)
class FileState:
    """The file, and the mapped tables in it. network: the kind of file system, where it is one of a network.

    checks: tables with CHECK constraints. indexed: table -> the columns of each index. filled: tables that have rows.
    """

    where: str
    library: tuple[int, ...]
    writable: bool
    directory_writable: bool
    journal_mode: str
    network: str
    free_bytes: int
    tables: Mapping[str, Table] = field(default_factory=dict)
    checks: frozenset[str] = frozenset()
    indexed: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    filled: frozenset[str] = frozenset()


def file_state(url: str, names: Iterable[tuple[str, str]]) -> FileState:
    """Everything about the file. Raises FatalError where there is none, or it is no database."""
    path = path_of(url, "target")
    with translated("target", url), closing(_opened(path)) as raw:
        tables = load_tables(raw, list(names))
        return FileState(
            where=str(path),
            library=sqlite3.sqlite_version_info,
            writable=os.access(path, os.R_OK | os.W_OK),
            directory_writable=os.access(path.absolute().parent, os.W_OK | os.X_OK),
            journal_mode=str(raw.execute("PRAGMA journal_mode").fetchone()[0]),
            network=_network(path),
            free_bytes=shutil.disk_usage(path.absolute().parent).free,
            tables=tables,
            checks=frozenset(name for name, table in tables.items() if _has_check(raw, table)),
            indexed={name: _indexes(raw, table) for name, table in tables.items()},
            filled=frozenset(name for name, table in tables.items() if _has_rows(raw, table)),
        )


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{url_quoted(str(path))}?mode=ro", uri=True, timeout=1, isolation_level=None)


def _has_check(raw: sqlite3.Connection, table: Table) -> bool:
    query = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE"
    (found,) = raw.execute(query, (table.name,)).fetchone()
    return _CHECK.search(_QUOTED.sub("", found)) is not None


def _indexes(raw: sqlite3.Connection, table: Table) -> tuple[tuple[str, ...], ...]:
    listed = [
        name for name, *_ in raw.execute("SELECT name FROM pragma_index_list(?, 'main')", (table.name,)).fetchall()
    ]
    columns = "SELECT name FROM pragma_index_info(?, 'main') ORDER BY seqno"
    return (table.key, *(tuple(str(row[0]) for row in raw.execute(columns, (name,))) for name in listed))


def _has_rows(raw: sqlite3.Connection, table: Table) -> bool:
    return raw.execute(f"SELECT 1 FROM {qualified(table)} LIMIT 1").fetchone() is not None


def _network(path: Path) -> str:
    """The kind of the file system, where it is a network's; empty where the system does not tell."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    place = path.absolute().resolve()
    holding = [(len(point), kind) for _, point, kind, *_ in mounts if place.is_relative_to(Path(point))]
    kind = max(holding, default=(0, ""))[1]
    return kind if kind in _NETWORK else ""
