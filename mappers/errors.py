"""The one error tree. Every error says what is wrong, where, and how to mend it, in one line.

ChangeoverError
├── ConfigError      the configuration or the mapping is wrong: every problem at once (exit 2)
├── NotReadyError    a wait ended before its condition held (exit 3)
├── TransientError   the other side may recover: retried with the reason shown
├── RecordError      one change cannot be decoded or applied: set aside, or the pipeline stops at it
└── FatalError       the pipeline must stop and a person must act
    └── FencedError  another process owns this partition or chunk (exit 5)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ChangeoverError(Exception):
    """Base of all handled errors: `what` went wrong, `where`, and the `hint` that mends it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f"; {self.hint}" if self.hint else ""
        return f"{place}{self.what}{mend}".replace("\n", " ")


EventPlace = tuple[str, int, int]
"""(topic, partition, offset)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in the configuration. `path` leads to the field, e.g. ("tables", 3, "columns", "email")."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


class ConfigError(ChangeoverError):
    """The configuration, or a mapping in it, is wrong; carries every problem found. Exit code 2.

    `lines` are the problems as the user reads them (file:line:column: field: message; hint), filled in by the
    loader that knows the file; without them the paths are shown.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], lines: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.lines = tuple(lines) or tuple(_plain(problem) for problem in problems)
        super().__init__("\n".join(self.lines))

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _plain(problem: Problem) -> str:
    field = ".".join(str(part) for part in problem.path)
    return f"{field}: {problem.message}" + (f"; {problem.hint}" if problem.hint else "")


class NotReadyError(ChangeoverError):
    """A wait reached its limit before its condition held. Exit code 3."""

    exit_code = 3


class TransientError(ChangeoverError):
    """The other side is unreachable or busy and may recover by itself: retried, with the reason in `status`."""


LEAVE_OUT = "how to leave the event out: docs/errors.md"


class RecordError(ChangeoverError):
    """One change cannot be decoded or applied: it is set aside as a dead letter, or the pipeline stops at it.

    reason: decode, type, constraint, too_large or mapping. at: (topic, partition, offset) of the event, once known.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", reason: str = "mapping", at: EventPlace | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.reason = reason
        self.at = at


class ConflictError(RecordError):
    """A row's unique value still belongs to another row of the target table `table`; usual while catching up."""

    def __init__(self, what: str, *, table: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint, reason="constraint")
        self.table = table


class FatalError(ChangeoverError):
    """Going on would lose or invent data: the pipeline stops and a person must act."""


class FencedError(FatalError):
    """Another process owns this partition or chunk: this one rolled back and stops. Exit code 5."""

    exit_code = 5
