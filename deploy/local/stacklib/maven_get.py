"""Downloads exactly the files of a lock with jgo, checking each sha256. Run as a program, with jgo importable.

The repository is jgo's own default, or the mirror that Maven's user settings name for it.
"""

import hashlib
import importlib
import json
import os
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PARALLEL = 6
_ATTEMPTS = 4
_TIMEOUT_S = 60
_print_lock = threading.Lock()


@dataclass(frozen=True)
class Pin:
    """A line of a lock."""

    sha256: str
    coordinate: str

    def artifact(self, context: Any) -> Any:
        """Return jgo's view of the file."""
        group, name, version, *rest = self.coordinate.split(":")
        classifier = rest[0] if rest else ""
        packaging = rest[1] if len(rest) > 1 else "jar"
        return context.project(group, name).at_version(version).artifact(classifier, packaging)


def read_lock(path: Path) -> list[Pin]:
    """Return the pins of a lock."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [Pin(*line.split()) for line in lines if line and not line.startswith("#")]


def mirrors() -> dict[str, str] | None:
    """Return the mirror of the central repository in Maven's user settings, as jgo wants it; None without."""
    settings = Path.home() / ".m2" / "settings.xml"
    if not settings.is_file():
        return None
    for mirror in ET.parse(settings).iterfind(".//{*}mirrors/{*}mirror"):
        of = {name.strip() for name in (mirror.findtext("{*}mirrorOf") or "").split(",")}
        url = (mirror.findtext("{*}url") or "").strip()
        if url and of & {"*", "central", "external:*"} and "!central" not in of:
            return {"central": url.rstrip("/")}
    return None


def download(context: Any, pin: Pin, target: Path) -> int:
    """Download one file, check it and move it into place; return its size."""
    artifact = pin.artifact(context)
    path: Path = artifact.resolve()
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != pin.sha256:
        path.unlink()
        raise ValueError(f"{pin.coordinate} has not the sha256 of the lock")
    path.rename(target / path.name)
    return len(content)


def get(context: Any, pin: Pin, target: Path) -> None:
    """Download one file, trying again after a failure, and report it."""
    started = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            size = download(context, pin, target)
            break
        except Exception as error:
            pin.artifact(context).cached_path.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise RuntimeError(f"{pin.coordinate}: {error}") from error
            time.sleep(attempt)
    report = {"name": pin.coordinate, "bytes": size, "seconds": time.monotonic() - started}
    with _print_lock:
        print(json.dumps(report), flush=True)


def main() -> int:
    """Download the files of the lock argv[1] into the directory argv[2]."""
    pins, target = read_lock(Path(sys.argv[1])), Path(sys.argv[2])
    if bundle := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    maven = importlib.import_module("jgo.maven")
    with tempfile.TemporaryDirectory(dir=target) as partial, ThreadPoolExecutor(_PARALLEL) as pool:
        context = maven.MavenContext(
            repo_cache=Path(partial), local_repos=[], remote_repos=mirrors(), timeout=_TIMEOUT_S
        )
        pending = [pool.submit(get, context, pin, target) for pin in pins]
        for future in as_completed(pending):
            if error := future.exception():
                pool.shutdown(wait=False, cancel_futures=True)
                print(error, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
