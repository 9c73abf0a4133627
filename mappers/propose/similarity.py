"""How alike two names are, word by word. One shared rule for tables and columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from mappers.propose.lexicon import CONTRAST, NOISE, SYNONYMS, WEAK_NOISE

_SUFFIXES = (("ation", 5), ("ition", 5), ("ion", 5), ("ment", 5), ("ing", 4), ("ed", 4), ("es", 4), ("y", 4), ("e", 4),
             ("s", 4))  # fmt: skip
"""Ending -> the least letters before it."""
_DISTINCT = frozenset((frozenset(("local", "locale")), frozenset(("product", "production"))))
AKIN = 0.74
"""The most for names of which one says something that the other does not: a thing of its own, for all one knows."""
Learned = Mapping[frozenset[str], float]
"""Two words that stand for each other in these two schemas -> how sure that is."""


@lru_cache(maxsize=200_000)
def word_likeness(one: str, other: str) -> float:
    """0 to 1: how surely two canonical words mean the same."""
    if one == other:
        return 1.0
    if one.isdigit() or other.isdigit() or frozenset((one, other)) in _DISTINCT:
        return 0.0
    strength = SYNONYMS.get(frozenset((one, other)), 0.0)
    if one in CONTRAST and other in CONTRAST:
        return max(strength, 0.95 if _stem(one) == _stem(other) else 0.0)
    short, long = sorted((one, other), key=len)
    if _stem(one) == _stem(other) or long in (short + "d", short + "ed"):
        return 0.95
    if strength < 0.9 and short not in CONTRAST and _mistyped(short, long):
        strength = 0.9
    return max(strength, 0.88 if abbreviates(short, long) else 0.0)


def abbreviates(short: str, long: str) -> bool:
    """mgr of manager, inv of invoice, addr of address: the letters in order, from the first one on."""
    if len(short) < 2 or len(long) < len(short) + 2 or short[0] != long[0] or not short.isalpha():
        return False
    if long.startswith(short):
        return len(short) >= 3
    if len(short) < 3 or short[1:].strip("aeiou") == "" or len(short) > 5:
        return False
    vowels = sum(letter in "aeiou" for letter in short[1:])
    return vowels <= 1 and _within(short, long) and (short[-1] == long[-1] or not vowels)


def likeness(one: tuple[str, ...], other: tuple[str, ...], learned: Learned) -> float:
    """0 to 1 for two names' words: their share that has a counterpart; 0 where a telling word has none."""
    if learned and any(frozenset((a, b)) in learned for a in one for b in other if a != b):
        return _alike(one, other, learned)
    return _alike_anywhere(one, other)


@lru_cache(maxsize=500_000)
def _alike_anywhere(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    return _alike(one, other, {})


def _alike(one: tuple[str, ...], other: tuple[str, ...], learned: Learned) -> float:
    if not one or not other:
        return 0.0
    pairs = sorted(
        ((_likeness(a, b, learned), i, j) for i, a in enumerate(one) for j, b in enumerate(other)), reverse=True
    )
    left, right = set(range(len(one))), set(range(len(other)))
    shared = 0.0
    for strength, i, j in pairs:
        if strength > 0 and i in left and j in right:
            left.discard(i)
            right.discard(j)
            shared += strength * (_weight(one[i]) + _weight(other[j]))
    if any(one[i] in CONTRAST or one[i].isdigit() for i in left):
        return 0.0
    if any(other[j] in CONTRAST or other[j].isdigit() for j in right):
        return 0.0
    alike = shared / (sum(map(_weight, one)) + sum(map(_weight, other)))
    more = any(_weight(one[i]) == 1.0 for i in left) or any(_weight(other[j]) == 1.0 for j in right)
    return min(alike, AKIN) if more else alike


def _likeness(one: str, other: str, learned: Learned) -> float:
    return max(word_likeness(one, other), learned.get(frozenset((one, other)), 0.0) if one != other else 0.0)


def _weight(word: str) -> float:
    if word in WEAK_NOISE:
        return 0.3
    return 0.5 if word in NOISE else 1.0


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    """Without its ending: shipped, shipping and ship."""
    for suffix, least in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= least:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


def _within(short: str, long: str) -> bool:
    letters = iter(long)
    return all(letter in letters for letter in short)


def _mistyped(short: str, long: str) -> bool:
    """One letter missing, doubled, swapped or wrong, in a word long enough to be known by the rest."""
    if len(short) < 5 or len(long) - len(short) > 1 or short[0] != long[0]:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) != len(long):
        return short[start:] == long[start + 1 :]
    if short[start + 1 :] == long[start + 1 :]:
        return len(short) >= 7
    swapped = short[start : start + 2] == long[start : start + 2][::-1]
    return swapped and short[start + 2 :] == long[start + 2 :]
