"""What one engine's SQL has that another's has not: all that decides whether and how a mapping's expression runs.

A mapping is written in the dialect of the target, and the target's engine runs it. One record per engine, each in a
package of its own beside this module. Nothing here knows a connection: what an engine says of itself is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mappers.grammar import Catalog
from mappers.mapping import Expression
from mappers.render import Renderer
from mappers.tokens import Token
from mappers.tree import Node, Syntax


@dataclass(frozen=True, slots=True)
class NullRules:
    """Which nodes and functions are NULL when. What is not named is NULL exactly where a part of it is.

    never, always: kinds of nodes. partial: whether a node may be NULL although no part of it is. never_calls: functions
    that are never NULL. first_only: only where their first argument is. first_present: only where all arguments are.
    chooses: if(condition, one, other). makers: whether a function may be NULL although no argument is.
    """

    never: frozenset[str]
    always: frozenset[str]
    partial: Callable[[Node], bool]
    never_calls: frozenset[str]
    first_only: frozenset[str]
    first_present: frozenset[str]
    chooses: frozenset[str]
    makers: Callable[[str], bool]


class Typing(Protocol):
    """Whether a column of the target holds what an expression makes."""

    def widens(self, from_type: str, to_type: str) -> bool:
        """Whether every value of `from_type` can be assigned to `to_type` and stays the same value."""

    def fits(self, expression: Expression, made: str, wanted: str) -> bool:
        """Whether every value of this expression, for which `made` was described, stays the same in a `wanted`."""

    def hint(self, text: str, made: str, wanted: str) -> str:
        """What to write for the expression `text`, or what to alter, where it does not fit."""

    def cast(self, text: str, wanted: str) -> str:
        """The expression `text` cast to what a `wanted` column holds; as it is where no cast makes that."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's SQL. engine: its name in the configuration. title: its name for people.

    tokenize: its lexical rules; raises ExpressionError. renderer: recognises its words and writes what runs. catalog:
    of the names that the engine's own catalogue lists, which may be called. syntax: how sqlglot reads what was written.
    injective: whether different values of an expression's one input, of source columns with these types, plainly give
    different results.
    """

    engine: str
    title: str
    tokenize: Callable[[str], list[Token]]
    renderer: type[Renderer]
    catalog: Callable[[frozenset[str]], Catalog]
    syntax: Syntax
    nulls: NullRules
    typing: Typing
    injective: Callable[[Node, Mapping[str, str]], bool]
