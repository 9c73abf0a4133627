"""Names taken apart: userProfiles, UserProfile, user_profile and USERPROFILES are the same two words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from mappers.propose.lexicon import (
    ABBREVIATIONS,
    CONTRAST,
    CREATED,
    DELETED,
    IRREGULAR,
    NOT_PLURAL,
    PHRASES,
    STAMPS,
    UPDATED,
)

_SEPARATOR = re.compile(r"[\W_]+")
_CAMEL = re.compile(r"[A-Z]+s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")
_SHORT = frozenset(("id", "at", "by", "on", "no", "to", "of", "is", "in", "ip"))


@dataclass(frozen=True, slots=True)
class Name:
    """A name's words in three forms: as written, singular, and in the words that stand for them."""

    raw: str
    flat: str
    """Letters and digits alone, lower case, no separators."""
    singular: tuple[str, ...]
    canonical: tuple[str, ...]

    @property
    def root(self) -> str:
        """The same for a name in any style and number."""
        return singular("".join(self.singular))


def split(name: str) -> tuple[str, ...]:
    """The words of a name as written, in lower case without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    found: list[str] = []
    for part in _SEPARATOR.split(plain):
        found += (piece.lower() for piece in _CAMEL.findall(part))
    return tuple(found)


@lru_cache(maxsize=50_000)
def singular(word: str) -> str:
    """The singular of an English plural; any other word as it is."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or word in NOT_PLURAL or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    if word.endswith("uses") and not word.endswith(("auses", "ouses")) and len(word) > 5:
        return word[:-2]
    return word[:-1]


def name_of(raw: str, known: Collection[str] = ()) -> Name:
    """The name's words. known: words of the other side, by which words that are written together are told apart."""
    return _name(raw, known if isinstance(known, frozenset) else frozenset(known))


@lru_cache(maxsize=50_000)
def _name(raw: str, known: frozenset[str]) -> Name:
    parts = split(raw)
    return Name(raw, "".join(parts), tuple(singular(part) for part in parts), canonical(_taken_apart(parts, known)))


@lru_cache(maxsize=50_000)
def canonical(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The words that stand for these: singular, spelled out, phrases as one word."""
    expanded = tuple(_expanded(part) for part in parts)
    return _counted(_stamped(_phrased(expanded)))


def _expanded(word: str) -> str:
    one = singular(word)
    found = ABBREVIATIONS.get(word) or ABBREVIATIONS.get(one) or one
    if "isation" in found:
        found = found.replace("isation", "ization")
    return STAMPS.get(found, found)


def _phrased(parts: tuple[str, ...]) -> tuple[str, ...]:
    for before, after in PHRASES:
        if len(before) > len(parts) or before[0] not in parts:
            continue
        for place in range(len(parts) - len(before) + 1):
            if parts[place : place + len(before)] == before:
                return _phrased(parts[:place] + after + parts[place + len(before) :])
    return parts


def _stamped(parts: tuple[str, ...]) -> tuple[str, ...]:
    """create_time, date_added and inserted_at all say when a row was created."""
    made: list[str] = []
    for place, part in enumerate(parts):
        if part in CREATED:
            made.append("created")
        elif part in UPDATED:
            made.append("updated")
        elif part in DELETED:
            made.append("deleted")
        elif part == "user" and made[-1:] in (["created"], ["updated"], ["deleted"]):
            made.append("by")
        elif part == "last" and any(other in UPDATED for other in parts[place + 1 :]):
            continue
        else:
            made.append(part)
    return tuple(made)


def _counted(parts: tuple[str, ...]) -> tuple[str, ...]:
    """number_of_items, num_items, nb_items and item_count; phone_no and phone_number."""
    if len(parts) > 1 and parts[0] in ("number", "no", "nb", "n") and parts[1] != "id":
        rest = parts[2:] if parts[1] == "of" else parts[1:]
        if rest:
            return (*rest, "count")
    if len(parts) > 1 and parts[-1] in ("no", "nb"):
        return (*parts[:-1], "number")
    return parts


def _taken_apart(parts: tuple[str, ...], known: frozenset[str]) -> tuple[str, ...]:
    found: list[str] = []
    for part in parts:
        whole = len(part) < 5 or not known or part in known or singular(part) in known or part in ABBREVIATIONS
        whole = whole or part in CONTRAST
        found += (part,) if whole else _pieces(part, known, 3) or _short_pieces(part, known) or (part,)
    return tuple(found)


@lru_cache(maxsize=50_000)
def _pieces(word: str, known: frozenset[str], most: int) -> tuple[str, ...]:
    """The word as two or three known ones; empty where it is none."""
    if word in known and (len(word) > 2 or word in _SHORT):
        return (word,)
    if most == 1:
        return ()
    for cut in range(len(word) - 2, 1, -1):
        head = word[:cut]
        if head in known and (len(head) > 2 or head in _SHORT):
            rest = _pieces(word[cut:], known, most - 1)
            if rest:
                return (head, *rest)
    return ()


def _short_pieces(word: str, known: frozenset[str]) -> tuple[str, ...]:
    """empno, custid, linkdesc: known words and abbreviations, at least one of the latter."""
    head, tail = word[:-2], word[-2:]
    if tail in ("no", "id", "nr", "nm", "cd") and head in ABBREVIATIONS:
        return (head, tail)
    return _pieces(word, _with_abbreviations(known), 3)


@lru_cache(maxsize=8)
def _with_abbreviations(known: frozenset[str]) -> frozenset[str]:
    return known | {word for word in ABBREVIATIONS if len(word) > 2}
