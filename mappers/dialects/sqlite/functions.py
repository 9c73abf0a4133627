"""Which of SQLite's functions an expression may call, and with which arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mappers.names import closest, words
from mappers.tokens import Kind, Token

TEXT = words(
    "lower upper trim ltrim rtrim replace printf format hex quote char typeof soundex concat concat_ws json json_array "
    "json_object json_insert json_set json_patch json_remove json_replace json_quote json_type timediff"
)
DATES = words("date time datetime strftime")
INTEGER = words("length octet_length instr unicode json_array_length json_valid sign glob like")
REAL = words(
    "round julianday pi exp ln log log10 log2 pow power sqrt mod acos acosh asin asinh atan atan2 atanh cos cosh sin "
    "sinh tan tanh degrees radians"
)
BLOB = words("zeroblob unhex")
OTHER = words("abs ceil ceiling floor trunc max min substr substring unixepoch json_extract")
"""Whose results have the class of their arguments, or any."""
SYNTAX = words("coalesce ifnull nullif iif cast in")
STEADY = TEXT | DATES | INTEGER | REAL | BLOB | OTHER
UNSTEADY = words(
    "now random rand uuid randomblob current_date current_time current_timestamp changes total_changes "
    "last_insert_rowid sqlite_version sqlite_source_id sqlite_compileoption_get sqlite_compileoption_used "
    "load_extension"
)
AGGREGATES = words(
    "count sum total avg group_concat string_agg json_group_array json_group_object row_number rank dense_rank ntile "
    "lag lead first_value last_value nth_value percent_rank cume_dist"
)
_TIMES = DATES | {"julianday", "unixepoch"}
_MOMENTS = frozenset(("now", "localtime", "utc"))


@dataclass(frozen=True, slots=True)
class SqliteFunctions:
    """Functions that are known, and that this build has. names: what it calls deterministic, by pragma_function_list;
    empty where that is not known."""

    names: frozenset[str] = frozenset()

    def refusal(self, name: str, arguments: Sequence[Sequence[Token]]) -> tuple[str, str] | None:
        """(message, hint) that says why a call is not allowed; None where it gives the same answer on every run."""
        if name in UNSTEADY:
            return (
                f"{name} depends on when or on which connection it is run",
                "use a source column or a constant instead",
            )
        if name in AGGREGATES or (name in ("max", "min") and len(arguments) < 2):
            return f"{name} works over many rows", "an expression sees one source row only"
        if name in STEADY and (not self.names or name in self.names):
            return _moment(name, arguments) if name in _TIMES else None
        if name in STEADY:
            return f"this SQLite has no function {name}", "compute it in the source"
        close = closest(name, STEADY | SYNTAX)
        allowed = "allowed are SQLite's own functions that give the same answer on every run"
        return (
            f"function {name} is not allowed or does not exist",
            f"did you mean {close}? {allowed}" if close else allowed,
        )


def _moment(name: str, arguments: Sequence[Sequence[Token]]) -> tuple[str, str] | None:
    """'now', and no time at all, mean the moment of the call; 'localtime' and 'utc' mean the machine's own zone."""
    values = arguments[1:] if name == "strftime" else arguments
    said = {token.text[1:-1].strip().lower() for value in values for token in value if token.kind is Kind.STRING}
    if not values or said & _MOMENTS:
        message = f"{name} depends on when or where it is run"
        return message, f"write {name} of a column, without 'now', 'localtime' and 'utc'"
    if any(all(token.kind is not Kind.STRING for token in modifier) for modifier in values[1:]):
        return f"a modifier of {name} is not known", "write it as text: '+1 day', or n || ' days'"
    return None
