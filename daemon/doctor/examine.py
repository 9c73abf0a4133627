"""The areas in their order, and what all their checks say of a case."""

from __future__ import annotations

from collections.abc import Collection

from daemon.config.model import Config
from daemon.doctor import (
    connect,
    kafka,
    mapping,
    mariadb_source,
    pipeline,
    source,
    source_tables,
    target,
    target_file,
    target_mariadb,
    target_mariadb_tables,
    target_tables,
)
from daemon.doctor.case import Case
from daemon.doctor.findings import Check, Finding, judged
from daemon.doctor.gather import Sides, gather

AREAS: dict[str, tuple[Check, ...]] = {
    "source": (*source.CHECKS, *source_tables.CHECKS),
    "connect": connect.CHECKS,
    "kafka": kafka.CHECKS,
    "registry": kafka.REGISTRY_CHECKS,
    "target": (*target.CHECKS, *target_tables.CHECKS),
    "mapping": mapping.CHECKS,
    "pipeline": pipeline.CHECKS,
}
"""Area -> its checks, in the order of the report."""
_MARIADB = (*target_mariadb.CHECKS, *target_mariadb_tables.CHECKS)
TARGETS = {"postgresql": AREAS["target"], "mariadb": _MARIADB, "mysql": _MARIADB, "sqlite": target_file.CHECKS}
"""Engine -> the target's checks."""
OLD_S = 300.0
"""A transaction older than this is called old, unless said otherwise."""


def examine(config: Config, sides: Sides, areas: Collection[str] = (), old_s: float = OLD_S) -> list[Finding]:
    """Every check of these areas, or of all. Reads only; takes seconds at most where a side does not answer."""
    try:
        return judge(gather(config, sides, old_s), areas)
    finally:
        sides.close()


def judge(case: Case, areas: Collection[str] = ()) -> list[Finding]:
    """What the checks say of a case. Pure."""
    engines = {"target": TARGETS[case.config.target.kind]}
    if case.config.source.kind != "postgresql":
        engines["source"] = mariadb_source.CHECKS
    wanted = {area: checks for area, checks in (AREAS | engines).items() if area in areas or not areas}
    return [finding for area, checks in wanted.items() for finding in judged(area, checks, case)]
