"""A source snapshot's visibility, and the widening of transaction ids. Pure.

Visibility, never an LSN, orders a snapshot against the stream: a commit can be in the log before it is visible.
"""

from __future__ import annotations

from dataclasses import dataclass

XID_SPAN = 1 << 32
XID_HALF = 1 << 31


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one source snapshot sees. Every id below `xmin` has ended; none from `xmax` on; `running` are between."""

    xmin: int
    xmax: int
    running: frozenset[int] = frozenset()

    def sees(self, xid: int) -> bool:
        """Whether the effects of (committed) transaction `xid`, 64 bits wide, are visible in this snapshot."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)

    def covers(self, other: Snapshot) -> bool:
        """Whether this snapshot sees everything that the other one sees."""
        return other.xmax <= self.xmax and not any(other.sees(xid) for xid in self.running)

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.running)))}"

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read pg_snapshot's text form xmin:xmax:xip,xip. Raises ValueError."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, running.split(","))) if running else frozenset())


def widen(xid32: int, reference: int) -> int:
    """The 64-bit transaction id that `xid32` stands for: the value nearest to `reference`, a current 64-bit id.

    What does not fit into 32 bits travelled whole (a place in a binlog) and stands for itself.
    """
    if xid32 >= XID_SPAN:
        return xid32
    wide = (reference & ~(XID_SPAN - 1)) | (xid32 & (XID_SPAN - 1))
    if wide - reference >= XID_HALF:
        return wide - XID_SPAN if wide >= XID_SPAN else wide
    if reference - wide > XID_HALF:
        return wide + XID_SPAN
    return wide
