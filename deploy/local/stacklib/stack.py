"""A stack on disk: its directory, what it remembers, and where its parts keep their files."""

import hashlib
import json
import os
import pwd
import secrets
import shutil
import tempfile
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stacklib.errors import StackError, UsageError
from stacklib.ports import free_port
from stacklib.processes import Launcher

_MARKER = ".changeover-stack"
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass
class State:
    """What a stack remembers from its first start to its end; kept in the marker file."""

    parts: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    cluster_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    exactly_once: bool = True
    debezium: str = ""
    """An older release in the place of the pinned one."""


class Stack:
    """A directory with everything that one stack writes."""

    def __init__(self, directory: Path, state: State) -> None:
        """Wrap a directory; use open_stack or create_stack."""
        self.dir = directory
        self.state = state
        self.launcher = Launcher(directory)

    def save(self) -> None:
        """Write the state to the marker file."""
        _write_private(self.dir / _MARKER, json.dumps(asdict(self.state), indent=1) + "\n")

    def log(self, part: str) -> Path:
        """Return the path of a part's log."""
        return self.dir / "logs" / f"{part}.log"

    def home(self, part: str) -> Path:
        """Return the directory of a part that runs as the user of the stack."""
        path = self.dir / part
        path.mkdir(exist_ok=True)
        return path

    def port(self, name: str) -> int:
        """Return the port remembered under a name."""
        return self.state.ports[name]

    def reserve(self, parts: list[str], ports: list[str], passwords: list[str]) -> None:
        """Remember parts, and choose the ports and passwords that are not chosen yet."""
        state = self.state
        state.parts = list(dict.fromkeys([*state.parts, *parts]))
        for name in ports:
            if name not in state.ports:
                state.ports[name] = free_port(set(state.ports.values()))
        for name in passwords:
            state.passwords.setdefault(name, secrets.token_hex(12))
        self.save()

    def write_env(self, lines: dict[str, str]) -> str:
        """Write the file of settings for the user of the stack; return its text."""
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        _write_private(self.dir / "env", text)
        return text

    def remove(self) -> None:
        """Remove everything the stack wrote."""
        remove_staging(self.dir)
        shutil.rmtree(self.dir)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, complete or not at all."""
    partial = path.with_name(path.name + ".new")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    partial.rename(path)


def open_stack(directory: Path) -> Stack | None:
    """Return the stack in a directory; None when there is none yet (it is missing or empty)."""
    try:
        state = State(**json.loads((directory / _MARKER).read_text()))
    except FileNotFoundError:
        if directory.exists() and set(os.listdir(directory)) - {_MARKER + ".new"}:
            raise UsageError(f"{directory} is not empty and not a stack's directory") from None
        return None
    return Stack(directory, state)


def create_stack(directory: Path) -> Stack:
    """Make a stack in an empty directory; what an earlier one staged for the same directory is removed."""
    remove_staging(directory)
    stack = Stack(directory, State())
    stack.save()
    (directory / "logs").mkdir()
    return stack


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom databases run as: nobody in particular, unless we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _UNPRIVILEGED:
        if name in users:
            return users[name]
    raise StackError(f"as root, a user to run PostgreSQL as is needed: one of {', '.join(_UNPRIVILEGED)}")


def staging_dir(directory: Path) -> Path:
    """Return where root keeps the files of unprivileged processes, who may not reach the stack's own."""
    base = Path("/var/tmp") if os.access("/var/tmp", os.W_OK) else Path(tempfile.gettempdir())
    return base / f"changeover-stack-{hashlib.sha256(str(directory).encode()).hexdigest()[:16]}"


def make_staging(directory: Path) -> Path:
    """Make the staging directory; others may pass through it but not list it."""
    path = staging_dir(directory)
    path.mkdir(mode=0o711, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        raise StackError(f"{path} exists and is not ours")
    path.chmod(0o711)
    return path


def remove_staging(directory: Path) -> None:
    """Remove the staging directory, if there is one of ours."""
    path = staging_dir(directory)
    if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid():
        shutil.rmtree(path)
