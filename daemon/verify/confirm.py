"""The second phase: suspects are read again on both sides around barriers, until each is settled or confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from connectors.chunks import Range
from connectors.seams import TextRow
from connectors.sql.sides import Reader, Seen, Shape
from daemon.verify.suspects import Difference, Look, Suspect, Trial, Version

Ranges = Callable[[], Sequence[Range]]
BATCH_BYTES = 8 << 20
BATCH_MAX, BATCH_MIN = 5_000, 20


@dataclass
class Confirmed:
    """What became of suspects. unsettled: keys that kept changing. Those that are neither were equal."""

    differences: list[Difference] = field(default_factory=list)
    unsettled: list[Suspect] = field(default_factory=list)


class Confirmer:
    """Confirms suspects, one thread only. barrier: returns when everything committed before its call is applied."""

    def __init__(self, reader: Reader, barrier: Callable[[], None]) -> None:
        self._reader = reader
        self._barrier = barrier

    def confirm(self, shape: Shape, suspects: Sequence[Suspect], source: Ranges) -> Confirmed:
        """Confirm these. source: ranges of the whole source table, asked for where a source row must be looked for."""
        done = Confirmed()
        for batch in batches(suspects, row_bytes(shape)):
            self._confirm(shape, batch, source, done)
        return done

    def _confirm(self, shape: Shape, suspects: Sequence[Suspect], source: Ranges, done: Confirmed) -> None:
        known = [suspect for suspect in suspects if suspect.source_key is not None]
        found, trials = self._located(shape, [s for s in suspects if s.source_key is None], source)
        known += found
        looks = self._look(shape, known)
        trials += [Trial(suspect, looks[suspect.target_key], shape.equal) for suspect in known]
        while open_ones := [trial for trial in trials if trial.open]:
            self._barrier()
            looks = self._look(shape, [trial.suspect for trial in open_ones])
            for trial in open_ones:
                trial.look(looks[trial.suspect.target_key])
        done.differences += [trial.difference for trial in trials if trial.difference is not None]
        done.unsettled += [trial.suspect for trial in trials if trial.difference is None and not trial.settled]

    def _located(self, shape: Shape, suspects: Sequence[Suspect], source: Ranges) -> tuple[list[Suspect], list[Trial]]:
        """Target rows that do not carry their source key: those whose source row was found, and those that have none.

        The walk over the source comes between a look at the target and the next barrier, as the rule asks.
        """
        if not suspects:
            return [], []
        self._barrier()
        there = self._reader.target_rows(shape, [suspect.target_key for suspect in suspects])
        origins = self._reader.origins(shape, source(), sorted(there, key=str)) if there else {}
        found = [Suspect(key, origin) for key, origin in origins.items()]
        looks = {key: Look(_version(row), None) for key, row in there.items() if key not in origins}
        return found, [Trial(Suspect(key, None), look, shape.equal) for key, look in looks.items()]

    def _look(self, shape: Shape, suspects: Sequence[Suspect]) -> dict[TextRow, Look]:
        """Target key -> both rows, the target's read first."""
        there = self._reader.target_rows(shape, [suspect.target_key for suspect in suspects])
        sources = self._reader.source_rows(shape, [s.source_key for s in suspects if s.source_key is not None])
        return {
            suspect.target_key: Look(
                _version(there.get(suspect.target_key)), _expected(suspect, sources.get(suspect.source_key or (), ()))
            )
            for suspect in suspects
        }


def batches(suspects: Sequence[Suspect], row_bytes: int) -> Iterator[Sequence[Suspect]]:
    """The suspects in batches that stay small in memory, whatever the rows' size. Pure."""
    size = max(BATCH_MIN, min(BATCH_MAX, BATCH_BYTES // max(1, row_bytes)))
    for start in range(0, len(suspects), size):
        yield suspects[start : start + size]


def row_bytes(shape: Shape) -> int:
    """About how large a source row is, as the catalogue has it."""
    table = shape.mapped.table
    return table.bytes_estimate // max(1, table.rows_estimate)


def _version(row: Seen | None) -> Version | None:
    return None if row is None else Version(row.version, row.values)


def _expected(suspect: Suspect, rows: Sequence[Seen]) -> Version | None:
    """The source's row: it stands for this target key only where the mapping makes that of it."""
    if not rows or suspect.source_key is None:
        return None
    mine = [row.values for row in rows if row.key == suspect.target_key]
    return Version(rows[0].version, mine[0] if mine else None)
