"""A TCP proxy before the target that numbers the statements of a process and kills it at one of them.

The statement stream is enumerated, not guessed: a counting run tells every kind of statement that the daemon and its
workers send; a kill run ends the whole process group right before one of them reaches the server, or right after the
server has answered it and before the answer is passed on (for a COMMIT: done, and nobody knows).
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from tests.support import wire

READ = 1 << 18
LOOKS = 5
When = Literal["before", "after"]


@dataclass(frozen=True, order=True)
class Kind:
    """One distinct statement: who sends it (daemon, worker), and its text without literals.

    A COMMIT is told apart by the last statement before it.
    """

    role: str
    text: str

    def __str__(self) -> str:
        short = self.text if len(self.text) <= 120 else f"{self.text[:80]} … {self.text[-36:]}"
        return f"{self.role}: {short}"


@dataclass(frozen=True)
class Point:
    """Where to kill: at the `occurrence`th statement of a kind since the process group was started, or of any kind."""

    kind: Kind | None
    occurrence: int
    when: When

    def __str__(self) -> str:
        return f"{self.when} #{self.occurrence} of {self.kind or 'any statement'}"


class Proxy:
    """Listens on a port of its own from `__enter__` on; its event loop runs in a thread."""

    def __init__(self, target_url: str, name: Callable[[str], str] = str) -> None:
        """name: from a statement's normalised text to what kind of statement it is to count as."""
        self.name = name
        self._target = urlsplit(target_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._group = 0
        self._point: Point | None = None
        self._counts: Counter[Kind] = Counter()
        self._total = 0
        self._fired: Kind | None = None
        self.url = ""

    def __enter__(self) -> Proxy:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        credentials = self._target.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # -- what tests ask for ----------------------------------------------------------------------------------------

    def watch(self, start: Callable[[], int], point: Point | None = None) -> None:
        """Begin a new count for the process group that `start` returns, to be killed at `point`."""
        with self._lock:
            self._point, self._counts, self._total, self._fired = point, Counter(), 0, None
            self._group = start()

    @property
    def fired(self) -> Kind | None:
        """The statement at which the process group was killed."""
        return self._fired

    def seen(self) -> Counter[Kind]:
        """How often each kind was sent since `watch`, in the order of their first occurrence."""
        with self._lock:
            return Counter(self._counts)

    @property
    def total(self) -> int:
        """Statements since `watch`."""
        return self._total

    # -- connections -----------------------------------------------------------------------------------------------

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        links = list(self._links)
        self._sever()
        await asyncio.gather(*(link.done.wait() for link in links))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends: tuple[int, int] = writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]
        with self._lock:
            role = _role(ends, self._group)
        link = _Link(self, role, reader, writer)
        self._links.add(link)
        try:
            await link.run(self._target.hostname or "127.0.0.1", self._target.port or 5432)
        finally:
            self._links.discard(link)

    def _sever(self) -> None:
        for link in list(self._links):
            link.abort()

    def reaches(self, kind: Kind) -> When | None:
        """Count a statement that is about to be forwarded; says whether, and how, the process is to be killed at it."""
        with self._lock:
            self._counts[kind] += 1
            self._total += 1
            point = self._point
            if point is None or self._fired is not None or kind.role == "other":
                return None
            number = self._total if point.kind is None else self._counts[kind]
            if point.kind not in (None, kind) or number != point.occurrence:
                return None
            return point.when

    def fire(self, kind: Kind) -> None:
        """Kill the process group and cut every connection, in one step of the event loop."""
        with self._lock:
            if self._fired is not None:
                return
            self._fired = kind
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
        self._sever()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, role: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.done = asyncio.Event()
        self._proxy = proxy
        self._role = role
        self._client = reader
        self._to_client = writer
        self._server: asyncio.StreamReader | None = None
        self._to_server: asyncio.StreamWriter | None = None
        self._frontend = wire.Frontend()
        self._last = "nothing"
        self._holding: Kind | None = None
        self._held_until = b""

    def abort(self) -> None:
        """Cut both sides at once."""
        for writer in (self._to_client, self._to_server):
            if writer is not None:
                writer.transport.abort()

    async def run(self, host: str, port: int) -> None:
        """Relay until either side ends."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                self._server, self._to_server = await asyncio.open_connection(host, port)
                await self._relay()
        finally:
            self.abort()
            self.done.set()

    async def _relay(self) -> None:
        rest = await self._start()
        if rest is None:
            return
        tasks = [asyncio.create_task(self._from_client(rest)), asyncio.create_task(self._from_server())]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self) -> bytes | None:
        """Answer requests for encryption with no, and pass the first real message on. Returns what follows it."""
        assert self._to_server is not None
        buffer = bytearray()
        while True:
            while (first := wire.startup(buffer)) is None:
                if not (data := await self._client.read(READ)):
                    return None
                buffer += data
            if wire.code_of(first) in wire.NEGOTIATIONS:
                self._to_client.write(b"N")
                continue
            self._to_server.write(first)
            return bytes(buffer)

    async def _from_client(self, data: bytes) -> None:
        assert self._to_server is not None
        while True:
            for group in self._frontend.feed(data):
                if not self._pass(group):
                    return
            await self._to_server.drain()
            if not (data := await self._client.read(READ)):
                return

    def _pass(self, group: wire.Group) -> bool:
        """Forward a group; False where the process was killed instead."""
        assert self._to_server is not None
        text = group.statement
        if text is not None:
            text = self._proxy.name(text)
            kind = Kind(self._role, f"COMMIT after {self._last}" if text == "COMMIT" else text)
            self._last = text
            when = self._proxy.reaches(kind)
            if when == "before":
                self._proxy.fire(kind)
                return False
            if when == "after":
                self._holding, self._held_until = kind, group.answer
        self._to_server.writelines(group.data)
        return True

    async def _from_server(self) -> None:
        assert self._server is not None
        buffer = bytearray()
        while data := await self._server.read(READ):
            buffer += data
            kinds = [kind for kind, _ in wire.messages(buffer)]
            if self._holding is not None:
                if self._held_until in kinds or b"Z" in kinds:
                    self._proxy.fire(self._holding)
                    return
                continue
            self._to_client.write(data)
            await self._to_client.drain()


def _role(ends: tuple[int, int], group: int) -> str:
    """Who made this connection (from port, to port): the group's leader, another of the group, or somebody else.

    The kernel's table is read in pages, and a socket that moves between two of them is missed: look again.
    """
    for _ in range(LOOKS):
        inode = _inode(*ends)
        for pid in _members(group):
            if inode is not None and inode in _sockets(pid):
                return "daemon" if pid == group else "worker"
    return "other"


def _inode(near: int, far: int) -> str | None:
    """The inode of the socket between these ports; other connections may have one of the two as well."""
    wanted = [f"0100007F:{near:04X}", f"0100007F:{far:04X}"]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == wanted:
            return fields[9]
    return None


def _members(group: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                stat = Path(f"/proc/{name}/stat").read_text()
                if int(stat.rpartition(")")[2].split()[2]) == group:
                    yield int(name)


def _sockets(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                link = os.readlink(f"/proc/{pid}/fd/{name}")
                if link.startswith("socket:["):
                    found.add(link[8:-1])
    return found
