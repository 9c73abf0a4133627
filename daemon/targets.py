"""The one place that names the engines of targets: from a section of the configuration to the target itself.

An engine's modules are imported when it is asked for: a command does not wait for the drivers of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from connectors.sql.target import SqlTarget
from daemon.config.sections import TargetSection


def target_of(
    section: TargetSection, *, timeout_s: int | None = None, limit_s: float | None = None, read_only: bool = False
) -> SqlTarget:
    """The target of a section, with connections of its own.

    timeout_s: for a connection, instead of the section's. limit_s: how long a statement may take, where the engine has
    such a limit. read_only: sessions that cannot write, for `doctor`.
    """
    make = _TARGETS[section.kind]
    return make(section.url.get_secret_value(), timeout_s or section.connect_timeout_s, limit_s, read_only)


def _postgresql(url: str, timeout_s: int, limit_s: float | None, read_only: bool) -> SqlTarget:
    from connectors.postgresql.doctor import READ_ONLY
    from connectors.postgresql.session import statement_limit
    from connectors.postgresql.target import PostgresTarget

    settings = (READ_ONLY if read_only else {}) | (statement_limit(limit_s) if limit_s else {})
    return PostgresTarget(url, timeout_s=timeout_s, settings=settings)


def _mariadb(kind: str, url: str, timeout_s: int, limit_s: float | None, read_only: bool) -> SqlTarget:
    """A session that cannot write could not make temporary tables either: `doctor` itself writes nothing else."""
    from connectors.mariadb.session import Value, statement_limit
    from connectors.mariadb.target import DOCTOR_WAITS_S, MariadbTarget, lock_limit

    settings: dict[str, Value] = lock_limit(DOCTOR_WAITS_S) if read_only else {}
    if limit_s:
        settings = statement_limit(limit_s) if kind == "mariadb" else lock_limit(limit_s)
    return MariadbTarget(url, kind, timeout_s=timeout_s, settings=settings)


def _sqlite(url: str, timeout_s: int, limit_s: float | None, read_only: bool) -> SqlTarget:
    from connectors.sqlite.target import SqliteTarget

    return SqliteTarget(url, timeout_s=min(timeout_s, limit_s or timeout_s), read_only=read_only)


_TARGETS: dict[str, Callable[[str, int, float | None, bool], SqlTarget]] = {
    "postgresql": _postgresql,
    "mariadb": partial(_mariadb, "mariadb"),
    "mysql": partial(_mariadb, "mysql"),
    "sqlite": _sqlite,
}
