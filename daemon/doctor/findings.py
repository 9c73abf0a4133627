"""What a check says: a line with a level, what was seen, and what mends it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from daemon.doctor.case import Case


class Level(StrEnum):
    """How bad it is. fail: the pipeline cannot start, stops, or loses data. warn: it is slow, or a risk."""

    OK = "ok"
    SKIPPED = "skipped"
    WARN = "warn"
    FAIL = "fail"


ORDER = tuple(Level)


class How(StrEnum):
    """What kind of text the mend is, and so where it is put in."""

    NONE = ""
    SOURCE = "source"
    """SQL for the source, by a privileged user."""
    TARGET = "target"
    """SQL for the target, by a privileged user."""
    SHELL = "shell"
    """A command."""
    FILE = "file"
    """A change of the configuration file."""
    SETTING = "setting"
    """A setting of a server or a Connect worker, which a person makes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be, or (ok) something to say.

    about: the table, topic or setting, where a check looks at several.
    """

    level: Level
    seen: str
    mend: str
    how: How
    about: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A check that could not be done."""

    why: str


Verdict = str | Skipped | Sequence[Fault]
"""What was seen where all is well; why it was not looked at; or what is wrong (an empty list: all is well)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. (area, name, about) tells it from all others."""

    area: str
    name: str
    level: Level
    seen: str
    mend: str = ""
    how: How = How.NONE
    about: str = ""


@dataclass(frozen=True)
class Check:
    """One check of an area. says: what holds when it is ok. needs: what must have been reached for it."""

    name: str
    says: str
    judge: Callable[[Case], Verdict]
    needs: tuple[str, ...] = ()


def fail(seen: str, mend: str, how: How, about: str = "") -> Fault:
    """A fault with which the pipeline cannot start, stops, or loses data."""
    return Fault(Level.FAIL, seen, mend, how, about)


def warn(seen: str, mend: str, how: How, about: str = "") -> Fault:
    """A fault that is a risk, or makes it slow."""
    return Fault(Level.WARN, seen, mend, how, about)


def note(seen: str, about: str) -> Fault:
    """Nothing is wrong with it; it is said."""
    return Fault(Level.OK, seen, "", How.NONE, about)


def judged(area: str, checks: Iterable[Check], case: Case) -> Iterator[Finding]:
    """What the checks of an area say. One that lacks what it needs is skipped; one that breaks is a finding too."""
    for check in checks:
        reason = next((case.missing[side] for side in check.needs if side in case.missing), "")
        yield from _findings(area, check, Skipped(reason) if reason else _verdict(check, case))


def _verdict(check: Check, case: Case) -> Verdict:
    try:
        return check.judge(case)
    except Exception as error:
        return [fail(f"the check itself broke: {type(error).__name__}: {error}", "report this as a bug", How.SETTING)]


def _findings(area: str, check: Check, verdict: Verdict) -> Iterator[Finding]:
    if isinstance(verdict, str):
        yield Finding(area, check.name, Level.OK, verdict)
    elif isinstance(verdict, Skipped):
        yield Finding(area, check.name, Level.SKIPPED, verdict.why)
    elif not verdict:
        yield Finding(area, check.name, Level.OK, check.says)
    else:
        for fault in verdict:
            yield Finding(area, check.name, fault.level, fault.seen, fault.mend, fault.how, fault.about)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level; ok where there is no finding, or only skipped ones."""
    found = max((ORDER.index(finding.level) for finding in findings), default=0)
    return ORDER[found] if ORDER[found] is not Level.SKIPPED else Level.OK
