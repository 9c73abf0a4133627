"""A new configuration for a running daemon: looked for in the file's content, checked as a whole, and taken, or not.

The content is compared, not the file's dates: where a ConfigMap is mounted, a symlink is swapped.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.control.audit import AuditRow
from connectors.tables import MappedTable
from connectors.waiting import Patience
from daemon.config.model import Config, load
from daemon.prepare import Topic
from daemon.wiring import Parts
from mappers.errors import ChangeoverError, ConfigError, FatalError, NotReadyError, Problem, TransientError

log = logging.getLogger(__name__)
RECHECK_LOOKS = 20
"""A refused content is checked again after so many looks: what was missing on either side may be there by then."""
ACTION = "configuration"
TAKEN, REFUSED = "taken", "refused"
FIXED = (
    ("pipeline",),
    ("source", "kind"),
    ("source", "topic_prefix"),
    ("source", "slot"),
    ("source", "publication"),
    ("kafka", "group"),
    ("http", "host"),
    ("http", "port"),
)
"""What a running process cannot change: it would be another pipeline, or the address that others know it by."""


@dataclass(frozen=True)
class Running:
    """What a daemon runs with: the parts of one configuration, what they found on both sides, and the file's digest."""

    parts: Parts
    tables: dict[str, MappedTable]
    topics: dict[str, Topic]
    messages: Topic
    digest: str


def digest_of(path: Path) -> str:
    """Tells one content of the file from another; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def refuse_fixed(old: Config, new: Config) -> None:
    """Raise ConfigError, with the file's lines, where something differs that needs another process. Pure."""
    problems = [
        Problem(path, "cannot change while the daemon runs", "restart it, or put the old value back")
        for path in FIXED
        if _at(old, path) != _at(new, path)
    ]
    if problems:
        raise new.locate(ConfigError(problems))


def same(old: Config, new: Config) -> bool:
    """Whether both say the same, whatever their files look like. Pure."""
    return old.model_dump() == new.model_dump()


def _at(config: Config, path: tuple[str, ...]) -> object:
    found: object = config
    for name in path:
        found = getattr(found, name)
    return found


def check(parts: Parts, digest: str) -> Running:
    """Everything that a start checks, against both sides, without changing anything. Raises ConfigError, FatalError,
    and NotReadyError where the pipeline has not been started.
    """
    tables = parts.tables()
    parts.check_connector(tables)
    topics, messages = parts.topics(tables)
    start = parts.start()
    try:
        start.check(tables, topics, messages)
    except ConfigError as error:
        raise parts.config.locate(error) from None
    finally:
        start.close()
    return Running(parts, tables, topics, messages, digest)


