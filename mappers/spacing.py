"""How the parts of rendered SQL are put beside each other, so that it reads like SQL and no two signs become one."""

from __future__ import annotations

from collections.abc import Sequence

_NO_SPACE_BEFORE = frozenset((")", "]", ",", ".", "::"))
_NO_SPACE_AFTER = frozenset(("(", "[", ".", "::", ""))


def tidy(parts: Sequence[str]) -> str:
    """The parts with a space between them, save around brackets, commas and casts. Signs never touch."""
    out: list[str] = []
    last, before = "", ""
    for part in parts:
        call = part in ("(", "[") and _callable(last, before, part)
        if part not in _NO_SPACE_BEFORE and last not in _NO_SPACE_AFTER and not call:
            out.append(" ")
        out.append(part)
        last, before = part, last
    return "".join(out)


def _callable(last: str, before: str, bracket: str) -> bool:
    if bracket == "[":
        return last == "ARRAY" or last[-1:] in ('"', ")", "]")
    return before != "::" and last[:1].islower() and not last.startswith("s.") and last.isidentifier()
