"""Starts the product's command line without its start-up time: a server that has imported it, and forks.

A kill matrix starts the daemon hundreds of times, and nearly all of a start is importing. The forked child runs the
same `main` with the same arguments and environment as `python -m daemon.cli` does; nothing of the product is changed.

    python -m tests.support.warm MODULE      requests on stdin, answers on stdout, a JSON object a line
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.polling import NotReached, until
from tests.support.processes import Child
from tests.support.stack import ROOT

PRELOADED = (
    "backfill.load", "backfill.pace", "backfill.workers", "barrier", "commands.wiring", "config.model",
    "doctor.examine", "doctor.report", "http.health", "metrics", "run", "status", "wiring",
)  # fmt: skip
PR_SET_PDEATHSIG = 1


class Factory:
    """The server, as tests see it. `launch` has the shape of `processes.Launch`; it takes no program's first words."""

    def __init__(self, module: str = "daemon.cli") -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Factory:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(20)
        self._server.stdout.close()

    def launch(self, argv: Sequence[str], log: Path, env: Mapping[str, str], group: int = 0) -> Child:
        """Start the command line with these arguments."""
        return _Forked(self, self._ask(argv=list(argv), log=str(log), env=dict(env), group=group)["pid"])

    def poll(self, pid: int) -> int | None:
        """How a child ended; None while it runs."""
        code: int | None = self._ask(poll=pid)["code"]
        return code

    def _ask(self, **request: object) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


class _Forked:
    """A child of the server."""

    def __init__(self, factory: Factory, pid: int) -> None:
        self.pid = pid
        self._factory = factory
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._factory.poll(self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        with suppress(NotReached):
            until(lambda: self.poll() is not None, timeout or 0, "")
        if self._code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._code


# -- the server --------------------------------------------------------------------------------------------------------


def serve(module: str, parent: int) -> None:
    """Answer requests until stdin ends. One thread only, so that forking is safe."""
    _end_with(parent)
    main = importlib.import_module(module).main
    for name in PRELOADED:
        importlib.import_module(f"daemon.{name}")
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"code": _code(request["poll"])} if "poll" in request else {"pid": _fork(main, request)}
        print(json.dumps(answer), flush=True)


def _code(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _fork(main: Any, request: dict[str, Any]) -> int:
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _become(server, request)
            code = int(main(request["argv"]) or 0)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    with suppress(OSError):  # the child does it too; whoever comes first
        os.setpgid(pid, request["group"])
    return pid


def _become(server: int, request: dict[str, Any]) -> None:
    os.setpgid(0, request["group"])
    _end_with(server)
    out = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(Path(request["log"]).parent)
    os.environ.clear()
    os.environ.update(request["env"])


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
