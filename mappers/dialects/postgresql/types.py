"""Which PostgreSQL types hold every value of another. Types are spelled as format_type gives them: numeric(10,2).

Anything that could lose or change a value needs a cast in the mapping: then it is a decision, and stands written there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mappers.mapping import Expression

_SPELLING = re.compile(
    r"(?P<name>[^()\[\]]+?)\s*(?:\((?P<modifier>[^)]*)\))?\s*(?P<zone>with(?:out)? time zone)?(?P<array>(?:\[\])*)"
)
_ALIASES = {
    "int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint", "float4": "real", "bool": "boolean",
    "float8": "double precision", "varchar": "character varying", "char": "character", "decimal": "numeric",
    "timestamptz": "timestamp with time zone", "timetz": "time with time zone", "unknown": "text",
    "timestamp": "timestamp without time zone", "time": "time without time zone",
}  # fmt: skip
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_CLOCKS = ("timestamp with time zone", "timestamp without time zone", "time with time zone", "time without time zone")


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    modifier: tuple[int, ...] = ()
    dimensions: int = 0


class PostgresTyping:
    """The engine itself says the type of each expression, exactly."""

    def widens(self, from_type: str, to_type: str) -> bool:
        """Whether every value of `from_type` can be assigned to `to_type` and stays the same value."""
        if from_type == to_type:
            return True
        source, target = _read(from_type), _read(to_type)
        if source is None or target is None:
            return False
        if source == target:
            return True
        # A catalogue does not keep the number of dimensions: text[] and text[][] are one type.
        return bool(source.dimensions) == bool(target.dimensions) and _fits(source, target)

    def fits(self, expression: Expression, made: str, wanted: str) -> bool:
        """Whether every value of the expression, of type `made`, stays the same in a `wanted`."""
        return self.widens(made, wanted)

    def hint(self, text: str, made: str, wanted: str) -> str:
        """The cast to write."""
        cuts = ", which cuts longer values" if wanted.startswith("character") else ""
        return f"write {self.cast(text, wanted)}{cuts}"

    def cast(self, text: str, wanted: str) -> str:
        """The expression `text` cast to the column's own type."""
        return f"cast({text} as {wanted})"


def _read(spelling: str) -> _Type | None:
    """The parts of a type's name; None for one with a modifier that is not numbers (interval day to second)."""
    if spelling.startswith('"') or '."' in spelling:
        return None
    match = _SPELLING.fullmatch(spelling.strip())
    if match is None:
        return None
    name = match["name"].strip() + (f" {match['zone']}" if match["zone"] else "")
    modifier = match["modifier"]
    numbers = tuple(modifier.split(",")) if modifier is not None else ()
    if not all(number.strip().lstrip("-").isdigit() for number in numbers):
        return None
    return _Type(_ALIASES.get(name, name), tuple(int(n) for n in numbers), len(match["array"]) // 2)


def _fits(source: _Type, target: _Type) -> bool:
    if source.name in _DIGITS:
        return _integer_fits(source.name, target)
    if source.name == "real" and target.name == "double precision":
        return True
    if source.name == target.name == "numeric":
        return _numeric_fits(source.modifier, target.modifier)
    if source.name in ("character varying", "text"):
        return _text_fits(source, target)
    if source.name == "date":
        return target.name == "timestamp without time zone"
    if source.name == target.name and source.name in (*_CLOCKS, "bit varying"):
        return not target.modifier or (bool(source.modifier) and source.modifier <= target.modifier)
    return source == target or (source.name, source.modifier) == (target.name, target.modifier)


def _integer_fits(name: str, target: _Type) -> bool:
    if target.name in _DIGITS:
        return _DIGITS[name] <= _DIGITS[target.name]
    if target.name == "double precision":
        return name != "bigint"
    return target.name == "numeric" and _numeric_fits((_DIGITS[name], 0), target.modifier)


def _numeric_fits(source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Enough digits before the point and after it. numeric without a modifier holds any, and fits into nothing else."""
    if not target:
        return True
    if not source:
        return False
    scale, room = (source[1:] or (0,))[0], (target[1:] or (0,))[0]
    return scale <= room and source[0] - scale <= target[0] - room


def _text_fits(source: _Type, target: _Type) -> bool:
    if target.name == "text" or (target.name == "character varying" and not target.modifier):
        return True
    return target.name == "character varying" and bool(source.modifier) and source.modifier <= target.modifier
