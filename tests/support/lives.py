"""Many lives of one pipeline: started, killed at a chosen statement, started again on what was left.

Starts are cheap (`warm`), the backfill worker is a process beside the daemon, in its group, and every life has a
consumer group of its own: a killed member would be waited for, and where to go on is read from the target anyway.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import ChunkFact, Pipeline, Settings, unchanged
from tests.support.polling import NotReached
from tests.support.processes import Daemon
from tests.support.proxy import Kind, Point, Proxy
from tests.support.warm import Factory
from tests.support.workload import Writer

_STAGE = re.compile(r"\bstage_(text_)?\d+")
_APP = re.compile(r'"app"\."\w+"')


def shape(text: str) -> str:
    """A kind of statement for which the mapped tables are alike: verb, and what classes of tables it touches."""
    end = "end of " if text.startswith("end of ") else ""
    stage, app = _STAGE.search(text), _APP.search(text)
    if not stage and not app:
        return text
    staged = "stage_text" if "stage_text_" in text else "stage"
    verbs = dict.fromkeys(part.split()[0] for part in text.removeprefix("end of ").split("; "))
    touched = [name for name, found in (("target", app), (staged, stage)) if found]
    return f"{end}{' '.join(verbs)} [{', '.join(touched)}]"


class Lives:
    """One pipeline's lives. Use as a context: whatever runs at its end is killed."""

    def __init__(
        self,
        databases: Databases,
        directory: Path,
        settings: Settings,
        factory: Factory,
        proxy: Proxy,
        *writers: Writer,
    ) -> None:
        settings.sections.setdefault("kafka", {})["group"] = "${GROUP}"
        self.pipeline = Pipeline(databases, directory, settings)
        self.pipeline.program = ()
        self.pipeline.launch = factory.launch
        self.history: list[str] = []
        self.kills = 0
        self._proxy = proxy
        self._writers = writers
        self._known: dict[tuple[str, int], ChunkFact] = {}
        self._daemon: Daemon | None = None
        self._numbers = count(1)
        self.pipeline.extra_env["GROUP"] = databases.name

    def __enter__(self) -> Lives:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self, *, worker: bool, point: Point | None = None) -> Daemon:
        """Start the daemon, and a backfill worker beside it if wanted; to be killed at `point`."""
        self.end()
        for writer in self._writers:
            writer.check()
        self.pipeline.extra_env["GROUP"] = f"{self.pipeline.databases.name}-{next(self._numbers)}"

        def start() -> int:
            self._daemon = self.pipeline.start("run", "--no-backfill", target_url=self._proxy.url)
            return self._daemon.pid

        self._proxy.watch(start, point)
        assert self._daemon is not None
        if worker:
            self.begin_worker(self._daemon)
        return self._daemon

    def begin_worker(self, daemon: Daemon) -> None:
        """Start a backfill worker in the daemon's group; before the pipeline's first start there is nothing for it."""
        if self.pipeline.chunks():
            self.pipeline.start("backfill", beside=daemon, target_url=self._proxy.url)

    def end(self) -> None:
        """Kill what runs; then no finished chunk may have been given up."""
        if self._daemon is None:
            return
        self._daemon.kill()
        self._daemon.end()
        self._daemon = None
        now = self.pipeline.chunks()
        unchanged(self._known, now)
        self._known = {where: chunk for where, chunk in now.items() if chunk.state == "done"}

    def reset(self) -> None:
        """Everything the pipeline wrote is gone, as if it had never been started; the source goes on."""
        self.end()
        self._known = {}
        tables = [entry["to"] for entry in self.pipeline.settings.tables]
        with open_url(self.pipeline.databases.target_url) as connection:
            connection.execute("DROP SCHEMA IF EXISTS changeover CASCADE")
            connection.execute(f"TRUNCATE {', '.join(tables)}".encode())
        self.note("reset")

    def kill_at(self, point: Point, *, worker: bool, timeout_s: float) -> bool:
        """One life, to be ended at `point`; False where that was not reached."""
        daemon = self.begin(worker=worker, point=point)

        def over() -> bool:
            running = daemon.running
            if self._proxy.fired is not None:
                return True
            assert running, f"ended by itself: {daemon.output()}\n{self.story()}"
            return False

        try:
            self.pipeline.until(None, over, timeout_s, str(point))
        except NotReached:
            return False
        finally:
            reached = self._proxy.fired
            self.note(f"{point}: {reached}" if point.kind is None or not reached else str(point))
            self.end()
        daemon.killed = True
        self.kills += 1
        return True

    def check(self, questions: Sequence[Question], timeout_s: float = 180) -> int:
        """With the source at rest: let it catch up, and compare everything. Returns rows compared."""
        daemon = self.begin(worker=False)
        with self.paused():
            self.pipeline.until(daemon, self.pipeline.chunks, timeout_s, "the pipeline to be started")
            self.begin_worker(daemon)
            rows = self.pipeline.verify(questions, daemon, self.story(), timeout_s)
        self.note(f"checked, {rows} rows")
        self.history.clear()
        return rows

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The source at rest for the length of the block."""
        with ExitStack() as stack:
            for writer in self._writers:
                stack.enter_context(writer.paused())
            yield

    def note(self, event: str) -> None:
        """Remember what happened, for the message of a failure and in history.log."""
        self.history.append(event)
        with (self.pipeline.directory / "history.log").open("a") as log:
            log.write(f"{time.monotonic():.1f} {event}\n")

    def story(self) -> str:
        """What happened since the last check, for the message of a failed one."""
        count = sum(writer.count for writer in self._writers)
        return f"{count} transactions; since the last check:\n  " + "\n  ".join(self.history[-60:])

    def chunks_left(self) -> int:
        """Chunks not done."""
        return sum(chunk.state != "done" for chunk in self.pipeline.chunks().values())

    def count(self, *, worker: bool, chunks_left: int, events: int, timeout_s: float = 240) -> Counter[Kind]:
        """A life without a kill, until no more than `chunks_left` and so many more events are in; what it sent."""
        before = self.pipeline.consumed()
        daemon = self.begin(worker=worker)
        self.pipeline.until(daemon, self.pipeline.chunks, timeout_s, "the pipeline to be started")
        if worker and not daemon.beside:
            self.begin_worker(daemon)
        self.pipeline.until(daemon, lambda: self.chunks_left() <= chunks_left, timeout_s, f"{chunks_left} chunks left")
        self.pipeline.until(daemon, lambda: self.pipeline.consumed() >= before + events, timeout_s, f"{events} events")
        if chunks_left == 0:
            self.pipeline.wait_lag_zero(daemon, timeout_s)
        seen = self._proxy.seen()
        self.end()
        return seen
