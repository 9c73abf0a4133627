"""The syntax tree of rendered SQL, by sqlglot, for checks and lineage. sqlglot never writes the SQL that runs.

sqlglot is a transpiler: it makes POWER out of ^, hex out of to_hex, EXTRACT out of date_part. So here it only reads,
and with its own ideas about functions taken away: every function call is a plain call under the engine's own name.
Importing it costs 100 ms, hence the late import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeAlias

from mappers.tokens import ExpressionError

Node: TypeAlias = Any
"""A node of sqlglot's tree; its class was renamed between versions."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How sqlglot reads a dialect, and what of it is allowed.

    reader: makes sqlglot's dialect. nodes: the kinds of nodes that are allowed; everything else sqlglot can read
    (SELECT, windows, stars, parameters) is refused. steady: raises ExpressionError for a node that is allowed, but not
    as it stands. is_word: whether what looks like a column is a word of the syntax.
    """

    reader: Callable[[], Any]
    nodes: frozenset[str]
    steady: Callable[[Node], None] = lambda node: None
    is_word: Callable[[Node], bool] = lambda node: False


_READABLE = {"Tuple": "a list of values", "Star": "a star", "Alias": "AS", "Placeholder": "a parameter"}
LONGEST = 20_000


@cache
def _reader(syntax: Syntax) -> Any:
    return syntax.reader()


@lru_cache(maxsize=4096)
def parse(sql: str, syntax: Syntax) -> Node:
    """The tree of rendered SQL. Shared: callers only look at it. Raises ExpressionError."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(sql) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters", "compute it in the source")
    try:
        trees = sqlglot.parse(sql, dialect=_reader(syntax))
    except RecursionError as error:
        raise ExpressionError("the expression is nested too deeply", "compute it in the source") from error
    except SqlglotError as error:
        raise ExpressionError(f"not an SQL expression: {_reason(error)}", "check brackets and operators") from error
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError("this is not one expression", "write one expression")
    return trees[0]


def check(sql: str, syntax: Syntax) -> frozenset[str]:
    """The columns that rendered SQL reads, once every node of its tree is found allowed. Raises ExpressionError."""
    inputs: set[str] = set()
    for node in parse(sql, syntax).walk():
        name = kind_of(node)
        if name not in syntax.nodes:
            raise ExpressionError(f"{_READABLE.get(name, name)} is not allowed", "write one value of one source row")
        syntax.steady(node)
        if name == "Column" and not syntax.is_word(node):
            inputs.add(_column(node))
    return frozenset(inputs)


def kind_of(node: Node) -> str:
    """The name of the node's class."""
    return type(node).__name__


def unwrapped(node: Node) -> Node:
    """The node inside of any brackets."""
    while kind_of(node) == "Paren":
        node = node.this
    return node


def _column(node: Node) -> str:
    if node.text("table") != "s" or not node.this.args.get("quoted"):
        raise ExpressionError(f"{node.sql()} is not understood here")
    return str(node.name)


def _reason(error: Exception) -> str:
    details = getattr(error, "errors", None)
    if details:
        what, near = details[0].get("description", ""), details[0].get("highlight", "")
        what = "something is missing" if "<class" in what else what
        return f"{what} near {near!r}".strip().rstrip(".")
    return str(error).splitlines()[0]
