"""Tables and their columns, as a catalogue of either side describes them. All frozen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column as its own catalogue describes it. `type` is the engine's spelling with modifiers: numeric(10,2).

    A source of another engine than PostgreSQL says its types in PostgreSQL's words, the widest: every target's dialect
    reads those. `native` is then its own spelling.
    """

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
    native: str = ""
    """The source's own spelling of the type, where `type` is not that."""


@dataclass(frozen=True, slots=True)
class UniqueConstraint:
    """A unique constraint or unique index over plain columns of a table, other than the mapping's key."""

    name: str
    columns: tuple[str, ...]
    partial: bool = False
    """Has a WHERE or an expression: it can conflict, but only the database can say on what."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key, enforced or not: what the schema says about how tables belong together."""

    columns: tuple[str, ...]
    schema: str
    table: str
    """Schema and name of the table it points to."""
    referenced: tuple[str, ...] = ()
    """The columns it points to, in the order of `columns`."""

    @property
    def full_name(self) -> str:
        """The table it points to, as `Table.full_name` writes it."""
        return f"{self.schema}.{self.table}"


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
    references: tuple[ForeignKey, ...] = ()
    """All its foreign keys with their columns, those that are not enforced too; only `init` looks at them."""
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
