"""The syntax tree of rendered SQL, by sqlglot, for checks and lineage. sqlglot never writes the SQL that runs.

sqlglot is a transpiler: it makes POWER out of ^, hex out of to_hex, EXTRACT out of date_part. So here it only reads,
and with its own ideas about functions taken away: every function call is a plain call under PostgreSQL's own name.
Importing it costs 100 ms, hence the late import.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, TypeAlias

from mappers.names import words
from mappers.tokens import ExpressionError

Node: TypeAlias = Any
"""A node of sqlglot's tree; its class was renamed between versions."""

NODES = words(
    "Column Identifier Literal ByteString Boolean Null Paren Neg Not And Or Add Sub Mul Div Mod Pow DPipe BitwiseAnd "
    "BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is "
    "In Between Like ILike SimilarTo Escape RegexpLike RegexpILike Any All Array Bracket Slice Case If Cast DataType "
    "DataTypeParam Dot Interval Var AtTimeZone Collate Anonymous Extract Substring Trim StrPosition Overlay "
    "JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar JSONPath JSONPathRoot JSONPathKey JSONPathSubscript "
    "JSONBContainsTopKey JSONBContainsAnyTopKeys JSONBContainsAllTopKeys ArrayContainsAll ArrayContainedBy "
    "ArrayOverlaps JSONBDeleteAtPath"
)
"""The syntax that is allowed: everything else sqlglot can read (SELECT, windows, stars, parameters) is refused."""
_READABLE = {"Tuple": "a list of values", "Star": "a star", "Alias": "AS", "Placeholder": "a parameter"}
_SYNTAX_CALLS = frozenset(("CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM"))
LONGEST = 20_000


@cache
def _dialect() -> Any:
    from sqlglot.dialects.postgres import Postgres

    readers = {k: v for k, v in Postgres.Parser.FUNCTION_PARSERS.items() if k in _SYNTAX_CALLS}
    parser = type("Parser", (Postgres.Parser,), {"FUNCTIONS": {}, "FUNCTION_PARSERS": readers})
    return type("ChangeoverPostgres", (Postgres,), {"Parser": parser})


@lru_cache(maxsize=4096)
def parse(sql: str) -> Node:
    """The tree of rendered SQL. Shared: callers only look at it. Raises ExpressionError."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(sql) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters", "compute it in the source")
    try:
        trees = sqlglot.parse(sql, dialect=_dialect())
    except RecursionError as error:
        raise ExpressionError("the expression is nested too deeply", "compute it in the source") from error
    except SqlglotError as error:
        raise ExpressionError(f"not an SQL expression: {_reason(error)}", "check brackets and operators") from error
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError("this is not one expression", "write one expression")
    return trees[0]


def check(sql: str) -> frozenset[str]:
    """The columns that rendered SQL reads, once every node of its tree is found allowed. Raises ExpressionError."""
    inputs: set[str] = set()
    for node in parse(sql).walk():
        name = type(node).__name__
        if name not in NODES:
            raise ExpressionError(f"{_READABLE.get(name, name)} is not allowed", "write one value of one source row")
        if name == "Column":
            inputs.add(_column(node))
        elif name == "Cast":
            _steady_cast(node)
    return frozenset(inputs)


def _column(node: Node) -> str:
    if node.text("table") != "s" or not node.this.args.get("quoted"):
        raise ExpressionError(f"{node.sql()} is not understood here")
    return str(node.name)


def _steady_cast(node: Node) -> None:
    """'tomorrow 12:00'::timestamp is another moment every day."""
    words = {"now", "today", "tomorrow", "yesterday"}
    if type(node.this).__name__ == "Literal" and words & set(node.this.name.lower().split()):
        raise ExpressionError(f"{node.this.name!r} means the moment at which it is read", "use a constant")


def _reason(error: Exception) -> str:
    details = getattr(error, "errors", None)
    if details:
        what, near = details[0].get("description", ""), details[0].get("highlight", "")
        what = "something is missing" if "<class" in what else what
        return f"{what} near {near!r}".strip().rstrip(".")
    return str(error).splitlines()[0]
