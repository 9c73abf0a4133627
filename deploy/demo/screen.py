"""What the demo prints: plain lines for a log file; on a terminal, progress that overwrites itself, and colours."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence

QUIET_S = 5.0
"""Off a terminal a line of progress is printed this often at most."""
_COLOURS = {"green": "32", "red": "31", "bold": "1", "dim": "2"}


class Screen:
    """Standard output, with the seconds since the start in front of every line."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._coloured = self._terminal and not os.environ.get("NO_COLOR")
        self._open_line = False
        self._progress_at = 0.0

    def say(self, text: str, colour: str = "") -> None:
        """Print a line of what happens."""
        self._close_line()
        print(f"{self.painted(self._clock(), 'dim')} {self.painted(text, colour)}", flush=True)

    def plain(self, text: str = "", colour: str = "") -> None:
        """Print a line without the time."""
        self._close_line()
        print(self.painted(text, colour), flush=True)

    def progress(self, text: str) -> None:
        """Show how far something is."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{f'{self._clock()} {text}'[:width]}", end="", flush=True)
            self._open_line = True
        elif time.monotonic() - self._progress_at >= QUIET_S:
            self._progress_at = time.monotonic()
            self.say(text)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column to the left, the others to the right."""
        widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
        for number, row in enumerate((head, *rows)):
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            self.plain("  ".join(cells), "bold" if number == 0 else "")

    def painted(self, text: str, colour: str) -> str:
        """The text in a colour, where colours are wanted."""
        code = _COLOURS.get(colour)
        return f"\033[{code}m{text}\033[0m" if code and self._coloured else text

    def _clock(self) -> str:
        return f"{time.monotonic() - self.started:6.1f}"

    def _close_line(self) -> None:
        if self._open_line:
            print("\r\033[K", end="")
            self._open_line = False
