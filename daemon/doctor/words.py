"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable

LISTED_MAX = 8


def size(count: int) -> str:
    """Bytes: 12 MB."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds: 3 days, 5 h, 12 min, 7 s or 3 ms."""
    for limit, unit, name in ((2 * 86_400, 86_400, "days"), (2 * 3_600, 3_600, "h"), (120, 60, "min")):
        if seconds >= limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def listed(names: Iterable[str]) -> str:
    """Names in one line; of many, the first."""
    known = list(names)
    more = f" and {len(known) - LISTED_MAX} more" if len(known) > LISTED_MAX else ""
    return ", ".join(known[:LISTED_MAX]) + more


def counted(number: int, noun: str) -> str:
    """1 table, 2 tables."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("x") else "s")
