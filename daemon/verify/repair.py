"""Repair: source rows of differing keys are read again under a fence and merged (`daemon.resync`), then verified."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from connectors.postgresql.compare import EVERYTHING
from connectors.postgresql.sides import Shape
from daemon.resync import Resyncer
from daemon.verify.confirm import Confirmer
from daemon.verify.suspects import Difference
from mappers.errors import ConflictError

log = logging.getLogger(__name__)
ROUNDS = 3
KEYS_A_TRANSACTION = 500


class Repairer:
    """Mends differences through the resyncer, and nothing else. One thread only."""

    def __init__(self, resyncer: Resyncer) -> None:
        self._resyncer = resyncer

    def repair(self, confirmer: Confirmer, shape: Shape, differences: Sequence[Difference]) -> Sequence[Difference]:
        """Mend these; returns those that are left after three rounds.

        An extra row whose source row is gone goes too. One that does not say which source row it is of cannot be
        mended so: it is left.
        """
        left = list(differences)
        for _ in range(ROUNDS):
            keys = [d.suspect.source_key for d in left if d.suspect.source_key is not None]
            if not keys:
                break
            for start in range(0, len(keys), KEYS_A_TRANSACTION):
                self._read_again(shape, [tuple(map(str, key)) for key in keys[start : start + KEYS_A_TRANSACTION]])
            log.info("rows read again from the source", extra={"table": shape.entry.name, "rows": len(keys)})
            again = confirmer.confirm(shape, [difference.suspect for difference in left], lambda: [EVERYTHING])
            unsettled = set(again.unsettled)
            left = again.differences + [d for d in left if d.suspect in unsettled]
            if not left:
                break
        return left

    def _read_again(self, shape: Shape, keys: Sequence[tuple[str, ...]]) -> None:
        """Rows of other keys make room where they still hold a unique value that one of these needs."""
        try:
            self._resyncer.resync(shape.mapped, keys)
        except ConflictError:
            self._resyncer.resync(shape.mapped, keys, exchange=True)
