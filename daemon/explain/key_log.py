"""The events of one key in its topic, found without any effect on a consumer group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.change import Sequence2
from connectors.kafka.consumer import Decode
from connectors.kafka.log import Logged, LogReader
from connectors.kafka.partitioning import KeyBytes, learn, partition_of
from connectors.postgresql.keys import TEXT_KEYS
from connectors.tables import MappedTable
from connectors.wire import Wire
from daemon.explain.key_history import Partition, Seen
from mappers.errors import RecordError

SAMPLE = 64
"""Offsets at the end of each partition that the form of the keys is learned from."""


@dataclass(frozen=True, slots=True)
class Range:
    """What was read of one partition: the offsets [start, end). low, high: what it has."""

    topic: str
    partition: int
    start: int
    end: int
    low: int
    high: int

    @property
    def complete(self) -> bool:
        """Whether it was read to its end."""
        return self.end >= self.high


@dataclass(frozen=True, slots=True)
class KeyLog:
    """The key's events, and where they were looked for. by_hash: the key's partition was computed, not searched.

    unreadable: events that could not be decoded, so that nobody can say whose they are.
    """

    events: Sequence[Seen] = ()
    ranges: Sequence[Range] = ()
    partitions: int = 0
    by_hash: bool = False
    unreadable: int = 0


@dataclass
class _Scan:
    mapped: MappedTable
    key: tuple[str, ...]
    decode: Decode
    waters: dict[Partition, Sequence2] = field(default_factory=dict)
    events: list[Seen] = field(default_factory=list)
    unreadable: int = 0

    def look(self, message: Logged) -> None:
        """Keep the event if it is the key's; follow the high water of its partition."""
        try:
            change = self.decode(message.value, message.offset)
        except RecordError:
            self.unreadable += 1
            return
        where = (message.topic, message.partition)
        water = self.waters.get(where, (0, 0))
        if change.op == "t" or (change.key and self.mapped.form.texts(change.key) == self.key):
            self.events.append(Seen(*where, change, water))
        if change.sequence is not None and change.sequence > water:
            self.waters[where] = change.sequence


def find(
    log: LogReader,
    mapped: MappedTable,
    key: tuple[str, ...],
    partitions: Sequence[Partition],
    positions: Mapping[Partition, int],
    back: int,
    decode: Decode,
) -> KeyLog:
    """The key's events from `back` offsets before each position to the log's end, at most `back` offsets beyond it.

    partitions: all of the topic's. Raises TransientError where the broker does not answer.
    """
    bounds = {where: log.bounds(where) for where in partitions}
    chosen = _partition(log, mapped, key, bounds)
    wanted = {chosen: bounds[chosen]} if chosen is not None else bounds
    scan = _Scan(mapped, key, decode)
    ranges = {where: _range(*bounds[where], positions.get(where), back) for where in wanted}
    for message in log.read(ranges):
        scan.look(message)
    read = [
        Range(*where, start, max(end, log.reached.get(where, end)), *bounds[where])
        for where, (start, end) in sorted(ranges.items())
    ]
    events = sorted(scan.events, key=lambda seen: (seen.partition, seen.change.offset))
    return KeyLog(events, read, len(partitions), chosen is not None, scan.unreadable)


def _range(low: int, high: int, position: int | None, back: int) -> tuple[int, int]:
    at = high if position is None else min(position, high)
    start = max(low, at - back)
    return start, max(start, min(high, at + back))


def _partition(
    log: LogReader, mapped: MappedTable, key: tuple[str, ...], bounds: Mapping[Partition, tuple[int, int]]
) -> Partition | None:
    """The key's partition, where the way from a key to it is proved on the topic's own messages."""
    values = json_values(mapped, key)
    if values is None or len(bounds) == 1:
        return next(iter(bounds)) if len(bounds) == 1 else None
    ends = {where: (max(low, high - SAMPLE), high) for where, (low, high) in bounds.items()}
    samples = [(message.key, message.partition) for message in log.read(ends) if message.key is not None]
    form: KeyBytes | None = learn(samples, mapped.form.columns, len(bounds))
    if form is None:
        return None
    (topic,) = {topic for topic, _ in bounds}
    return topic, partition_of(form.of(values), len(bounds))


def json_values(mapped: MappedTable, key: Sequence[str]) -> dict[str, object] | None:
    """The key's values as they are in a message's key, where that follows from their text alone. Pure."""
    wires = {wire.name: wire for wire in mapped.wires}
    made: dict[str, object] = {}
    for name, text in zip(mapped.form.columns, key, strict=True):
        column = mapped.table.column(name)
        base = column.type.partition("(")[0].strip()
        if wires[name].form:
            return None
        if wires[name].kind is Wire.INT:
            made[name] = int(text)
        elif wires[name].kind is Wire.BOOL:
            made[name] = text == "true"
        elif wires[name].kind is Wire.TEXT and (base in TEXT_KEYS or column.labels) and text.isprintable():
            made[name] = text
        else:
            return None
    return made
