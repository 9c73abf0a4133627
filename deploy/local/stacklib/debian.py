"""Debian packages, fetched and unpacked by an ordinary user."""

import os
import pwd
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from stacklib.cache import Item, call, report, size
from stacklib.errors import StackError


@dataclass(frozen=True)
class DebianPackages(Item):
    """The packages that the lock names, newest version; apt checks the signatures. Nothing is installed."""

    def fill(self, target: Path) -> None:
        """Download with lists and a cache of its own, then unpack."""
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise StackError(f"{self.name} comes from Debian's packages, and there is no apt-get or dpkg here")
        started = time.monotonic()
        apt = target / "apt"
        for folder in ("lists/partial", "cache/archives/partial", "debs"):
            (apt / folder).mkdir(parents=True)
        options = [f"Dir::State::lists={apt}/lists", f"Dir::Cache={apt}/cache", "Debug::NoLocking=1"]
        options.append(f"APT::Sandbox::User={_user()}")
        argv = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
        call([*argv, "update"])
        call([*argv, "download", *self._names()], cwd=apt / "debs")
        for package in sorted((apt / "debs").glob("*.deb")):
            call(["dpkg", "-x", str(package), str(target)])
        shutil.rmtree(apt)
        report(f"{self.name} (Debian packages)", size(target), started)

    def _names(self) -> list[str]:
        """Return the packages."""
        lines = (line.strip() for line in self.lock.read_text().splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def _user() -> str:
    """Return the user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def library_path(root: Path) -> dict[str, str]:
    """Return the variable that makes unpacked programs find the libraries unpacked beside them; nothing without any."""
    found = [str(path) for path in sorted((root / "usr" / "lib").glob("*-linux-gnu*"))]
    return {"LD_LIBRARY_PATH": ":".join(found)} if found else {}
