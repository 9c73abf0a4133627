"""Processes of a stack: starting them, finding them again through /proc, and ending them."""

import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from stacklib.errors import StackError

DIR_MARKER = "CHANGEOVER_STACK_DIR"
PART_MARKER = "CHANGEOVER_STACK_PART"
HELPER = "helper:"


@dataclass(frozen=True)
class Command:
    """What to execute, and as whom (None: as the user of the stack)."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    user: pwd.struct_passwd | None = None
    cwd: Path = Path("/")


@dataclass(frozen=True)
class Process:
    """A running process of a stack; part starts with HELPER for the short-lived ones."""

    pid: int
    part: str
    leader: bool


class Launcher:
    """Starts processes for one stack; once closed it refuses, so that a cleanup is final."""

    def __init__(self, stack_dir: Path) -> None:
        """Make a launcher whose processes carry the mark of stack_dir."""
        self._dir = stack_dir
        self._lock = threading.Lock()
        self._closed = False
        self._children: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """Refuse every later start."""
        with self._lock:
            self._closed = True

    def pids(self) -> list[int]:
        """Return the processes started here that still run."""
        with self._lock:
            return [child.pid for child in self._children if child.poll() is None]

    @property
    def closed(self) -> bool:
        """Whether starting is refused."""
        return self._closed

    def spawn(self, part: str, command: Command, log: Path) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, its output appended to log."""
        with self._lock:
            if self._closed:
                raise StackError("interrupted")
            with log.open("ab") as out:
                child = subprocess.Popen(
                    command.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=environment(self._dir, part, command.env),
                    cwd=command.cwd,
                    start_new_session=True,
                    user=command.user.pw_uid if command.user else None,
                    group=command.user.pw_gid if command.user else None,
                    extra_groups=[] if command.user else None,
                )
            self._children.append(child)
            return child

    def run(self, part: str, command: Command, log: Path) -> None:
        """Run a short-lived command to its end; its failure is an error."""
        child = self.spawn(HELPER + part, command, log)
        if child.wait() != 0:
            raise StackError(f"{Path(command.argv[0]).name} failed ({child.returncode})")


def mark_children(stack_dir: Path) -> None:
    """Let the processes that this one starts by itself, to fetch software, carry the mark of a stack."""
    os.environ[DIR_MARKER] = str(stack_dir)
    os.environ[PART_MARKER] = HELPER


def environment(stack_dir: Path, part: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of a stack: ours without PostgreSQL's settings, plus the marks."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return {**base, **extra, DIR_MARKER: str(stack_dir), PART_MARKER: part}


def running(stack_dir: Path) -> list[Process]:
    """Return the living processes that carry the mark of a stack."""
    mark = f"{DIR_MARKER}={stack_dir}".encode()
    found = []
    for pid in _pids():
        if pid == os.getpid() or (variables := _environ(pid)) is None or mark not in variables:
            continue
        if (stat := _stat(pid)) is not None:
            found.append(Process(pid, _part_of(variables), leader=stat.session == pid))
    return found


def _part_of(variables: list[bytes]) -> str:
    """Return the part named in an environment."""
    prefix = f"{PART_MARKER}=".encode()
    return next((v.removeprefix(prefix).decode() for v in variables if v.startswith(prefix)), "")


@dataclass(frozen=True)
class _Stat:
    """The fields of /proc/PID/stat that are used here."""

    parent: int
    session: int


def _stat(pid: int) -> _Stat | None:
    """Read a process; None when it is gone or only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, parent, _group, session, *_rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else _Stat(int(parent), int(session))


def _pids() -> list[int]:
    """Return the ids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environ(pid: int) -> list[bytes] | None:
    """Read the environment a process was started with; None when it is gone or another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None


def with_descendants(pids: Iterable[int]) -> set[int]:
    """Add the descendants: PostgreSQL's children overwrite the environment that would show their mark."""
    parents = {pid: stat.parent for pid in _pids() if (stat := _stat(pid)) is not None}
    family = set(pids)
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return family


def working_in(directory: Path) -> set[int]:
    """Return the processes whose working directory this is."""
    found = set()
    for pid in _pids():
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/cwd") == str(directory) and alive(pid):
                found.add(pid)
    return found


def alive(pid: int) -> bool:
    """Tell whether a process runs (one that only waits to be reaped does not)."""
    return _stat(pid) is not None


def send(pids: Iterable[int], signum: signal.Signals) -> None:
    """Send a signal to those that still exist."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def wait_gone(pids: Iterable[int], bound_s: float) -> set[int]:
    """Wait until the processes are gone; return those that are not after bound_s."""
    deadline = time.monotonic() + bound_s
    left = {pid for pid in pids if alive(pid)}
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = {pid for pid in left if alive(pid)}
    return left


def end(pids: Iterable[int], signum: signal.Signals, bound_s: float) -> None:
    """End processes and their descendants: first by signum, after bound_s by KILL."""
    asked = set(pids)
    family = with_descendants(asked)
    send(asked, signum)
    if left := wait_gone(family, bound_s):
        send(left, signal.SIGKILL)
        if left := wait_gone(left, 10):
            raise StackError(f"processes {sorted(left)} do not end")
