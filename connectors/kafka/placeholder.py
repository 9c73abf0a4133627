"""What stands in an event for a large value that an update left unchanged, in each of its forms. Pure."""

from __future__ import annotations

import base64
import hashlib
import uuid

from connectors.wire import Wire, WireColumn


class Placeholder:
    """What stands in an event for a large value that an update left unchanged, in each of its forms."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bytes = text.encode()
        self.base64 = base64.b64encode(self.bytes).decode()
        self.numbers = [byte - 256 if byte > 127 else byte for byte in self.bytes]
        digest = hashlib.md5(self.bytes, usedforsecurity=False).digest()
        self.uuid = str(uuid.UUID(bytes=digest, version=3))

    def mark(self, column: WireColumn) -> object:
        """The form in a decoded row where that is not the text."""
        if column.kind is Wire.BYTES:
            return self.bytes
        if column.kind is not Wire.ARRAY:
            return None
        if column.element is Wire.INT:
            return self.numbers
        return [self.uuid] if column.type == "uuid[]" else [self.text]

    def stands(self, column: WireColumn, value: object) -> bool:
        """Whether the value says that the column's value did not travel."""
        if column.kind is Wire.BYTES:
            return value in (self.text, self.base64, self.bytes)
        return value == self.text or (column.kind is Wire.ARRAY and value == self.mark(column))


class NoPlaceholder(Placeholder):
    """Of a source whose log has every value of every row: nothing stands for another value."""

    def __init__(self) -> None:
        super().__init__("")
        self.text = NOTHING

    def mark(self, column: WireColumn) -> object:
        """There is none."""
        return None

    def stands(self, column: WireColumn, value: object) -> bool:
        """No value does."""
        return False


class _Nothing(str):
    """A text that equals no text, not even itself."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False


NOTHING = _Nothing()
