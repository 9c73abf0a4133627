"""Which of MariaDB's functions an expression may call, and with which arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mappers.dialects.mariadb.words import AGGREGATES, STEADY, STEADY_IN_MYSQL, UNSTEADY, WORDS
from mappers.names import closest
from mappers.tokens import Kind, Token

_OFFSET = re.compile(r"'[+-]\d\d?:\d\d'")
_UNSTEADY = "{name} depends on when, by whom or where it is run", "use a source column or a constant instead"


@dataclass(frozen=True, slots=True)
class MariaFunctions:
    """The list of `words.STEADY`. names: what the server lists; it does not say which are steady, so it counts not."""

    names: frozenset[str] = frozenset()

    def refusal(self, name: str, arguments: Sequence[Sequence[Token]]) -> tuple[str, str] | None:
        """(message, hint) that says why a call is not allowed; None where it gives the same answer on every run."""
        if name == "unix_timestamp" and arguments:
            return None
        if name in UNSTEADY or name == "unix_timestamp":
            return _UNSTEADY[0].format(name=name), _UNSTEADY[1]
        if name == "convert_tz":
            return _zones(arguments)
        if name in STEADY or name in STEADY_IN_MYSQL:
            return None
        if name in AGGREGATES:
            return f"{name} works over many rows", "an expression sees one source row only"
        close = closest(name, STEADY | WORDS.syntax)
        allowed = "allowed are MariaDB's own functions that give the same answer on every run"
        return (
            f"function {name} is not allowed or does not exist",
            f"did you mean {close}? {allowed}" if close else allowed,
        )


def _zones(arguments: Sequence[Sequence[Token]]) -> tuple[str, str] | None:
    """Names of zones need tables that a server may not have, and the rules of a zone change with their content."""
    zones = arguments[1:3]
    if all(len(zone) == 1 and zone[0].kind is Kind.STRING and _OFFSET.fullmatch(zone[0].text) for zone in zones):
        return None
    return "convert_tz with names of zones depends on the server's tables", "write offsets, as in '+02:00'"
