"""32-bit floats as the 64-bit ones of the same shortest decimal, which is how databases and JSON write them. Pure."""

from __future__ import annotations

import math
import struct

NORMAL = 2.0**-126
"""Below this a 32-bit float has fewer digits than others."""


def shortest(value: float) -> float:
    """The float whose text is the shortest that reads back as the same number of 32 bits."""
    wanted = narrowed(value)
    if wanted is None or math.isnan(value) or math.isinf(value):
        return value
    for digits in range(1 if abs(wanted) < NORMAL else 6, 9):
        short = float(f"{wanted:.{digits}g}")
        if narrowed(short) == wanted:
            return short
    return float(f"{wanted:.9g}")


def narrowed(value: float) -> float | None:
    """The value in 32 bits; None where it is too large for them."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return None
