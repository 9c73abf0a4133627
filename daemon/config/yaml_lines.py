"""YAML with the line and column of every field, duplicate keys as errors, and only plain data.

Scalars mean what YAML 1.2 says: `off`, `no`, `on` and 12:30 are text, `007` is seven; digits may be grouped (50_000).
Numbers with a point are passed on as written, since 0.10 may be SQL for a numeric(10,2). Keys
are always text: a column may be called `null` or `on`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mappers.errors import Problem

Field = tuple[str | int, ...]
"""The way to a field from the top of the document: ("tables", 3, "columns", "email")."""

Expand = Callable[[str], tuple[str, list[str]]]
"""Fills in the references of a scalar; returns the text and what was wrong with it."""

VALUES_MAX = 200_000
"""Ends the expansion of anchors that repeat each other."""

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the file, counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem and where it is, which the path alone does not tell (the second of two equal keys)."""

    position: Position
    problem: Problem


@dataclass(slots=True)
class Document:
    """What a file says: plain data, where its keys and values stand, and what is wrong with it so far."""

    data: Any = None
    keys: dict[Field, Position] = field(default_factory=dict)
    values: dict[Field, Position] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def nearest(self, path: Field, *, key: bool = False) -> Position:
        """The position of a field, or of the closest thing around it that is in the file."""
        for length in range(len(path), -1, -1):
            place = path[:length]
            shorter = length < len(path)
            found = self.keys.get(place) if key or shorter else None
            found = found or self.values.get(place)
            if found:
                return found
        return Position(1, 1)


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.2's core schema does."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own way to have other resolvers)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def parse(text: str, expand: Expand, restore: Callable[[str], str]) -> Document:
    """The document in `text`. Never raises for what the text says: it is in `faults`, all of it."""
    document = Document()
    try:
        root = yaml.compose(text, _Loader)
        if root is None:
            document.faults.append(Fault(Position(1, 1), Problem((), "the file is empty")))
        else:
            document.data = _Reader(document, expand, restore).value(root, ())
    except RecursionError:
        document.faults.append(Fault(Position(1, 1), Problem((), "nested too deeply, or too large")))
    except yaml.YAMLError as error:
        document.faults.append(_syntax(error, text))
    return document


class _Reader:
    """Turns nodes into data, noting positions and faults on the way."""

    def __init__(self, document: Document, expand: Expand, restore: Callable[[str], str]) -> None:
        self._document = document
        self._expand = expand
        self._restore = restore
        self._open: set[int] = set()

    def value(self, node: Node, path: Field) -> Any:
        """The data of a node; its position is noted under `path`."""
        self._document.values[path] = _position(node)
        if len(self._document.values) > VALUES_MAX:
            raise RecursionError
        if id(node) in self._open:
            return self._fault(node, path, "an anchor contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, path)
            if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            if isinstance(node, ScalarNode):
                return self._scalar(node, path)
            return self._fault(node, path, "this YAML tag is not supported", "remove the tag")
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: Field) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, key, item in self._pairs(node, path):
            place = (*path, name)
            if name in result:
                first = self._document.keys[place]
                self._fault(key, place, "duplicate key", f"it is already on line {first.line}")
                continue
            self._document.keys[place] = _position(key)
            result[name] = self.value(item, place)
        for merged in self._merged(node, path):
            for name, key, item in self._pairs(merged, path):
                if name not in result:
                    self._document.keys[(*path, name)] = _position(key)
                    result[name] = self.value(item, (*path, name))
        return result

    def _pairs(self, node: MappingNode, path: Field) -> Iterator[tuple[str, Node, Node]]:
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                self._fault(key, path, "a key must be text")
            elif not _is_merge(key):
                yield self._restore(key.value), key, item

    def _merged(self, node: MappingNode, path: Field) -> Iterator[MappingNode]:
        """The mappings that `<<` brings in, the first of which wins."""
        for key, item in node.value:
            if not _is_merge(key):
                continue
            for source in item.value if isinstance(item, SequenceNode) else [item]:
                if not isinstance(source, MappingNode) or any(_is_merge(inner) for inner, _ in source.value):
                    self._fault(key, path, "<< takes a mapping, or a list of mappings, without << of their own")
                else:
                    yield source

    def _scalar(self, node: ScalarNode, path: Field) -> Any:
        kind = node.tag.removeprefix(_TAG)
        try:
            if kind == "int":
                return _integer(node.value)
        except ValueError:
            return self._fault(node, path, f"not a YAML {kind}")
        if kind == "bool":
            return node.value.lower() == "true"
        if kind == "null":
            return None
        if kind != "str":
            return self._fault(node, path, "this YAML tag is not supported", "remove the tag")
        text, faults = self._expand(self._restore(node.value))
        for message in faults:
            self._fault(node, path, *message.split("; ", 1))
        return text

    def _fault(self, node: Node, path: Field, message: str, hint: str = "") -> None:
        self._document.faults.append(Fault(_position(node), Problem(path, message, hint)))


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.value == "<<" and key.style is None


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    return int(digits, 0) if digits[:2] in ("0o", "0x") else int(digits)


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _syntax(error: yaml.YAMLError, text: str) -> Fault:
    """What the parser says, without the names it quotes: an unquoted password may be what it stumbled over."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        position = Position(before.count("\n") + 1, error.position - before.rfind("\n"))
        return Fault(position, Problem((), "not valid YAML: a control character", "remove it"))
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    said = re.sub(r" ?(['\"])[^'\"<\s,]{2,}\1", "", str(getattr(error, "problem", None) or "unreadable"))
    said = said.removeprefix("but ")
    return Fault(position, Problem((), f"not valid YAML: {said}", "quote values that contain : # { [ * & ! % @ or `"))
