"""What is wrong with the configuration, as the user reads it: file:line:column: field: message (expected ...); hint.

No line shows a value. Values that came from the environment or a file are masked as well, and so is what looks like a
password, in case another module's message quotes one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daemon.config.yaml_lines import Document, Fault, Field, Position
from daemon.logs import redact
from mappers.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Located:
    """The file that a configuration came from: turns problems into lines that name the place in it."""

    file: str
    document: Document = field(default_factory=Document)
    mask: Callable[[str], str] = str

    def error(self, problems: Iterable[Problem] = (), faults: Iterable[Fault] = ()) -> ConfigError:
        """The error that carries these problems and faults, in the order of the file."""
        found = [(self._position(problem), problem) for problem in problems]
        found += [(fault.position, fault.problem) for fault in faults]
        found.sort(key=lambda pair: (pair[0].line, pair[0].column))
        lines = (self._line(position, problem) for position, problem in found)
        return ConfigError([problem for _, problem in found], list(dict.fromkeys(lines)))

    def _position(self, problem: Problem) -> Position:
        return self.document.nearest(problem.path, key=problem.message == UNKNOWN)

    def _line(self, position: Position, problem: Problem) -> str:
        path = f"{dotted(problem.path)}: " if problem.path else ""
        hint = f"; {problem.hint}" if problem.hint else ""
        text = redact(self.mask(f"{path}{problem.message}{hint}")).replace("\n", " ")
        return f"{self.file}:{position.line}:{position.column}: {text}"


UNKNOWN = "unknown key"


def dotted(path: Field) -> str:
    """A field's way as it is written in messages: tables.3.columns.email."""
    return ".".join(str(part) for part in path)


def problems_of(error: ValidationError, document: Document, schema: dict[str, Any]) -> Iterator[Problem]:
    """The problems pydantic found, one a field, with the field's own description as the hint."""
    said: dict[Field, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        said.setdefault(_in_file(detail, document), []).append(detail)
    spoilt = {f.problem.path for f in document.faults if f.position == document.values.get(f.problem.path)}
    for path, details in said.items():
        if path in spoilt or _only_the_other_form(path, details, said):
            continue
        if details[0]["type"] == "extra_forbidden":
            yield Problem(path, UNKNOWN, _unknown_hint(str(path[-1]), schema, path[:-1]))
            continue
        messages = list(dict.fromkeys(_message(detail) for detail in details))
        message, hint = _joined(messages).partition("; ")[::2]
        yield Problem(path, message, hint or _described(schema, path))


def _only_the_other_form(path: Field, details: list[ErrorDetails], said: dict[Field, list[ErrorDetails]]) -> bool:
    """`columns` is no "*", but it is a mapping, and what is wrong is inside it."""
    inside = any(len(other) > len(path) and other[: len(path)] == path for other in said)
    return inside and all(detail["type"] == "literal_error" for detail in details)


def _in_file(detail: ErrorDetails, document: Document) -> Field:
    """The field an error is about: pydantic appends the member of a union that it tried, which no file contains."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "missing":
        return path
    found: Field = ()
    for part in path:
        if (*found, part) in document.values:
            found = (*found, part)
    return found


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "missing"
    text = detail["msg"].removeprefix("Value error, ")
    match = re.fullmatch(r"(Input|String|URL|List|Dictionary) should (?:be )?(.*)", text)
    if match is None:
        return text
    expected = match[2].replace("match pattern", "a string that matches").replace("a valid dictionary", "a mapping")
    expected = re.sub(r"^have", "to have", expected)
    expected = re.sub(r" or instance of \w+|, (unable to parse|got a number with).*", "", expected)
    return f"wrong value (expected {expected.replace('a valid integer', 'an integer').replace('a valid ', 'a ')})"


def _joined(messages: list[str]) -> str:
    """One message for a field whose type is a union: `wrong value (expected a string or an integer)`."""
    expected = [re.fullmatch(r"wrong value \(expected (.*)\)", message) for message in messages]
    if len(messages) > 1 and all(expected):
        return f"wrong value (expected {' or '.join(match[1] for match in expected if match)})"
    return ", or ".join(messages)


def _described(schema: dict[str, Any], path: Field) -> str:
    description: str = _properties(schema, path[:-1]).get(str(path[-1]), {}).get("description", "") if path else ""
    return description.replace("\n", " ").partition(". ")[0].rstrip(".")


def _unknown_hint(name: str, schema: dict[str, Any], path: Field) -> str:
    known = sorted(_properties(schema, path))
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    for section in _properties(schema, ()):
        if name in _properties(schema, (section,)):
            return f"did you mean {section}.{name}?"
    return f"known keys: {', '.join(known)}" if known else ""


def _properties(schema: dict[str, Any], path: Field) -> dict[str, Any]:
    """The properties of the object at `path`, by its JSON Schema; empty where it has none."""
    nodes = list(_alternatives(schema, schema))
    for part in path:
        step = [_child(node, part) for node in nodes]
        nodes = [node for child in step if child for node in _alternatives(schema, child)]
    return {name: item for node in nodes for name, item in node.get("properties", {}).items()}


def _child(node: dict[str, Any], part: str | int) -> Any:
    if isinstance(part, int):
        return node.get("items")
    return node.get("properties", {}).get(part) or node.get("additionalProperties")


def _alternatives(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _alternatives(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    for option in node.get("anyOf", []) + node.get("oneOf", []):
        yield from _alternatives(schema, option)
    yield node
