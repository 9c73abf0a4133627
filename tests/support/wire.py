"""As much of PostgreSQL's wire protocol (version 3) as numbering a client's statements needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

PROTOCOL_3 = 3 << 16
NEGOTIATIONS = frozenset((80877103, 80877104))
"""Requests for TLS and for GSS encryption: eight bytes, answered by one."""

_NUMBER = re.compile(r"\b\d+\b")
_TEXT = re.compile(r"E?'(?:[^'\\]|''|\\.)*'")
_PARAMETER = re.compile(r"\$\d+(?:::[A-Z0-9_\[\]]+)?")
_LIST = re.compile(r"\$(?:, ?\$)+")
_ROWS = re.compile(r"\(\$\)(?:, ?\(\$\))+")
_SPACE = re.compile(r"\s+")


def messages(buffer: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Take the whole messages from the front of the buffer: (type, everything with type and length)."""
    at = 0
    while len(buffer) - at >= 5:
        size = 1 + int.from_bytes(buffer[at + 1 : at + 5], "big")
        if len(buffer) - at < size:
            break
        yield bytes(buffer[at : at + 1]), bytes(buffer[at : at + size])
        at += size
    del buffer[:at]


def startup(buffer: bytearray) -> bytes | None:
    """Take the first message of a connection, which has no type; None while it is not whole."""
    if len(buffer) < 8:
        return None
    size = int.from_bytes(buffer[:4], "big")
    if len(buffer) < size:
        return None
    found = bytes(buffer[:size])
    del buffer[:size]
    return found


def code_of(first: bytes) -> int:
    """What the first message asks for: a protocol version or a request."""
    return int.from_bytes(first[4:8], "big")


def normalised(sql: str) -> str:
    """The statement without what differs from one time to the next: numbers, texts, how many parameters."""
    text = _SPACE.sub(" ", sql.strip())
    text = _TEXT.sub("'…'", text)
    text = _ROWS.sub("($)", _LIST.sub("$", _PARAMETER.sub("$", text)))
    return _NUMBER.sub("#", text)


@dataclass
class Group:
    """Messages that are forwarded together, since the server acts on them together: a Query, or all up to Sync.

    answer: the type of the server's message that ends its answer.
    """

    data: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    answer: bytes = b"Z"

    @property
    def statement(self) -> str | None:
        """The statements in it, normalised; None for what is none (a bare Sync, COPY data, Terminate)."""
        return "; ".join(dict.fromkeys(self.texts)) or None


class Frontend:
    """Follows what a client sends on one connection, and cuts it into groups."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._prepared: dict[bytes, str] = {}
        self._open = Group()
        self._copying = ""

    def feed(self, data: bytes) -> Iterator[Group]:
        """The groups that are whole now, in order."""
        self._buffer += data
        for kind, message in messages(self._buffer):
            self._open.data.append(message)
            if self._take(kind, message[5:]):
                group, self._open = self._open, Group()
                yield group

    def _take(self, kind: bytes, body: bytes) -> bool:
        """Note what a message says; True where its group ends."""
        if kind == b"Q":
            text = normalised(_string(body))
            self._note(text)
            return True
        if kind == b"P":
            name, rest = body.split(b"\0", 1)
            self._prepared[name] = normalised(_string(rest))
            self._open.texts.append(f"PREPARE {self._prepared[name]}" if name else self._prepared[name])
        elif kind == b"B":
            name = body.split(b"\0", 2)[1]
            if name:
                self._note(self._prepared.get(name, "?"))
        elif kind == b"C":
            self._open.texts.append("CLOSE")
        elif kind in (b"c", b"f"):
            self._open.texts.append(f"{'end' if kind == b'c' else 'fail'} of {self._copying}")
            return True
        return kind in (b"S", b"H", b"d", b"X", b"p")

    def _note(self, text: str) -> None:
        self._open.texts.append(text)
        if text.upper().startswith("COPY ") and " FROM STDIN" in text.upper():
            self._open.answer = b"G"
            self._copying = text


def _string(body: bytes) -> str:
    return body.split(b"\0", 1)[0].decode(errors="replace")
