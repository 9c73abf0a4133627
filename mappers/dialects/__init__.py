"""The dialects in which mappings are written: one per engine of a target."""

from __future__ import annotations

from collections.abc import Mapping

from mappers.dialects.mariadb import MARIADB
from mappers.dialects.postgresql import POSTGRESQL
from mappers.dialects.record import Dialect
from mappers.dialects.sqlite import SQLITE

__all__ = ["DIALECTS", "MARIADB", "POSTGRESQL", "SQLITE", "Dialect"]

DIALECTS: Mapping[str, Dialect] = {dialect.engine: dialect for dialect in (POSTGRESQL, MARIADB, SQLITE)}
"""By the engine's name in the configuration, which an Expression carries too."""
