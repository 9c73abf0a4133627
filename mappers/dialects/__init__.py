"""The dialects in which mappings are written: one per engine of a target."""

from __future__ import annotations

from collections.abc import Mapping

from mappers.dialects.postgresql import POSTGRESQL
from mappers.dialects.record import Dialect

__all__ = ["DIALECTS", "POSTGRESQL", "Dialect"]

DIALECTS: Mapping[str, Dialect] = {dialect.engine: dialect for dialect in (POSTGRESQL,)}
"""By the engine's name in the configuration, which an Expression carries too."""
