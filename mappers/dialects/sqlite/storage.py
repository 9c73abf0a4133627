"""Which storage class an expression's values have: SQLite says it of values only, one by one, and too late.

A column turns what it is given into its own class where it can: text 007 into the number 7, 1.10 into 1.1, a great
number into a float. So before a row is written it must be known what is given. What is not known for certain is
unknown, and needs a cast.

Assumed of staged columns: each is declared INTEGER, REAL, TEXT or BLOB, and holds values of that class only, or NULL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mappers.dialects import shapes
from mappers.dialects.spelling import CLOCKS, bare
from mappers.dialects.sqlite.functions import BLOB, INTEGER, REAL, TEXT
from mappers.dialects.sqlite.syntax import SYNTAX
from mappers.mapping import Expression, Table
from mappers.tree import Node, kind_of, parse, unwrapped

WORDS = "TEXT that is no number"
"""Text that no column takes for a number: dates, identifiers."""
NUMERIC = "NUMERIC"
"""What cast(x as numeric) makes: an integer, or a float where it is none."""
NULL = "NULL"
UNKNOWN = "a value of unknown class"

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Mod")
_BITS = ("BitwiseAnd", "BitwiseOr", "BitwiseNot", "BitwiseLeftShift", "BitwiseRightShift")
_CASTS = {"int": "INTEGER", "bigint": "INTEGER", "real": "REAL", "float": "REAL", "double": "REAL", "text": "TEXT",
          "blob": "BLOB", "varbinary": "BLOB", "decimal": NUMERIC}  # fmt: skip
_WORDY = CLOCKS | {"date", "uuid", "time", "time without time zone", "inet6"}
_WORDY_CALLS = frozenset(("date", "time", "datetime", "typeof", "json_object", "json_array"))


def staged_classes(table: Table, types: Mapping[str, str]) -> dict[str, str]:
    """Source column -> the class of its staged values. types: the staged types; a date in text is no number."""
    kinds = {column.name: bare(column.type) for column in table.columns}
    return {name: WORDS if made == "TEXT" and kinds.get(name) in _WORDY else made for name, made in types.items()}


def storage_class(expression: Expression, staged: Mapping[str, str]) -> str | None:
    """INTEGER, REAL, TEXT, BLOB, WORDS, NUMERIC or NULL: the class of all its values that are not NULL; None: unknown.

    staged: source column -> class of its values, as `staged_classes` gives it.
    """
    return _class(parse(expression.sql, SYNTAX), staged)


def _class(node: Node, staged: Mapping[str, str]) -> str | None:
    node = unwrapped(node)
    kind = kind_of(node)
    leaves = shapes.branches(node)
    if leaves != [node]:
        return _common([_class(leaf, staged) for leaf in leaves])
    if kind == "Column":
        return staged.get(node.name)
    if kind in shapes.CONDITIONS or kind in ("Boolean", *_BITS):
        return "INTEGER"
    if kind == "Literal":
        return _literal(node)
    if kind == "Cast":
        return _cast(node, staged)
    if kind in _ARITHMETIC or kind == "Neg":
        return _number([_class(side, staged) for side in node.iter_expressions()])
    if kind == "Anonymous":
        return _call(node.name.lower(), node.expressions, staged)
    if kind == "Collate":
        return _class(node.this, staged)
    return {"DPipe": "TEXT", "JSONExtract": "TEXT", "HexString": "BLOB", "Null": NULL}.get(kind)


def _literal(node: Node) -> str:
    if not node.is_string:
        return "INTEGER" if node.name.isdigit() and int(node.name) < 2**63 else "REAL"
    try:
        float(node.name)
    except ValueError:
        return WORDS
    return "TEXT"


def _cast(node: Node, staged: Mapping[str, str]) -> str | None:
    made = _CASTS.get(str(node.args["to"].this).rpartition(".")[2].lower())
    return WORDS if made == "TEXT" and _class(node.this, staged) == WORDS else made


def _number(sides: Sequence[str | None]) -> str | None:
    """The class of a calculation; text in one is taken for a number of some class."""
    known = {side for side in sides if side != NULL}
    if not known <= {"INTEGER", "REAL"}:
        return None
    return "REAL" if "REAL" in known else "INTEGER"


def _common(classes: Sequence[str | None]) -> str | None:
    """The class of one of these; NULL is of every class."""
    known = set(classes) - {NULL}
    if known == {"TEXT", WORDS}:
        return "TEXT"
    return next(iter(known), NULL) if len(known) <= 1 else None


def _call(name: str, arguments: Sequence[Node], staged: Mapping[str, str]) -> str | None:
    classes = [_class(argument, staged) for argument in arguments]
    if name in _WORDY_CALLS:
        return WORDS
    if name in TEXT or name == "strftime":
        return "TEXT"
    if name in ("nullif", "abs", "ceil", "ceiling", "floor", "trunc"):
        kept = classes[0] if classes else None
        return kept if name == "nullif" or kept in ("INTEGER", "REAL") else None
    if name in ("max", "min"):
        return _common(classes)
    if name in ("substr", "substring"):
        return {"TEXT": "TEXT", WORDS: "TEXT", "INTEGER": "TEXT", "REAL": "TEXT"}.get(classes[0] or "")
    if name == "unixepoch":
        return "INTEGER" if len(arguments) == 1 else None
    return next((made for names, made in _MADE if name in names), None)


_MADE = ((INTEGER, "INTEGER"), (REAL, "REAL"), (BLOB, "BLOB"))
