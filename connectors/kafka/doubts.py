"""Values that Debezium writes like others: whether one may stand for another one in the source. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.wire import Doubt, Wire, WireColumn


def doubt(column: WireColumn) -> Callable[[Any], bool] | None:
    """Whether a value of the column may stand for another one; None where no value does."""
    return _DOUBTS.get((column.doubt, column.kind))


_DOUBTS: dict[tuple[Doubt, Wire], Callable[[Any], bool]] = {
    **{(Doubt.NULL, kind): lambda value: not value for kind in (Wire.DATE, Wire.TIMESTAMP)},
    **{(Doubt.EPOCH, kind): lambda value: value == 0 for kind in (Wire.DATE, Wire.TIMESTAMP)},
    (Doubt.EPOCH, Wire.TEXT): lambda value: value is not None and value.startswith("1970-01-01T00:00:00"),
    (Doubt.REPLACED, Wire.TEXT): lambda value: value is not None and "\ufffd" in value,
    (Doubt.SHIFTED, Wire.TEXT): lambda value: value is not None and value.startswith("00"),
}
