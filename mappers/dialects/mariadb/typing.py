"""Whether a MariaDB column holds what an expression makes, and what to write where it does not.

MariaDB casts to few types: there is no cast to int, timestamp, enum or char with its own rules. So what the server
says of an expression is not all: a cast that the mapping's author wrote, or a choice among constants, is looked at
itself. In the strict modes a value out of a column's range is an error; digits, fractions of seconds and spaces would
be lost in silence, so they must fit.
"""

from __future__ import annotations

from mappers.dialects import shapes
from mappers.dialects.mariadb.syntax import SYNTAX
from mappers.dialects.mariadb.types import BITS, BLOBS, TEXTS, Type, characters, holds_integers, read, widens
from mappers.mapping import Expression
from mappers.tree import Node, kind_of, parse, unwrapped

_ROOM = {"tinytext": 63, "text": 16_383, "mediumtext": 4_194_303}
"""Characters that always fit."""


class MariaTyping:
    """The engine says the type of each expression, as it would for a table made of them."""

    def widens(self, from_type: str, to_type: str) -> bool:
        """Whether every value of `from_type` can be assigned to `to_type` and stays the same value."""
        return widens(from_type, to_type)

    def fits(self, expression: Expression, made: str, wanted: str) -> bool:
        """Whether every value of the expression, for which `made` was described, stays the same in a `wanted`."""
        target = read(wanted)
        if widens(made, wanted) or target is None:
            return widens(made, wanted)
        branches = shapes.branches(parse(expression.sql, SYNTAX))
        kinds = {_family(branch) for branch in branches} - {"null"}
        return len(kinds) <= 1 and all(_branch_fits(branch, target) for branch in branches)

    def hint(self, text: str, made: str, wanted: str) -> str:
        """The cast to write, or what to alter where no cast says it."""
        target, source = read(wanted), read(made)
        if target is None:
            return f"no expression makes a {wanted}: leave the column out, or change its type"
        if source is not None and characters(source) is not None and characters(target) is not None:
            return _text_hint(text, source, target)
        return _hint(text, target)

    def cast(self, text: str, wanted: str) -> str:
        """The expression `text` cast to the column's type, or to the nearest to it; as it is where there is none."""
        target = read(wanted)
        if target is None or target.name in _UNCAST:
            return text
        return f"cast({text} as {_cast(target)[0]})"


def _family(node: Node) -> str:
    """Constants of one kind, and casts to one kind, stay what they are when one of them is chosen."""
    node = unwrapped(node)
    if kind_of(node) == "Null":
        return "null"
    if shapes.integers(node) is not None:
        return "integer"
    if kind_of(node) == "Literal":
        return "text" if node.is_string else "number"
    if kind_of(node) == "Cast":
        name = _cast_name(node)
        return {"bigint": "integer", "ubigint": "integer", "char": "text"}.get(name, name)
    return ""


def _cast_name(cast: Node) -> str:
    """sqlglot's name of the type: bigint for signed, ubigint for unsigned, else MariaDB's own."""
    return str(cast.args["to"].this).rpartition(".")[2].lower()


def _branch_fits(node: Node, target: Type) -> bool:
    node = unwrapped(node)
    if (bounds := shapes.integers(node)) is not None:
        return _integers_fit(bounds, target)
    if kind_of(node) == "Literal" and node.is_string:
        return _string_fits(str(node.name), target)
    return kind_of(node) == "Null" or (kind_of(node) == "Cast" and _cast_fits(node, target))


def _integers_fit(bounds: tuple[int, int], target: Type) -> bool:
    """A YEAR reads 70 as 1970, so it takes only what it can say in full."""
    if target.name == "year":
        return bounds[0] >= 1901 and bounds[1] <= 2155
    return holds_integers(target, *bounds)


def _string_fits(value: str, target: Type) -> bool:
    if target.name == "enum":
        return value in target.labels
    if target.name == "set":
        return value == "" or value in target.labels
    text = target.name in ("char", "varchar") and (value.isascii() or target.charset == "utf8mb4")
    return text and len(value) <= (target.numbers or (1,))[0] and (target.name == "varchar" or value[-1:] != " ")


def _cast_fits(cast: Node, target: Type) -> bool:
    """A written cast decides what the value is; its range may still be wider than the column's, not its digits."""
    name, numbers = _cast_name(cast), tuple(int(part.name) for part in cast.args["to"].expressions)
    if name in ("bigint", "ubigint"):
        return target.name in BITS or target.name == "bit"
    if name == "char" and numbers:
        return target.charset == "utf8mb4" and target.name == "char" and numbers <= (target.numbers or (1,))
    if name == "binary":
        return target.name == "binary" and numbers == (target.numbers or (1,))
    if name == "decimal":
        scale, room = (*numbers, 0)[1], (*(target.numbers or (10,)), 0)[1]
        return target.name == "decimal" and scale <= room
    return name == "datetime" and target.name == "timestamp" and (numbers or (0,)) <= target.numbers


def _text_hint(text: str, source: Type, target: Type) -> str:
    if target.charset != source.charset:
        return "ALTER TABLE … MODIFY … CHARACTER SET utf8mb4: the column's characters are fewer"
    return _hint(text, target)


def _hint(text: str, target: Type) -> str:
    name, (cast, remark) = target.name, _cast(target)
    if name in _ROOM:
        longer = "longtext" if name != "tinytext" else "text"
        return f"ALTER TABLE … MODIFY the column to {longer}, or write cast({text} as {cast}), which cuts"
    if name == "enum":
        return f"write case {text} when 'x' then 'x' … end, with the column's own labels"
    if name in ("year", "set", "geometry"):
        return "no expression makes one: change the column's type, or leave it out"
    if name in ("float", "double") and target.numbers:
        return f"ALTER TABLE … MODIFY the column to {name}: with digits it rounds"
    return f"write cast({text} as {cast}){remark}"


def _cast(target: Type) -> tuple[str, str]:
    """The type to cast to, and what is to be known of it."""
    numbers = f"({', '.join(map(str, target.numbers))})" if any(target.numbers) else ""
    if target.name in _ROOM:
        return f"char({_ROOM[target.name]})", ", which cuts longer values"
    cast, remark = _CASTS.get(target.name, (target.name + numbers, ""))
    return cast.format(numbers=numbers, sign="unsigned" if target.unsigned else "signed"), remark


_UNCAST = ("enum", "year", "set", "geometry")
"""No cast makes one."""

_CASTS = {
    **dict.fromkeys((*BITS, "bit"), ("{sign}", ", which rounds")),
    **dict.fromkeys(("char", "varchar"), ("char{numbers}", ", which cuts longer values")),
    **dict.fromkeys((*TEXTS, "json"), ("char", "")),
    **dict.fromkeys((*BLOBS, "varbinary"), ("binary{numbers}", "")),
    "decimal": ("decimal{numbers}", ", which rounds"),
    "timestamp": ("datetime{numbers}", ""),
}
"""Column -> the cast that fills it, and what is to be known of it."""
