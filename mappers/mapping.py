"""The records of a resolved mapping: source table, target table, and the expressions between them. All frozen.

`resolve.py` makes them out of the user's YAML and both catalogues; `projection.py` makes SQL out of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column as its own catalogue describes it. `type` is the engine's spelling with modifiers: numeric(10,2)."""

    name: str
    type: str
    nullable: bool = True
    has_default: bool = False
    generated: bool = False
    """GENERATED ALWAYS AS (...) STORED/VIRTUAL: never written, never read from the stream."""
    identity_always: bool = False
    collation_c: bool = False
    """True when text in this column compares as its UTF-8 bytes (C, POSIX, C.UTF-8, ucs_basic)."""
    labels: tuple[str, ...] = ()
    """The labels of an enum type, in order; empty for other types."""
    collation: str = ""
    """The collation's name, where statements must say it to use the column's index (MariaDB)."""


@dataclass(frozen=True, slots=True)
class UniqueConstraint:
    """A unique constraint or unique index over plain columns of a table, other than the mapping's key."""

    name: str
    columns: tuple[str, ...]
    partial: bool = False
    """Has a WHERE or an expression: it can conflict, but only the database can say on what."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of either side. `key` is its primary key's columns in key order; empty where there is none."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    uniques: tuple[UniqueConstraint, ...] = ()
    foreign_keys: tuple[str, ...] = ()
    """Names of the enforced foreign keys of this table (target side; they cannot hold while tables stream apart)."""
    replica_identity: str = "d"
    """PostgreSQL's pg_class.relreplident: d(efault), f(ull), i(ndex), n(othing)."""
    replica_index: tuple[str, ...] = ()
    """Columns of the index of REPLICA IDENTITY USING INDEX."""
    rows_estimate: int = 0
    bytes_estimate: int = 0
    triggers: tuple[str, ...] = ()
    """Names of triggers that every session fires (engines in which a session cannot turn them off)."""
    storage: str = ""
    """The storage engine, where a server has several: InnoDB."""

    @property
    def full_name(self) -> str:
        """schema.name as written in the mapping, unquoted."""
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


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
        wanted = frozenset(self.source_key).union(*(c.expression.inputs for c in self.columns))
        return wanted | (self.where.inputs if self.where else frozenset())

    def expression(self, name: str) -> Expression:
        """The expression of the target column `name`. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column.expression
        raise KeyError(name)
