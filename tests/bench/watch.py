"""When rows arrive at the target: seen by looking, not by asking the product."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.databases import open_url

_GAP_MAX = 10_000
"""How long an id is waited for while higher ones arrive: rows come out of order, and a rollback leaves a gap."""


class Watch(threading.Thread):
    """Looks every so often which ids are new in a table. seen: id -> the moment after the look that found it."""

    def __init__(self, url: str, table: str, column: str, every_s: float) -> None:
        super().__init__(name="watch", daemon=True)
        self.seen: dict[int, float] = {}
        self._url = url
        self._query = f"SELECT {column} FROM {table} WHERE {column} > %s".encode()
        self._every_s = every_s
        self._stopping = threading.Event()

    def run(self) -> None:
        """The thread's body."""
        low = highest = 0
        with open_url(self._url) as connection:
            while not self._stopping.wait(self._every_s):
                ids = [row[0] for row in connection.execute(self._query, (low,))]
                now = time.time()
                for number in ids:
                    self.seen.setdefault(number, now)
                highest = max([highest, *ids])
                low = max(low, highest - _GAP_MAX)
                while low + 1 in self.seen:
                    low += 1

    def stop(self) -> None:
        """End after the look in hand."""
        self._stopping.set()
        self.join()


@contextmanager
def watching(url: str, table: str, column: str, every_s: float) -> Iterator[Watch]:
    """A watch for the length of a block."""
    watch = Watch(url, table, column, every_s)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
