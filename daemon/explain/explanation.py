"""The story of one row as plain records: what is on both sides, what the control state says, and one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from shlex import quote
from typing import Any

from connectors.chunks import ChunkRow, ChunkState
from connectors.control.dead_letters import Letter
from connectors.control.key_record import FindingFact
from connectors.keys import name_of
from connectors.sql.preview import Compared
from daemon.explain.key_history import TO_COME, Outcome, Told
from daemon.explain.key_log import Range
from daemon.masking import Mask
from mappers.mapping import Entry

VERSION = 1
SHOWN = Mask()
AGREE, UNTOLD, DIFFER = 0, 3, 4
"""Exit codes: they agree or will; it cannot be told yet; they do not agree."""


@dataclass(frozen=True, slots=True)
class SourceSide:
    """The source's row at a snapshot, its columns in text form; row None where there is none."""

    row: Mapping[str, str | None] | None = None
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class EntrySide:
    """One entry: what the mapping makes of the source's row beside each target row of the key."""

    entry: Entry
    compared: Sequence[Compared]

    @property
    def agrees(self) -> bool:
        """Whether the target has what the mapping makes."""
        return all(one.agrees for one in self.compared)


@dataclass(frozen=True, slots=True)
class ChunkSide:
    """The chunk that the key belongs to, of how many, and when it was claimed and done."""

    row: ChunkRow
    chunks: int
    claimed_at: datetime | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventSide:
    """The key's events, the oldest first, and where they were looked for. error: why they were not."""

    told: Sequence[Told] = ()
    ranges: Sequence[Range] = ()
    partitions: int = 0
    by_hash: bool = False
    unreadable: int = 0
    error: str = ""

    @property
    def to_come(self) -> list[Told]:
        """The events that may still change the target."""
        return [one for one in self.told if one.outcome in TO_COME]

    @property
    def complete(self) -> bool:
        """Whether every event that is still to come is known."""
        return not self.error and not self.unreadable and all(part.complete for part in self.ranges)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known about one key. source_error: why the source was not read; then nothing is compared.

    delivered: whether the connector has delivered everything up to the reading of the source; None: not asked.
    """

    pipeline: str
    table: str
    key_columns: tuple[str, ...]
    key: tuple[str, ...]
    source: SourceSide | None
    entries: Sequence[EntrySide]
    chunk: ChunkSide | None
    fence: str = ""
    dead_letters: Sequence[Letter] = ()
    findings: Sequence[FindingFact] = ()
    paused: bool = False
    events: EventSide = field(default_factory=EventSide)
    source_error: str = ""
    delivered: bool | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether both sides agree; None where one of them is not known."""
        return None if self.source is None else all(side.agrees for side in self.entries)


def verdict(it: Explanation, mask: Mask = SHOWN) -> tuple[int, str]:
    """(exit code, one sentence)."""
    if it.agrees is None:
        return UNTOLD, f"Whether both sides agree cannot be told: {it.source_error}"
    if it.agrees:
        return AGREE, _agreement(it)
    differ = _difference(it)
    if it.chunk is None:
        return AGREE, f"{differ}: the pipeline has not started with this table."
    if it.chunk.row.state is not ChunkState.DONE:
        return AGREE, f"{differ}: chunk {it.chunk.row.number}, which will bring it, is {it.chunk.row.state}."
    return _unexplained(it, differ, mask)


def _unexplained(it: Explanation, differ: str, mask: Mask) -> tuple[int, str]:
    """The chunk is loaded, and yet they differ."""
    if it.events.to_come:
        one = it.events.to_come[0]
        place = f"{one.seen.topic}[{one.seen.partition}] offset {one.seen.change.offset}"
        paused = "; the table is paused" if it.paused else ""
        return AGREE, f"{differ}: {_events(len(it.events.to_come))} not applied yet, from {place} on{paused}."
    if it.events.error:
        return UNTOLD, f"{differ}; whether an event that is to come explains it cannot be told: {it.events.error}"
    if not it.events.complete:
        return UNTOLD, f"{differ}; not every event that is to come was looked at: say a larger --scan."
    if it.delivered is False:
        return UNTOLD, f"{differ}; the connector has not delivered every change that the source has: look again later."
    held = next((letter for letter in it.dead_letters if letter.state == "open"), None)
    if held is not None:
        mend = f"`changeover dlq retry {held.id}` once its cause is mended"
        return DIFFER, f"{differ}: dead letter {held.id} holds the row back ({held.error}); {mend}."
    command = f"changeover resync --table {it.table} --key {_option(mask.key(it.key_columns, it.key))}"
    return DIFFER, f"{differ}, and no event that is to come explains it: `{command}` makes the target right."


def _option(key: Sequence[str]) -> str:
    """A key as the option --key takes it: one value as it is, several as a JSON list."""
    plain = len(key) == 1 and not key[0].lstrip().startswith("[")
    return quote(key[0] if plain else name_of(key))


