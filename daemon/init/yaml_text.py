"""Scalars as YAML text that every reader of YAML takes for the same text, 1.1 and 1.2 alike."""

from __future__ import annotations

import re

import yaml

_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ .,()<>=+*/|'\"-]*")


def key(text: str) -> str:
    """A name as a key."""
    return text if _SIMPLE.fullmatch(text) and _is_text(text) else _quoted(text)


def value(text: str) -> str:
    """An expression as the value of a key; `${` is kept from being read as a reference."""
    text = text.replace("${", "$${")
    return text if _PLAIN.fullmatch(text) and text == text.strip() and _is_text(text) else _quoted(text)


def flow(text: str) -> str:
    """A value within {braces} or [brackets]."""
    return key(text.replace("${", "$${"))


def _is_text(text: str) -> bool:
    """Whether the plain scalar means itself: `on`, `null` and 12:30 do not."""
    try:
        return bool(yaml.safe_load(f"a: {text}") == {"a": text} and yaml.safe_load(f"{text}: a") == {text: "a"})
    except yaml.YAMLError:
        return False


def _quoted(text: str) -> str:
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return str(yaml.safe_dump(text, default_style='"', width=1 << 20)).strip()


def comment(text: str) -> str:
    """One line of words that cannot end the comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
