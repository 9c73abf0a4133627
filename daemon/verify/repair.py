"""Repair: source rows of differing keys are read again under a fence and merged (`daemon.resync`), then verified."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from connectors.seams import TextRow
from connectors.sql.sides import Reader, Shape
from daemon.resync.keys import Resyncer
from daemon.verify.confirm import Confirmer, Ranges
from daemon.verify.suspects import Difference, Kind
from mappers.errors import RecordError

log = logging.getLogger(__name__)
ROUNDS = 3
KEYS_A_TRANSACTION = 500


class Repairer:
    """Mends differences through the resyncer, and nothing else. One thread only."""

    def __init__(self, resyncer: Resyncer, reader: Reader) -> None:
        self._resyncer = resyncer
        self._reader = reader

    def close(self) -> None:
        """Close the connections."""
        self._resyncer.close()
        self._reader.close()

    def repair(
        self, confirmer: Confirmer, shape: Shape, differences: Sequence[Difference], source: Ranges
    ) -> Sequence[Difference]:
        """Mend these; returns those that are left after three rounds.

        An extra row goes with the re-reading of the source row that it says it is of, or else by its own key.
        """
        left = list(differences)
        for _ in range(ROUNDS):
            for start in range(0, len(left), KEYS_A_TRANSACTION):
                self._mend(shape, left[start : start + KEYS_A_TRANSACTION], source)
            log.info("rows read again from the source", extra={"table": shape.entry.name, "rows": len(left)})
            again = confirmer.confirm(shape, [difference.suspect for difference in left], source)
            unsettled = set(again.unsettled)
            left = again.differences + [d for d in left if d.suspect in unsettled]
            if not left:
                break
        return left

    def _mend(self, shape: Shape, differences: Sequence[Difference], source: Ranges) -> None:
        keys = [d.suspect.source_key for d in differences if d.suspect.source_key is not None]
        if keys:
            self._read_again(shape, [tuple(map(str, key)) for key in keys])
        extra = [d.suspect.target_key for d in differences if d.kind is Kind.EXTRA]
        there = self._reader.target_rows(shape, extra)
        self._remove(shape, [key for key in extra if key in there], source)

    def _read_again(self, shape: Shape, keys: Sequence[tuple[str, ...]]) -> None:
        """Together; where the target refuses one of the rows, each by itself. A refused one is left as it is."""
        try:
            self._resyncer.mend(shape.mapped, keys)
        except RecordError as error:
            if len(keys) == 1:
                log.warning("a row cannot be repaired: %s", error)
                return
            for key in keys:
                self._read_again(shape, [key])

    def _remove(self, shape: Shape, keys: Sequence[TextRow], source: Ranges) -> None:
        if keys:
            self._resyncer.remove(
                shape.mapped, shape.entry, keys, lambda: self._reader.origins(shape, source(), keys).keys()
            )