def _agreement(it: Explanation) -> str:
    assert it.source is not None
    coming = f" {_events(len(it.events.to_come))} still to come." if it.events.to_come else ""
    if it.source.row is not None and any(one.expected is not None for side in it.entries for one in side.compared):
        return f"They agree: the target has what the mapping makes of the source row.{coming}"
    if it.source.row is not None:
        return f"They agree: the mapping leaves the source row out, and the target has no row of it.{coming}"
    gone = next((one for one in reversed(it.events.told) if one.outcome not in TO_COME), None)
    if gone is not None and gone.seen.change.op == "d":
        return f"They agree: the row was deleted (offset {gone.seen.change.offset}), and the target has none.{coming}"
    return f"They agree: neither side has a row of this key.{coming}"


def _difference(it: Explanation) -> str:
    parts = []
    for side in it.entries:
        target = side.entry.target.full_name
        for one in side.compared:
            if one.agrees:
                continue
            if one.found is None:
                parts.append(f"{target} lacks the row")
            elif one.expected is None:
                parts.append(f"{target} has a row that it should not have")
            else:
                parts.append(f"{target} differs in {', '.join(one.differing)}")
    return "They do not agree: " + "; ".join(parts)


def _events(count: int) -> str:
    return "one event of the key is" if count == 1 else f"{count} events of the key are"


# -- as plain data -----------------------------------------------------------------------------------------------------


def document(it: Explanation, mask: Mask, events: int) -> dict[str, Any]:
    """The explanation for --output json. events: how many of the last ones to show."""
    code, sentence = verdict(it, mask)
    return {
        "version": VERSION,
        "pipeline": it.pipeline,
        "table": it.table,
        "key": mask.key(it.key_columns, it.key),
        "source": _source(it, mask),
        "targets": [_entry(side, mask) for side in it.entries],
        "chunk": _chunk(it.chunk),
        "fence": it.fence or None,
        "dead_letters": [_letter(letter) for letter in it.dead_letters],
        "findings": [asdict(finding) for finding in it.findings],
        "paused": it.paused,
        "events": _event_side(it.events, events),
        "delivered": it.delivered,
        "agrees": it.agrees,
        "exit_code": code,
        "verdict": sentence,
    }


def _source(it: Explanation, mask: Mask) -> dict[str, Any]:
    if it.source is None:
        return {"error": it.source_error}
    row = mask.source(it.source.row) if it.source.row is not None else None
    return {"row": row, "snapshot": it.source.snapshot}


def _entry(side: EntrySide, mask: Mask) -> dict[str, Any]:
    return {
        "entry": side.entry.name,
        "agrees": side.agrees,
        "rows": [
            {
                "mapping_makes": mask.target(side.entry, one.expected) if one.expected is not None else None,
                "target_has": mask.target(side.entry, one.found) if one.found is not None else None,
                "differing": list(one.differing),
            }
            for one in side.compared
        ],
    }


def _letter(letter: Letter) -> dict[str, Any]:
    """A dead letter without the row that it keeps: that is `dlq show`'s."""
    return {name: value for name, value in asdict(letter).items() if name not in ("event", "table_name", "key")}


def _chunk(side: ChunkSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    row = side.row
    return {
        "number": row.number,
        "chunks": side.chunks,
        "lower": row.lower,
        "upper": row.upper,
        "state": str(row.state),
        "snapshot": str(row.snapshot) if row.snapshot else None,
        "attempt": row.attempt,
        "rows": row.rows,
        "claimed_at": _time(side.claimed_at),
        "done_at": _time(side.done_at),
    }


def _event_side(side: EventSide, last: int) -> dict[str, Any]:
    return {
        "found": len(side.told),
        "to_come": len(side.to_come),
        "complete": side.complete,
        "unreadable": side.unreadable,
        "partitions": side.partitions,
        "by_hash": side.by_hash,
        "looked_at": [asdict(part) for part in side.ranges],
        "error": side.error or None,
        "last": [_event(one) for one in side.told[max(0, len(side.told) - last) :]],
    }


def _event(one: Told) -> dict[str, Any]:
    change, together = one.seen.change, one.together
    return {
        "topic": one.seen.topic,
        "partition": one.seen.partition,
        "offset": change.offset,
        "op": change.op,
        "source_time": _time(datetime.fromtimestamp(change.commit_us / 1e6, UTC)),
        "xid": change.xid,
        "sequence": change.sequence,
        "outcome": str(one.outcome),
        "detail": one.detail,
        "transaction": together and {"start": together.start, "end": together.end, "at": _time(together.committed_at)},
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


__all__ = ["ChunkSide", "EntrySide", "EventSide", "Explanation", "Outcome", "SourceSide", "document", "verdict"]
