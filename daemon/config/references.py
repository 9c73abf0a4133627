"""`${NAME}` and `${file:PATH}` in the configuration: secrets stay out of the file and out of its structure.

The YAML is parsed first and the scalars are filled in afterwards, so that a password with a colon, a quote or a line
break stays one scalar. For the parser's sake `protect` swaps the characters of a reference that mean something to
YAML for Unicode noncharacters, one for one: `{url: ${URL}}` parses without quotes, and columns keep their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

FILE_BYTES_MAX = 1 << 20
"""A secret is short; a larger file is a mistake such as `${file:/dev/zero}`."""

MASKED_FROM = 4
"""Shorter values are not masked in messages: they are in every word. No message shows a value to begin with."""

_REFERENCE = re.compile(r"\$\{[^{}\n'\"]*\}")
_TOKEN = re.compile(r"\$\$\{|\$\{([^{}\n]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = "{}[],:#?"
_PROTECT = {ord(char): 0xFDD0 + index for index, char in enumerate(_SPECIAL)}
_RESTORE = {code: char for char, code in _PROTECT.items()}


def protect(text: str) -> str:
    """The YAML text with its references made opaque to the parser; same length, same positions."""
    return _REFERENCE.sub(lambda match: match[0].translate(_PROTECT), text)


def restore(scalar: str) -> str:
    """A scalar as it was written, before `protect`."""
    return scalar.translate(_RESTORE)


class References:
    """Fills in references from the environment and from files; remembers the values, to keep them out of messages."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory
        self._values: set[str] = set()

    def expand(self, scalar: str) -> tuple[str, list[str]]:
        """The scalar with its references filled in once (values are not looked into), and what was wrong with them."""
        faults: list[str] = []

        def fill(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            try:
                value = self._value(match[1])
            except ValueError as error:
                faults.append(str(error))
                return ""
            self._values.add(value)
            return value

        return _TOKEN.sub(fill, scalar), faults

    def mask(self, text: str) -> str:
        """The text with every value that came in by reference replaced by ***."""
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= MASKED_FROM:
                text = text.replace(value, "***")
        return text

    def _value(self, name: str | None) -> str:
        if name is None:
            raise ValueError("a reference is not closed (expected ${NAME}); write $${ for a plain ${")
        if name.startswith("file:"):
            return _content(self._directory / name.removeprefix("file:"))
        if not _NAME.fullmatch(name):
            raise ValueError("not a reference (expected ${NAME} or ${file:PATH}); write $${ for a plain ${")
        if name not in self._environ:
            raise ValueError(f"the environment variable {name} is not set; set it, or use ${{file:PATH}}")
        return self._environ[name]


def _content(path: Path) -> str:
    """The text of a secret file without its last line break. Raises ValueError, which names the file only."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise ValueError(f"the file {path} cannot be read: {reason}") from None
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"the file {path} is longer than {FILE_BYTES_MAX} bytes; is it the right one?")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
