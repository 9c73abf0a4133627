"""The records of a resolved mapping: source table, target table, and the expressions between them. All frozen.

`resolve.py` makes them out of the user's YAML and both catalogues; `projection.py` makes SQL out of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from mappers.rows import NOTHING, Makers
from mappers.tables import Column, ForeignKey, Table, UniqueConstraint

__all__ = [
    "NOTHING",
    "Column",
    "Entry",
    "Expression",
    "ForeignKey",
    "Makers",
    "Table",
    "TargetColumn",
    "UniqueConstraint",
]


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked scalar expression: SQL rendered from its AST in the target's dialect over the relation alias `s`.

    Columns appear as `s."name"`. `inputs` are the source columns it reads (its lineage), `engine` names the dialect.
    """

    sql: str
    inputs: frozenset[str]
    engine: str = "postgresql"


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column of the target table and the expression that fills it."""

    name: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Entry:
    """One resolved entry of `tables:`: how rows of one source table become rows of one target table."""

    index: int
    """Position in the configuration's `tables`, from 0; with the source and target names it names the entry."""
    source: Table
    target: Table
    source_key: tuple[str, ...]
    """Columns that identify a source row in the change stream: its primary key, or the configured one."""
    columns: tuple[TargetColumn, ...]
    """Every written target column, key columns included, in the target table's column order."""
    key: tuple[str, ...]
    """Names of the target columns that identify a target row; each is in `columns` too."""
    where: Expression | None
    carrier: tuple[str, ...] = ()
    """Target columns that hold the source key verbatim, in `source_key` order; empty where some are not carried."""
    key_is_derived: bool = True
    """The target key is computed from the source key alone, so that a source key is enough to find its target row."""
    not_empty: str = "refuse"
    """What to do when the target table has rows before the backfill: refuse, or keep them beside the migrated ones."""
    makers: Makers = NOTHING
    """What is made of a source row before its expressions see it."""
    ignores_new: bool = False
    """A column that is added to the source table, and that this entry does not read, is left alone."""
    group: str = "default"
    fingerprint: str = ""
    """sha256 of everything that decides what rows this entry produces; a changed mapping shows as a changed value."""

    @property
    def name(self) -> str:
        """How this entry is named in messages, metrics and the control schema."""
        return f"{self.source.full_name} -> {self.target.full_name}"

    @property
    def inputs(self) -> frozenset[str]:
        """All source columns this entry needs: expressions, filter and source key."""
        wanted = frozenset(self.source_key).union(self.makers.inputs, *(c.expression.inputs for c in self.columns))
        return wanted | (self.where.inputs if self.where else frozenset())

    def expression(self, name: str) -> Expression:
        """The expression of the target column `name`. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column.expression
        raise KeyError(name)
