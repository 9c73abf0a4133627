"""What became of a source table since its rows were made, and whether its rows at the target are still right. Pure.

An ALTER that rewrites a table changes its rows without an event. So does a partition that comes or goes with what it
holds, and a table that was renamed, or left the publication, was out of the stream for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from connectors.shape import ColumnShape, Part, Shape


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing for which the pipeline must stop. hint: what is to be done first; then the rows are made anew or kept.

    kept: the rows at the target are as the source's, whatever else changed, so that keeping them is right.
    """

    what: str
    hint: str = ""
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Differences:
    """Between two looks at a table. doubts: why rows may have come or gone without events, though nothing has to stop.

    added: columns that are new.
    """

    stops: tuple[Drift, ...] = ()
    doubts: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def differences(was: Shape, now: Shape | None, inputs: Collection[str], named_now: str | None = None) -> Differences:
    """What matters of the differences. inputs: the columns that the mapping reads. now: None where no such table is.

    named_now: where the table of before is under another name, that name.
    """
    if now is None or now.identity != was.identity:
        return Differences((_gone(now, named_now),))
    stops = [*_whole(was, now)]
    for name in sorted(inputs):
        stops += _column(name, was, now)
    return Differences(tuple(stops), tuple(_parts(was, now)), tuple(sorted(now.columns.keys() - was.columns.keys())))


def _gone(now: Shape | None, named_now: str | None) -> Drift:
    if named_now:
        what = f"it was renamed to {named_now}: its changes do not travel under that name"
        return Drift(what, f"rename it back, or map {named_now} instead and run `connector apply`")
    if now is None:
        return Drift("it was dropped", "take it out of the mapping, or create it and run `connector apply`")
    return Drift("it was dropped and created again: it is another table, and not in the stream", APPLY)


APPLY = "run `connector apply`"


def _whole(was: Shape, now: Shape) -> list[Drift]:
    found = []
    if now.named != was.named and now.owner == was.owner:
        found.append(Drift("it was renamed, and renamed back: what was changed in between did not travel"))
    if now.published != was.published:
        left = "it left the publication" + (" and came back" if now.published else "")
        found.append(Drift(f"{left}: what was changed meanwhile did not travel", "" if now.published else APPLY))
    if now.key != was.key:
        said = f"its primary key was ({', '.join(was.key)}) and is ({', '.join(now.key)})"
        found.append(Drift(f"{said}: the order of its events hangs on the key"))
    return found


def _column(name: str, was: Shape, now: Shape) -> list[Drift]:
    before, after = was.columns.get(name), now.columns.get(name)
    if before is None:
        return []  # mapped since: the mapping itself has changed
    if after is None:
        return [_lost_column(name, before, now)]
    if after.number != before.number:
        what = f"column {name} is not the one that it was: dropped and added again, or renamed in another's place"
        return [Drift(what)]
    if (renamed := _renamed_labels(before.labels, after.labels)) is not None:
        return [Drift(f"column {name}: the enum label {renamed[0]} was renamed to {renamed[1]}")]
    rewritten = any(part.file != old.file for old, part in _both(was, now))
    if after.type != before.type:
        how = "and its rows were rewritten" if rewritten else "no row was rewritten"
        return [Drift(f"column {name} was {before.type} and is {after.type}, {how}", kept=not rewritten)]
    if after.written != before.written and rewritten:
        return [Drift(f"column {name} was altered and its rows rewritten, as by ALTER COLUMN .. TYPE .. USING")]
    return []


def _lost_column(name: str, before: ColumnShape, now: Shape) -> Drift:
    renamed = next((other for other, column in now.columns.items() if column.number == before.number), None)
    if renamed:
        return Drift(f"column {name} was renamed to {renamed}", f"read {renamed} in the mapping instead", kept=True)
    return Drift(f"column {name} was dropped, and the mapping reads it", "take it out of the mapping", kept=True)


def _renamed_labels(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, str] | None:
    return next(((old, after[i]) for i, old in before.items() if after.get(i, old) != old), None)


def _both(was: Shape, now: Shape) -> list[tuple[Part, Part]]:
    return [(part, now.parts[number]) for number, part in was.parts.items() if number in now.parts]


def _parts(was: Shape, now: Shape) -> list[str]:
    """A plain table's storage is its own: it is emptied with an event. A partition's emptying does not travel."""
    if now.replaceable:
        known = was.parts and now.parts
        same = {name: part.file for name, part in was.parts.items()} == {n: p.file for n, p in now.parts.items()}
        return [] if same or not known else ["its storage is another: rewritten, emptied, or dropped and created again"]
    if not now.partitioned:
        return []
    new = [part for number, part in now.parts.items() if number not in was.parts]
    gone = [part for number, part in was.parts.items() if number not in now.parts]
    files = [part for before, part in _both(was, now) if part.file != before.file]
    return [
        *(f"partition {part.name} was attached with rows" for part in new if not part.quiet),
        *(f"partition {part.name} was dropped or detached" for part in gone),
        *(f"partition {part.name} was truncated by itself, or rewritten" for part in files),
    ]
