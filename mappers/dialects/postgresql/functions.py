"""Which functions an expression may call: those that give the same answer on every run and on every side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mappers.names import closest, words
from mappers.tokens import Token

SYNTAX = words("coalesce nullif greatest least cast extract substring trim position overlay any all some in array")
"""Written like a function or before a bracket, but part of the language: pg_proc does not list them all by name."""

PINNED = words(
    "concat concat_ws format to_jsonb to_json jsonb_build_object jsonb_build_array json_build_object json_build_array "
    "array_to_json array_to_string date date_part date_trunc timezone to_char to_date to_number to_timestamp length "
    "quote_literal quote_nullable convert_from convert_to"
)
"""PostgreSQL calls these stable because of session settings; every session of ours pins those settings."""

UNSTEADY = words(
    "now random gen_random_uuid uuid_generate_v1 uuid_generate_v4 uuidv4 uuidv7 clock_timestamp statement_timestamp "
    "transaction_timestamp timeofday current_date current_time current_timestamp localtime localtimestamp "
    "current_user current_role session_user user current_catalog current_schema current_setting nextval currval "
    "lastval txid_current version"
)
"""Refused with a reason of their own, because people reach for them."""

AGGREGATES = words(
    "count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or "
    "every bit_and bit_or xmlagg mode rank dense_rank row_number lag lead first_value last_value nth_value ntile"
)
SETS = words(
    "unnest generate_series generate_subscripts regexp_matches regexp_split_to_table string_to_table jsonb_each "
    "jsonb_array_elements jsonb_array_elements_text json_array_elements json_array_elements_text jsonb_each_text "
    "json_each json_each_text jsonb_object_keys json_object_keys jsonb_path_query jsonb_to_recordset json_to_recordset"
)


ONLY_WITH = {"age": 2, "to_tsvector": 2}
"""Deterministic with this many arguments: else age counts from today, to_tsvector takes the session's language."""


@dataclass(frozen=True, slots=True)
class FunctionCatalog:
    """The functions of the target's own catalogue that are allowed.

    names: every name in pg_catalog whose overloads are all plain functions (no aggregate, window function or set) and
    immutable. A name with one volatile or stable overload does not belong here; PINNED has those known good.
    """

    names: frozenset[str] = frozenset()

    def refusal(self, name: str, arguments: Sequence[Sequence[Token]]) -> tuple[str, str] | None:
        """(message, hint) that says why a call is not allowed; None where it is deterministic."""
        if name.startswith("pg_"):
            return f"{name} is a system function", "use a source column or a constant instead"
        if name in UNSTEADY or (name in ONLY_WITH and len(arguments) != ONLY_WITH[name]):
            return f"{name} depends on when or by whom it is run", "use a source column or a constant instead"
        if name in ONLY_WITH or name in self.names or name in PINNED:
            return None
        if name in AGGREGATES:
            return f"{name} works over many rows", "an expression sees one source row only"
        if name in SETS:
            return f"{name} makes several rows out of one", "an expression makes one value of one source row"
        close = closest(name, self.names | PINNED | SYNTAX)
        allowed = "allowed are PostgreSQL's own immutable functions"
        hint = f"did you mean {close}? {allowed}" if close else allowed
        return f"function {name} is not allowed or does not exist", hint
