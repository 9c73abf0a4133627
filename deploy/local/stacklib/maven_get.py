"""Downloads exactly the files of a lock, checking each sha256. A program; it needs jgo and requests.

The repository, and where in it a file is, are what jgo says: its own default, or the mirror that Maven's user
settings name for it.
"""

import hashlib
import importlib
import json
import os
import sys
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
_BUSY = (429, 500, 502, 503, 504)
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


class Downloader:
    """Downloads files of a repository over connections that stay open."""

    def __init__(self, target: Path) -> None:
        """Prepare to download into a directory."""
        requests = importlib.import_module("requests")
        retry = importlib.import_module("urllib3").Retry(total=_ATTEMPTS, backoff_factor=1, status_forcelist=_BUSY)
        self._target = target
        self._context = importlib.import_module("jgo.maven").MavenContext(remote_repos=mirrors())
        self._session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=_PARALLEL, max_retries=retry)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def get(self, pin: Pin) -> None:
        """Download one file, check it, move it into place and report it."""
        started = time.monotonic()
        artifact = pin.artifact(self._context)
        content = self._content(artifact)
        if hashlib.sha256(content).hexdigest() != pin.sha256:
            raise ValueError(f"{pin.coordinate} has not the sha256 of the lock")
        (self._target / artifact.filename).write_bytes(content)
        report = {"name": pin.coordinate, "bytes": len(content), "seconds": time.monotonic() - started}
        with _print_lock:
            print(json.dumps(report), flush=True)

    def _content(self, artifact: Any) -> bytes:
        """Return a file's content; a connection that breaks half-way is tried again."""
        (repository,) = self._context.remote_repos.values()
        url = f"{repository}/{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(attempt)
            try:
                answer = self._session.get(url, timeout=_TIMEOUT_S)
                answer.raise_for_status()
                return bytes(answer.content)
            except Exception as error:
                failure = error
        raise RuntimeError(f"{artifact}: {failure}") from failure


def main() -> int:
    """Download the files of the lock argv[1] into the directory argv[2]."""
    pins, target = read_lock(Path(sys.argv[1])), Path(sys.argv[2])
    if bundle := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    downloader = Downloader(target)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        pending = [pool.submit(downloader.get, pin) for pin in pins]
        for future in as_completed(pending):
            if error := future.exception():
                pool.shutdown(wait=False, cancel_futures=True)
                print(error, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
