"""What is known of two schemas by now: what each step of the matching builds on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mappers.propose.similarity import Learned
from mappers.propose.ways import SAME_ENGINE, Ways


@dataclass(frozen=True, slots=True)
class Known:
    """tables: source table -> target table, by full name. words: target word -> source word: accounts were users."""

    tables: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    min_confidence: float = 0.8
    learned: Learned = field(default_factory=dict)
    """The words as pairs."""
    ways: Ways = SAME_ENGINE


def known(tables: Mapping[str, str], words: Mapping[str, str], min_confidence: float, ways: Ways) -> Known:
    """With the words as pairs too."""
    return Known(dict(tables), words, min_confidence, {frozenset(pair): 1.0 for pair in words.items()}, ways)
