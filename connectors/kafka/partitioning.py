"""Which partition a key's events are in: Kafka's default partitioner over the key's bytes as the connector writes them.

How the connector writes keys is learned from messages of the topic and proved on them; it is never assumed. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from connectors.kafka.field_names import column_names

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """A key as JsonConverter writes it with schemas.enable."""

    schema: msgspec.Raw
    payload: msgspec.Raw


@dataclass(frozen=True, slots=True)
class KeyBytes:
    """How the connector writes a topic's keys. names: field -> column, in the order that they are written in."""

    prefix: bytes
    names: Mapping[str, str]
    suffix: bytes

    def of(self, key: Mapping[str, object]) -> bytes:
        """The message key of these values by column: int, bool or str."""
        values = {field: key[column] for field, column in self.names.items()}
        return self.prefix + msgspec.json.encode(values) + self.suffix


def learn(samples: Sequence[tuple[bytes, int]], columns: Sequence[str], partitions: int) -> KeyBytes | None:
    """How keys are written, if every sample (message key, partition) is written so and is where its hash says.

    None where there is no sample, where one is not, or where the fields are not the key's `columns`.
    """
    found: KeyBytes | None = None
    for raw, partition in samples:
        form, payload = _form(raw, columns)
        if form is None or (found is not None and form != found) or sorted(form.names.values()) != sorted(columns):
            return None
        if form.of(payload) != raw or partition_of(raw, partitions) != partition:
            return None
        found = form
    return found


def _form(raw: bytes, columns: Sequence[str]) -> tuple[KeyBytes | None, dict[str, object]]:
    """How one key is written, and its values by column."""
    prefix, inner, suffix = b"", raw, b""
    try:
        envelope = msgspec.json.decode(raw, type=_Envelope)
        inner = bytes(envelope.payload)
        prefix, suffix = b'{"schema":' + bytes(envelope.schema) + b',"payload":', b"}"
    except (msgspec.DecodeError, msgspec.ValidationError):
        pass
    try:
        payload = msgspec.json.decode(inner, type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None, {}
    names = column_names(tuple(payload), columns)
    return KeyBytes(prefix, names, suffix), {names[field]: value for field, value in payload.items()}


def partition_of(key: bytes, partitions: int) -> int:
    """Where a producer with Kafka's default partitioner puts a message of this key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's murmur2: 32 bits, as an unsigned number."""
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15
