"""What a renderer asks its dialect: the meaning of words, and which functions may be called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mappers.tokens import Token


class Catalog(Protocol):
    """Which functions an expression may call: those that give the same answer on every run and on every side."""

    def refusal(self, name: str, arguments: Sequence[Sequence[Token]]) -> tuple[str, str] | None:
        """(message, hint) where a call of `name` (folded) with these arguments is not allowed; None where it is."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of a dialect mean.

    keywords: reserved, so that none of them can be an unquoted column, and allowed in a scalar expression. reserved:
    the same, but no part of a scalar expression: as a column it must be quoted. refused: all that is no column where
    the table has none of that name. syntax: written like a function, but part of the language, and always steady.
    unsteady: functions that also come without brackets. typed_literals: date '...'. collations: the first is the one to
    offer.
    """

    keywords: frozenset[str]
    reserved: frozenset[str]
    refused: frozenset[str]
    syntax: frozenset[str]
    unsteady: frozenset[str]
    typed_literals: frozenset[str]
    collations: tuple[str, ...]
