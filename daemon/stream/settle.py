"""Settling dead letters: the row is read from the source again, whatever event was set aside.

Later events of the key were parked behind the letter, so that the stored event may be older than the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from connectors.control.dead_letters import SKIPPED, Letter
from connectors.control.store import ControlStore
from connectors.seams import Target
from connectors.tables import MappedTable
from daemon.resync.keys import Resyncer
from mappers.errors import FatalError, RecordError


class Settler:
    """Retries and skips letters, in transactions of its own, beside whatever runs."""

    def __init__(
        self, tables: Mapping[str, MappedTable], target: Target, control: ControlStore, resyncer: Resyncer
    ) -> None:
        self._tables = tables
        self._target = target
        self._control = control
        self._resyncer = resyncer

    def retry(self, letter: Letter, who: str, note: str) -> str:
        """Read the row again and write it; "" when the letter is settled, else why the target refuses it still."""
        try:
            self._read_again(letter)
        except RecordError as error:
            with self._target.begin() as transaction:
                self._control.dead_letters.failed_again(transaction.control, letter.id, error.what)
            return str(error)
        with self._target.begin() as transaction:
            self._control.dead_letters.annotate(transaction.control, letter.id, who, note)
        return ""

    def skip(self, letter: Letter, who: str, note: str) -> bool:
        """Settle it for good: True where the row could be written after all, False where the target is left as it is.

        Either way the key's next event is applied again like any other.
        """
        if letter.table_name in self._tables and not self.retry(letter, who, note):
            return True
        with self._target.begin() as transaction:
            self._control.positions.lock_table(transaction.control, letter.table_name)
            self._control.tables.versions(transaction.control)
            keys = [letter.key]
            self._control.dead_letters.close(transaction.control, letter.table_name, keys, SKIPPED, who=who, note=note)
        return False

    def _read_again(self, letter: Letter) -> None:
        mapped = self._tables.get(letter.table_name)
        if mapped is None:
            raise FatalError(
                f"the table {letter.table_name} is not in the mapping any more",
                where=f"dead letter {letter.id}",
                hint="put it back, or settle the letter with `dlq skip`",
            )
        self._resyncer.resync(mapped, [json.loads(letter.key)], exchange=True)
