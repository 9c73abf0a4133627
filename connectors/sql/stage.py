"""Staging: a batch of source-shaped rows becomes a temporary table that the mapping can select from.

Two shapes of one table. The wire shape takes a stream's neutral values; the text shape takes a source's own text.
`typed` gives both the source's types again, so that the mapping runs on the same relation whatever the rows came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from connectors.seams import Staged, StagedText


class Stage(Protocol):
    """The temporary tables of one source table; they live as long as the session."""

    emptied_on_commit: bool

    @property
    def wire_name(self) -> str:
        """The temporary table for rows of the stream."""

    @property
    def text_name(self) -> str:
        """The temporary table for rows in the source's text form."""

    def ddl(self) -> Sequence[str]:
        """Creates both tables where they are not there."""

    def typed(self, name: str) -> str:
        """The relation the mapping selects from: the source's columns by name, in the staged types."""

    def empty(self) -> str:
        """The same relation without rows and without the temporary tables: for checking a projection."""

    def load(self, rows: Iterable[Staged]) -> None:
        """Add rows of the stream to the wire table."""

    def load_text(self, rows: Iterable[StagedText]) -> None:
        """Add rows in the source's text form to the text table."""