class ConfigWatch(threading.Thread):
    """Looks at the file every `every_s` seconds; `ready` is what to go on with, once a new configuration is good.

    A content is checked when it has stood for two looks, so that a file that is being written is left alone. New
    tables have joined the pipeline by the time that `ready` is set, while the old configuration was still at work.
    environ: where references are filled in from.
    """

    def __init__(self, running: Running, environ: Mapping[str, str], every_s: float = 0.5) -> None:
        super().__init__(name="config", daemon=True)
        self.ready: Running | None = None
        self._running = running
        self._environ = environ
        self._every_s = every_s
        self._path = running.parts.path
        self._taken = self._last = running.digest
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._said = ""
        self._refused = 0

    def look(self) -> None:
        """Look now, and take the file even if its content is the same: what it refers to may not be (SIGHUP)."""
        self._asked.set()

    def stop(self) -> None:
        """End after the check in hand."""
        self._stopping.set()

    def run(self) -> None:
        """The thread's body."""
        while not self._stopping.wait(self._every_s) and self.ready is None:
            try:
                self._look()
            except Exception:
                log.exception("the configuration could not be looked at; the old one goes on")

    def _look(self) -> None:
        digest, before = digest_of(self._path), self._last
        self._last = digest
        asked = self._asked.is_set()
        if not digest or digest != before or not (digest != self._taken or asked or self._due()):
            return
        try:
            found = self._checked(digest, asked)
        except (TransientError, NotReadyError) as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("a new configuration waits, the old one goes on: %s", error)
            self._refused = RECHECK_LOOKS if self._refused else 0
            return
        except ChangeoverError as error:
            self._refuse(digest, error)
            found = None
        else:
            self._said, self._refused = "", 0
        self._asked.clear()
        self._taken = digest
        self.ready = found

    def _due(self) -> bool:
        """Whether a refused content is to be checked again."""
        self._refused -= bool(self._refused)
        return self._refused == 1

    def _checked(self, digest: str, asked: bool) -> Running | None:
        """What the new configuration makes; None where it says the same as the old one."""
        old = self._running.parts
        new = Parts(load(self._path, self._environ), self._path, old.stop)
        refuse_fixed(old.config, new.config)
        if same(old.config, new.config) and not asked:
            note(old, digest, f"{TAKEN}: nothing changed in it")
            return None
        found = check(new, digest)
        start = new.start()
        try:
            start.run(found.tables, found.topics, found.messages)
        except ConfigError as error:
            raise new.config.locate(error) from None
        finally:
            start.close()
        return found

    def _refuse(self, digest: str, error: ChangeoverError) -> None:
        self._refused = RECHECK_LOOKS
        if self._said == f"{digest} {error}":
            return
        self._said = f"{digest} {error}"
        for line in str(error).splitlines():
            log.error("new configuration refused: %s", line)
        log.error("the old configuration goes on")
        problems = len(error.problems) if isinstance(error, ConfigError) else 1
        note(self._running.parts, digest, f"{REFUSED}: {problems} problems, see the log")


def difference(old: Mapping[str, MappedTable], new: Mapping[str, MappedTable]) -> str:
    """Which tables come and go, for the log. Pure."""
    said = [f"+{name}" for name in sorted(new.keys() - old.keys())]
    said += [f"-{name}" for name in sorted(old.keys() - new.keys())]
    return " ".join(said) or "same tables"


def note(parts: Parts, digest: str, what: str) -> None:
    """Tell the audit what became of a content; only a help for `reload-config`, so that a failure is no failure."""
    try:
        with parts.target.begin() as transaction:
            parts.control.audit.add(transaction.control, "daemon", ACTION, f"{digest} {what}")
    except ChangeoverError as error:
        log.warning("the audit could not be written: %s", error)


def outcome(newest: AuditRow | None, digest: str, since: int) -> str | None:
    """What the newest line of the audit says about a content; None while there is nothing to say. Pure.

    Raises FatalError where it was refused in a line whose id is above `since`: an older refusal may be mended.
    """
    if newest is None or not newest.detail.startswith(f"{digest} "):
        return None
    said = newest.detail.partition(" ")[2]
    if said.startswith(REFUSED):
        if newest.id <= since:
            return None
        raise FatalError(f"the daemon refused it at {newest.at:%H:%M:%S}", hint="its log says why")
    return f"{said}, at {newest.at:%Y-%m-%d %H:%M:%S%z}"


def await_taken(parts: Parts, digest: str, limit_s: float) -> str:
    """Wait until a daemon says what became of this content. Raises NotReadyError where none does, FatalError."""
    found: list[str] = []

    def newest() -> AuditRow | None:
        with parts.target.begin(reading=True) as transaction:
            return parts.control.audit.newest(transaction.control, ACTION)

    first = newest()
    since = first.id if first else 0

    def waiting() -> str:
        said = outcome(newest(), digest, since)
        found.extend([said] if said else [])
        return "" if said else "no daemon has taken it up yet"

    patience = Patience(limit_s, clock=time.monotonic, sleep=parts.stop.wait, stop=parts.stop.is_set)
    patience.until(waiting, where=str(parts.path), hint="does one run, with this file?")
    return found[0]
